"""What a balanced dataset is to look like, and by what means."""

from typing import Literal

from pydantic import Field, field_validator, model_validator

from cvdata.config import Frozen


class Balance(Frozen):
    """How classes are brought to a target; nothing is changed where all stays as it is here."""

    target: Literal["equal", "sqrt", "natural"] = "natural"
    """Share of each class: equal; sqrt: as the root of its count; natural: as it is."""
    shares: dict[str, float] = Field({})
    """Share of each class by name, scaled to sum 1; wins over `target`. Classes that are not named
    stay as they are."""
    total: int = Field(0, ge=0)
    """Images of all balanced classes together, copies counted; 0: as many as `undersample` and
    `oversample` allow without leaving the shares."""
    undersample: Literal["none", "k_center", "hierarchical", "random"] = "none"
    """How a class is cut: the most diverse stay (k-center greedy or hierarchical k-means on
    embeddings), or any; none: no class is cut."""
    oversample: Literal["none", "augment", "repeat"] = "none"
    """How a class grows: augment: by copies that `cvdata augment` makes (table `budget`); repeat:
    by weight."""
    max_copies: int = Field(10, ge=1)
    """Most copies, or repeats, of one image."""
    embeddings: str = ""
    """The MODEL of embeddings/MODEL: what diversity and SMOTE are measured on."""
    pool: int = Field(100_000, ge=1)
    """Larger classes are thinned to so many images, evenly, before the most diverse are chosen."""
    weights: Literal["none", "inverse", "effective", "repeat"] = "none"
    """Weight of an image for a sampler: by its class's count, its effective number (Cui et al.
    2019), or the repeat factor of its rarest object (Gupta et al. 2019)."""
    beta: float = Field(0.999, ge=0, lt=1)
    """Of the effective number: 0 is no weighting, toward 1 it is inverse frequency."""
    repeat_below: float = Field(0.001, gt=0, le=1)
    """Of the repeat factors: objects in fewer than this share of images are repeated."""
    smote: bool = False
    """Also write synthetic/MODEL: embeddings between neighbours of a class, up to the largest
    class (SMOTE; needs the extra `smote`)."""
    splits: list[str] = Field(["train"])
    """Splits that are balanced; where no image has a split, all are."""
    seed: int = 0
    """Of `random`, of thinning, of k-means and of SMOTE."""

    @field_validator("shares")
    @classmethod
    def _positive(cls, value: dict[str, float]) -> dict[str, float]:
        for label, share in value.items():
            if not share > 0:
                raise ValueError(f"the share of {label} is not above 0; drop it with an sql rule")
        return value

    @model_validator(mode="after")
    def _fits(self) -> "Balance":
        needs = self.undersample in ("k_center", "hierarchical") or self.smote
        if needs and not self.embeddings:
            what = "smote" if self.smote else self.undersample
            raise ValueError(f"{what} needs `embeddings`: the MODEL of a table embeddings/MODEL")
        if self.total and not self.has_target:
            raise ValueError("`total` needs undersample or oversample to get there")
        return self

    @property
    def has_target(self) -> bool:
        """Whether classes are to change their size."""
        return self.undersample != "none" or self.oversample != "none"

    @property
    def is_active(self) -> bool:
        """Whether anything is to be done at all."""
        return self.has_target or self.weights != "none" or self.smote
