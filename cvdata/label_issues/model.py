"""A classifier that has not seen these images, against their labels."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cvdata.label_issues.confident import F64, I64, Bools, doubt, is_contradicted, thresholds
from cvdata.label_issues.evidence import estimated_rate, log_odds, wrong_probability
from cvdata.label_issues.judge import BATCH, CONFIDENT, Finding, doubted
from cvdata.label_issues.rows import Labelled

MODEL = "model"
LIKELY = 0.5
"""A label is flagged where it is more probably wrong than right."""


def plain(name: str) -> str:
    """A class name as it is compared: case, `_` and `-` do not matter."""
    return " ".join(name.casefold().replace("_", " ").replace("-", " ").split())


@dataclass(frozen=True)
class Names:
    """The classes of the labels and of the model together, by the labels' spelling."""

    classes: tuple[str, ...]

    @staticmethod
    def joined(labels: Sequence[str], model: Sequence[str]) -> "Names":
        """A name that two classes of the model share is neither."""
        shared = Counter(map(plain, model))
        known = {plain(label): label for label in labels}
        new = {plain(n): n for n in model if shared[plain(n)] == 1 and plain(n) not in known}
        return Names(tuple(sorted([*known.values(), *new.values()])))

    def codes(self, names: pa.Array | pa.ChunkedArray) -> I64:
        """(N,) the class of each name, -1 for one that is unknown or null."""
        at = {plain(name): i for i, name in enumerate(self.classes)}
        encoded = names.combine_chunks() if isinstance(names, pa.ChunkedArray) else names
        encoded = encoded.dictionary_encode()
        known = [at.get(plain(n), -1) for n in encoded.dictionary.to_pylist()]
        lookup = np.array([*known, -1], np.int64)
        return lookup[np.asarray(pc.fill_null(encoded.indices, len(known)), np.int64)]


def scores_of(names: Names, rows: Labelled) -> F64:
    """(N, K) the model's scores by class; 0 for those that it does not list."""
    labels, scores = (rows.table[c].combine_chunks() for c in ("labels", "scores"))
    row = np.asarray(pc.list_parent_indices(labels), np.int64)
    codes = names.codes(pc.list_flatten(labels))
    out = np.zeros((len(rows), len(names.classes)), np.float64)
    kept = codes >= 0
    flat = np.asarray(pc.list_flatten(scores), np.float64)
    np.maximum.at(out, (row[kept], codes[kept]), flat[kept])
    return out


@dataclass(frozen=True)
class ModelJudge:
    """A model's scores against labels.

    `is_judged` (K,): classes of labels with enough images for a threshold of their own (`least`);
    `rate`: the share of wrong labels that the scores themselves suggest.
    """

    names: Names
    is_known: F64
    is_judged: F64
    least: F64
    rate: float

    def __call__(self, rows: Labelled) -> Iterator[pa.Table]:
        """Rows of `DOUBTED`; images whose label the model has no class for are left out."""
        labels = self.names.codes(rows.labels)
        known = (labels >= 0) & (self.is_known[labels] > 0)
        rows, labels = rows.take(known), labels[known]
        for start in range(0, len(rows), BATCH):
            part = rows.take(_batch(len(rows), start))
            given = labels[start : start + BATCH]
            for finding in self.findings(scores_of(self.names, part), given):
                explain = partial(_explained, finding)
                yield doubted(part.keys, finding, given, self.names.classes, explain)

    def findings(self, scores: F64, labels: I64) -> list[Finding]:
        """Both methods on N images."""
        doubts = doubt(scores, labels)
        odds = log_odds(doubts)
        wrong = wrong_probability(odds, self.rate, len(self.names.classes))
        contradicted = is_contradicted(scores, labels, self.least) & (self.is_judged[labels] > 0)
        return [
            Finding(MODEL, doubts, wrong, wrong > LIKELY, odds),
            Finding(CONFIDENT, doubts, doubts.score, contradicted, doubts.margin),
        ]


def _explained(finding: Finding, i: int) -> Mapping[str, Any]:
    given, other = finding.doubts.given[i], finding.doubts.other[i]
    return {"model": {"given": float(f"{given:.3g}"), "suggested": float(f"{other:.3g}")}}


def _batch(n: int, start: int) -> Bools:
    mask = np.zeros(n, bool)
    mask[start : start + BATCH] = True
    return mask


def learn_model(
    names: Names, model_names: Sequence[str], scores: F64, labels: I64, least: int
) -> ModelJudge:
    """Thresholds and the rate of wrong labels, from a sample: scores (n, K), labels (n,)."""
    n_classes = len(names.classes)
    is_known = np.zeros(n_classes)
    codes = names.codes(pa.array(model_names, pa.string()))
    is_known[codes[codes >= 0]] = 1
    kept = (labels >= 0) & (is_known[labels] > 0)
    scores, labels = scores[kept], labels[kept]
    counts = np.bincount(labels, minlength=n_classes)
    odds = log_odds(doubt(scores, labels))
    rate = estimated_rate(odds, n_classes)
    judged = (counts >= least).astype(float)
    return ModelJudge(names, is_known, judged, thresholds(scores, labels), rate)
