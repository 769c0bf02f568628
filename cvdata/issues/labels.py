"""Issues of labels: what the labels job found, as an issue among the others."""

from dataclasses import dataclass
from typing import ClassVar

from cvdata.issues.base import Columns, Context, Floats


@dataclass(frozen=True)
class MismatchedLabel:
    """The label says another class than the picture shows."""

    threshold: float = 0.5

    name: ClassVar[str] = "mismatched_label"
    doc: ClassVar[str] = "The label is probably wrong: the picture looks like another class."
    definition: ClassVar[str] = (
        "the score of `label_issues` by consensus or model, whichever is larger; where neither "
        "flags it, 0.5 at most"
    )
    reason: ClassVar[str] = "Flagged where `cvdata labels` flags it (docs/labels.md)."
    columns: ClassVar[tuple[str, ...]] = ("label_doubt",)

    def __call__(self, columns: Columns, context: Context) -> Floats:
        """NaN where the labels job has not run, or does not doubt the label."""
        return columns.number("label_doubt")
