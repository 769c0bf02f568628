"""What is asked for: methods, the sample, thresholds; and when a score is a flag."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from pydantic import Field, model_validator

from cvdata.config import Frozen
from cvdata.errors import ConfigError
from cvdata.outliers.rows import F64

ON_MEASURES = ("robust_z", "histogram")
ON_EMBEDDINGS = (
    "knn",
    "lof",
    "isolation_forest",
    "one_class_svm",
    "mahalanobis",
    "kmeans",
)
METHODS = (*ON_MEASURES, *ON_EMBEDDINGS, "objects", "reconstruction")
CONSENSUS = "consensus"
DEFAULT_METHODS = tuple(m for m in METHODS if m != "reconstruction")


class Rule(Frozen):
    """When a score is flagged: one of the three."""

    fence: float | None = Field(None, gt=0)
    """Above Q3 + fence · IQR of the sample's scores."""
    above: float | None = None
    """Above this score."""
    share: float | None = Field(None, gt=0, lt=1)
    """Above the score that this share of the sample exceeds."""

    @model_validator(mode="after")
    def _one(self) -> "Rule":
        if sum(v is not None for v in (self.fence, self.above, self.share)) != 1:
            raise ValueError("give exactly one of fence, above, share")
        return self

    def threshold(self, scores: F64) -> float:
        """The score above which a row is flagged, for the finite scores of a sample."""
        if self.above is not None:
            return self.above
        if not len(scores):
            return float("inf")
        if self.share is not None:
            return float(np.quantile(scores, 1 - self.share))
        q1, q3 = np.percentile(scores, [25, 75])
        # Where three quarters are equal to the last bits, rounding is no strangeness.
        least = 1e-9 + 1e-6 * abs(q3)
        return float(q3 + max((self.fence or 0.0) * (q3 - q1), least))


DEFAULT_RULES: Mapping[str, Rule] = {
    "robust_z": Rule(fence=3.0),
    "histogram": Rule(fence=3.0),
    "knn": Rule(fence=1.7),
    "lof": Rule(fence=1.7),
    "isolation_forest": Rule(share=0.02),
    "one_class_svm": Rule(share=0.02),
    "mahalanobis": Rule(fence=1.7),
    "kmeans": Rule(fence=1.7),
    "reconstruction": Rule(fence=1.7),
    "objects": Rule(above=9.96),
}
"""Of `objects` the score is in bits: 9.96 is one image in a thousand. Where `contamination` is set
it takes the place of the two shares."""


@dataclass(frozen=True)
class Options:
    """Everything that can change a score, a rank or a flag."""

    methods: tuple[str, ...] = DEFAULT_METHODS
    sample: int = 200_000
    seed: int = 0
    variance: float = 0.8
    dimensions: int = 64
    trim: float = 0.1
    contamination: float = 0.02
    neighbors: int = 10
    lof_neighbors: int = 20
    lof_sample: int = 20_000
    trees: int = 200
    nystroem: int = 300
    clusters: int = 0
    rare_ratio: float = 0.5
    object_score: float = 0.5
    agree: int = 3
    min_class: int = 20
    is_per_class: bool = True
    rules: Mapping[str, Rule] = field(default_factory=dict)

    def __post_init__(self) -> None:
        unknown = sorted((set(self.methods) - set(METHODS)) | (set(self.rules) - set(METHODS)))
        if unknown:
            raise ConfigError(
                f"unknown outlier methods {', '.join(unknown)}; there are: {', '.join(METHODS)}"
            )

    def rule(self, method: str) -> Rule:
        """When the method flags."""
        if method in self.rules:
            return self.rules[method]
        rule = DEFAULT_RULES[method]
        return Rule(share=self.contamination) if rule.share is not None else rule


@dataclass(frozen=True)
class Usual:
    """What the sample's scores are like, and the threshold that follows."""

    q1: float
    median: float
    q3: float
    threshold: float
    n: int

    @classmethod
    def of(cls, scores: F64, rule: Rule) -> "Usual":
        """Quartiles of the finite scores and the rule's threshold."""
        finite = scores[np.isfinite(scores)]
        if not len(finite):
            return cls(0.0, 0.0, 0.0, float("inf"), 0)
        q1, median, q3 = (float(v) for v in np.percentile(finite, [25, 50, 75]))
        return cls(q1, median, q3, rule.threshold(finite), len(finite))

    def against(self, score: float) -> dict[str, Any]:
        """How far a score is against what is usual, for an explanation."""
        told = {"score": _brief(score), "usual": _brief(self.median)}
        if np.isfinite(self.threshold):
            told["threshold"] = _brief(self.threshold)
        spread = self.q3 - self.q1
        if spread > 0:
            told["iqrs_above_median"] = _brief((score - self.median) / spread)
        return told


def _brief(value: float) -> float:
    return float(f"{value:.5g}")
