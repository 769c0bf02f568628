"""Whether two sets of images differ: measures, classes, errors, embeddings, meaning of labels."""

from cvdata.drift.collect import Collect, Collected
from cvdata.drift.compare import (
    Check,
    Limits,
    compare_counts,
    compare_errors,
    compare_measures,
    worst_first,
)
from cvdata.drift.embedded import Drivers, Embedded, compare_embeddings

__all__ = [
    "Check",
    "Collect",
    "Collected",
    "Drivers",
    "Embedded",
    "Limits",
    "compare_counts",
    "compare_embeddings",
    "compare_errors",
    "compare_measures",
    "worst_first",
]
