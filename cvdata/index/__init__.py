"""Approximate neighbours whose recall is measured: the only package that imports faiss.

`ranges` finds all pairs within a cosine, for deduplication; the rest builds, measures and searches
indexes that are kept: `choice` says which, `trained` makes one, `exact` is what it is held to.
"""

from cvdata.index.ranges import (
    EXACT_BELOW,
    Lists,
    Recall,
    RecallTarget,
    clustered_lower,
    ivf_pairs,
    range_pairs,
    wilson_lower,
)

__all__ = [
    "EXACT_BELOW",
    "Lists",
    "Recall",
    "RecallTarget",
    "clustered_lower",
    "ivf_pairs",
    "range_pairs",
    "wilson_lower",
]
