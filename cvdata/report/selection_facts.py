"""What the report is told of a selection: plain counts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True)
class ReasonFacts:
    """Images that drop for a reason, of these those for it alone, and kept ones it warns of."""

    name: str
    n_dropped: int
    n_alone: int
    n_warned: int


@dataclass(frozen=True)
class GroupFacts:
    """A class or a split ("" is none): images, those that stay, and augmented copies planned."""

    name: str
    n_images: int
    n_kept: int
    n_copies: int

    @property
    def n_final(self) -> int:
        """What it comes to."""
        return self.n_kept + self.n_copies


@dataclass(frozen=True)
class SelectionFacts:
    """What the decide job chose.

    `unmet` are classes that balancing could not bring within one image of their target: (name,
    achieved, target). `n_led_anew` groups of copies got another keeper. `absent` are tables that
    it would have used. `is_current` is False where tables have changed since.
    """

    n_images: int
    n_kept: int
    reasons: Sequence[ReasonFacts] = ()
    classes: Sequence[GroupFacts] = ()
    splits: Sequence[GroupFacts] = ()
    floors: Mapping[str, int] = field(default_factory=dict)
    unmet: Sequence[tuple[str, int, float]] = ()
    n_cut: int = 0
    n_copies: int = 0
    n_led_anew: int = 0
    weights: str = "none"
    balanced_splits: Sequence[str] | None = None
    absent: Sequence[str] = ()
    is_current: bool = True
