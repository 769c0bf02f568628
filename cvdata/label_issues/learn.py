"""Learning from a sample of labelled images: projection, probes, voters, thresholds; twice.

The second round leaves out what the first found wrong, so that wrong labels do not vouch for
each other.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from cvdata.chance import U64
from cvdata.index.nearest import Nearest
from cvdata.kernels.neighbors import F32
from cvdata.label_issues.confident import (
    F64,
    I64,
    Bools,
    confident_class,
    confident_joint,
    noise_rate,
    thresholds,
)
from cvdata.label_issues.judge import CONSENSUS, Judge, unit
from cvdata.label_issues.probes import (
    STRENGTHS,
    FitProbe,
    Probe,
    Projection,
    log_loss,
    out_of_fold,
)
from cvdata.label_issues.rows import folds_of
from cvdata.label_issues.votes import Voters, vote

Runner = Callable[[FitProbe, Sequence[tuple[int, float]]], Iterable[tuple[int, float, Probe]]]
"""Runs the fits wherever there is room; results in any order."""


@dataclass(frozen=True)
class Sample:
    """Images to learn from, sorted by id: `ids` (n, 16), `vectors` (n, D) of length one."""

    ids: npt.NDArray[np.uint8]
    vectors: F32
    labels: I64
    groups: U64


@dataclass(frozen=True)
class Learning:
    """How to learn."""

    n_folds: int = 5
    k: int = 10
    rounds: int = 2
    variance: float = 0.95
    margin: float = 0.6
    seed: int = 0


def learn(
    sample: Sample, classes: tuple[str, ...], how: Learning, run: Runner
) -> tuple[Judge, dict[str, Any]]:
    """The judge of these classes, and figures: strength, log loss, accuracy, estimated noise."""
    projection = Projection.fit(sample.vectors, how.variance)
    rows = projection(sample.vectors)
    folds = folds_of(sample.groups, how.n_folds, how.seed)
    trusted = np.ones(len(rows), bool)
    strength = 0.0
    for number in range(how.rounds):
        fit = FitProbe(rows.astype(np.float32), sample.labels, folds, trusted, len(classes))
        if number == 0:
            strength, probes = _chosen(fit, rows, how, run)
        else:
            probes = _fitted(fit, [strength], how, run)[strength]
        voters = _voters(sample, rows, trusted, how)
        learnt = out_of_fold(probes, rows, folds)
        votes = vote(voters, unit(rows), sample.groups, len(classes), how.k)
        least = thresholds(learnt, sample.labels)
        judge = Judge(classes, projection, probes, voters, least, how.k, how.margin, how.seed)
        found = {f.method: f for f in judge.findings(learnt, votes, sample.labels)}
        trusted = _trusted(~found[CONSENSUS].is_flagged, sample.labels, how)
    return judge, _figures(judge, learnt, sample.labels, strength)


def _chosen(
    fit: FitProbe, rows: F64, how: Learning, run: Runner
) -> tuple[float, tuple[Probe, ...]]:
    """The strength of the smallest log loss out of sample; a tie goes to the simpler probe."""
    fitted = _fitted(fit, STRENGTHS, how, run)
    losses = {
        strength: log_loss(out_of_fold(probes, rows, fit.folds), fit.labels)
        for strength, probes in sorted(fitted.items())
    }
    best = min(losses, key=lambda s: round(losses[s], 6))
    return best, fitted[best]


def _fitted(
    fit: FitProbe, strengths: Sequence[float], how: Learning, run: Runner
) -> dict[float, tuple[Probe, ...]]:
    items = [(fold, strength) for strength in strengths for fold in range(how.n_folds)]
    found = {(strength, fold): probe for fold, strength, probe in run(fit, items)}
    return {s: tuple(found[s, fold] for fold in range(how.n_folds)) for s in strengths}


def _voters(sample: Sample, rows: F64, trusted: Bools, how: Learning) -> Voters:
    reference = Nearest.build(unit(rows[trusted]), how.k, seed=how.seed)
    return Voters(reference, sample.labels[trusted], sample.groups[trusted], sample.ids[trusted])


def _trusted(trusted: Bools, labels: I64, how: Learning) -> Bools:
    """A class of which fewer images than folds would be left keeps all of them."""
    left = np.bincount(labels[trusted], minlength=int(labels.max(initial=0)) + 1)
    return trusted | (left < how.n_folds)[labels]


def _figures(judge: Judge, learnt: F64, labels: I64, strength: float) -> dict[str, Any]:
    n_classes = len(judge.classes)
    joint = confident_joint(labels, confident_class(learnt, judge.least), n_classes)
    counts = np.bincount(labels, minlength=n_classes)
    return {
        "n_learnt": len(labels),
        "dimensions": judge.projection.axes.shape[1],
        "strength": strength,
        "log_loss": round(log_loss(learnt, labels), 4),
        "accuracy": round(float((learnt.argmax(axis=1) == labels).mean()), 4),
        "estimated_noise": round(noise_rate(joint, counts), 4),
        "recall_of_neighbors": judge.voters.nearest.recall,
    }
