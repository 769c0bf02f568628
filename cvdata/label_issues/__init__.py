"""Labels that are probably wrong: what neighbours, probes and models say against them."""

from cvdata.label_issues.confident import (
    Doubt,
    confident_class,
    confident_joint,
    doubt,
    is_contradicted,
    noise_rate,
    thresholds,
)
from cvdata.label_issues.judge import Judge
from cvdata.label_issues.learn import Learning, Sample, learn

__all__ = [
    "Doubt",
    "Judge",
    "Learning",
    "Sample",
    "confident_class",
    "confident_joint",
    "doubt",
    "is_contradicted",
    "learn",
    "noise_rate",
    "thresholds",
]
