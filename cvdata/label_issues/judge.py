"""What was learnt from a sample of the labels, and what it says of any image's label."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from cvdata.chance import U64
from cvdata.kernels.neighbors import F32
from cvdata.label_issues.confident import F64, I64, Bools, Doubt, doubt, is_contradicted
from cvdata.label_issues.probes import Probe, Projection, out_of_fold
from cvdata.label_issues.rows import Labelled, codes_of, folds_of
from cvdata.label_issues.votes import Voters, Votes, vote

NEIGHBORS, CONFIDENT, CONSENSUS = "knn", "confident_learning", "consensus"
BATCH = 8192
SHOWN = 5
"""Neighbours that an explanation names."""


@dataclass(frozen=True)
class Finding:
    """One method on N images: its doubts, which it flags, and the order of its ranks (N,)."""

    method: str
    doubts: Doubt
    score: F64
    is_flagged: Bools
    order: F64


@dataclass(frozen=True)
class Judge:
    """Probes, voters and thresholds; `classes` (K,) are those with enough images.

    `least` (K,) are the thresholds of the probes' probabilities.
    """

    classes: tuple[str, ...]
    projection: Projection
    probes: tuple[Probe, ...]
    voters: Voters
    least: F64
    k: int
    margin: float
    seed: int

    def probabilities(self, rows: F64, groups: U64) -> tuple[F64, Votes]:
        """((N, K) of the probes, votes of the neighbours) for projected rows (N, d)."""
        folds = folds_of(groups, len(self.probes), self.seed)
        votes = vote(self.voters, unit(rows), groups, len(self.classes), self.k)
        return out_of_fold(self.probes, rows, folds), votes

    def findings(self, learnt: F64, votes: Votes, labels: I64) -> list[Finding]:
        """The three methods on N images."""
        both = mean_of(learnt, votes)
        shares = np.round(votes.shares, 6)
        by_neighbors, by_probe, by_both = (doubt(p, labels) for p in (shares, learnt, both))
        flagged = is_contradicted(learnt, labels, self.least)
        return [
            _finding(NEIGHBORS, by_neighbors, by_neighbors.margin > self.margin),
            _finding(CONFIDENT, by_probe, flagged),
            _finding(CONSENSUS, by_both, by_both.margin > self.margin),
        ]

    def __call__(self, rows: Labelled) -> Iterator[pa.Table]:
        """Rows of `DOUBTED`, batch by batch; images of other classes are left out."""
        labels = codes_of(rows.labels, self.classes)
        rows, labels = rows.take(labels >= 0), labels[labels >= 0]
        vectors = rows.vectors() if len(rows) else np.empty((0, 0), np.float32)
        for start in range(0, len(rows), BATCH):
            at = slice(start, start + BATCH)
            learnt, votes = self.probabilities(self.projection(vectors[at]), rows.groups[at])
            for finding in self.findings(learnt, votes, labels[at]):
                explain = self._explainer(finding, learnt, votes, labels[at])
                yield doubted(
                    rows.keys.slice(start, BATCH), finding, labels[at], self.classes, explain
                )

    def _explainer(self, finding: Finding, learnt: F64, votes: Votes, labels: I64) -> Any:
        """Index -> the facts behind one image's doubt."""

        def explain(i: int) -> Mapping[str, Any]:
            given, other = labels[i], finding.doubts.suggested[i]
            facts: dict[str, Any] = {}
            if finding.method != NEIGHBORS:
                facts["probe"] = _pair(learnt[i], given, other)
            if finding.method == CONFIDENT:
                facts["threshold"] = round(float(self.least[other]), 4)
            else:
                facts["neighbors"] = _pair(votes.shares[i], given, other)
                facts["nearest"] = [self._voter(r) for r in votes.rows[i][:SHOWN] if r >= 0]
            return facts

        return explain

    def _voter(self, row: int) -> list[str]:
        """[id in hex, label]."""
        return [self.voters.ids[row].tobytes().hex(), self.classes[self.voters.labels[row]]]


def mean_of(learnt: F64, votes: Votes) -> F64:
    """(N, K) the mean of the probes' probabilities and the neighbours' shares."""
    return np.asarray((learnt + np.round(votes.shares, 6)) / 2)


def unit(rows: F64) -> F32:
    """(N, d) float32 of length one; a row of zeros stays so."""
    length = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.asarray(rows / np.maximum(length, 1e-12), np.float32)


def _finding(method: str, doubts: Doubt, is_flagged: Bools) -> Finding:
    return Finding(method, doubts, doubts.score, is_flagged, doubts.margin)


def _pair(shares: F64, given: int, other: int) -> dict[str, float]:
    return {"given": round(float(shares[given]), 4), "suggested": round(float(shares[other]), 4)}


DOUBTED = pa.schema(
    [
        pa.field("image_id", pa.binary(16)),
        pa.field("revision", pa.string()),
        pa.field("method", pa.string()),
        pa.field("label", pa.string()),
        pa.field("suggested", pa.string()),
        pa.field("score", pa.float32()),
        pa.field("is_flagged", pa.bool_()),
        pa.field("explanation", pa.string()),
        pa.field("order", pa.float64()),
    ]
)
"""LABEL_ISSUES before it is ranked: the larger `order`, the nearer rank 1."""


def doubted(
    keys: pa.Table, finding: Finding, labels: I64, classes: Sequence[str], explain: Any
) -> pa.Table:
    """The images whose best other class is likelier than their label, as DOUBTED."""
    at = np.flatnonzero((finding.doubts.margin > 0) | finding.is_flagged)
    names = pa.array(classes, pa.string())
    chosen = keys.take(pa.array(at))
    texts = [json.dumps(explain(i)) if finding.is_flagged[i] else None for i in at.tolist()]
    columns = [
        chosen["image_id"],
        chosen["revision"],
        pa.array([finding.method] * len(at), pa.string()),
        names.take(pa.array(labels[at])),
        names.take(pa.array(finding.doubts.suggested[at])),
        pa.array(finding.score[at].astype(np.float32)),
        pa.array(finding.is_flagged[at]),
        pa.array(texts, pa.string()),
        pa.array(np.asarray(finding.order[at], np.float64)),
    ]
    return pa.table(columns, schema=DOUBTED)
