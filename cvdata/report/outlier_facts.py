"""What the outliers job found, as plain data for its section."""

from dataclasses import dataclass, field

import pyarrow as pa

from cvdata.schema import ID

OUTLIER_ROWS = pa.schema(
    [
        pa.field("method", pa.string(), nullable=False),
        pa.field("image_id", ID, nullable=False),
        pa.field("rank", pa.int64(), nullable=False),
        pa.field("score", pa.float32(), nullable=False),
        pa.field("explanation", pa.string()),
    ]
)
"""Flagged images of the whole dataset, the strangest of each method first."""


@dataclass(frozen=True)
class OutlierMethod:
    """One method: images scored and flagged in the dataset, flagged within their class.

    `usual` is the median score of the sample, `threshold` what is flagged above; None where the
    method has none. `left_out` says why it could not be used.
    """

    name: str
    n_scored: int = 0
    n_flagged: int = 0
    n_flagged_in_class: int = 0
    usual: float | None = None
    threshold: float | None = None
    left_out: str = ""


@dataclass(frozen=True)
class OutlierFacts:
    """What the outliers job found: counts of everything, some flagged rows of each method.

    `clusters` are the rare ones: (name, images of the sample). `is_current` is False where what
    the scores were computed from has changed since.
    """

    methods: tuple[OutlierMethod, ...]
    n_images: int
    n_sample: int = 0
    n_classes: int = 0
    embeddings: str = ""
    dimension: int | None = None
    variance: float | None = None
    recall: float | None = None
    clusters: tuple[tuple[str, int], ...] = ()
    rows: pa.Table = field(default_factory=OUTLIER_ROWS.empty_table)
    is_current: bool = True

    def method(self, name: str) -> OutlierMethod:
        """The method of that name; one that found nothing where there is none."""
        return next((m for m in self.methods if m.name == name), OutlierMethod(name))
