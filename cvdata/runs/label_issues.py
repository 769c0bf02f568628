"""Label issues as a run: learn from a sample, judge every image where its rows are read."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cvdata.chance import draw
from cvdata.commits import Commit
from cvdata.engine.session import Session
from cvdata.errors import ConfigError
from cvdata.label_issues.judge import DOUBTED, Judge
from cvdata.label_issues.learn import Learning, Sample, learn
from cvdata.label_issues.model import ModelJudge, Names, learn_model, scores_of
from cvdata.label_issues.rows import (
    DUPLICATES,
    CountLabels,
    LabelCounts,
    Labelled,
    LabelReader,
    codes_of,
    judged,
)
from cvdata.reading import IdRange
from cvdata.workspace import Workspace

SCORES = ("labels", "scores")
RANGE_ROWS = 32_768
"""Rows of a range: their embeddings are in memory together."""


@dataclass(frozen=True)
class LabelOptions:
    """What is asked against the labels, and how."""

    embeddings: str = "default"
    predictions: str = ""
    boxes: str = ""
    learning: Learning = field(default_factory=Learning)
    min_class: int = 5
    fit_rows: int = 50_000
    box_score: float = 0.5


class Judging(Protocol):
    """Says of rows which labels it doubts."""

    def __call__(self, rows: Labelled) -> Iterable[pa.Table]:
        """Rows of DOUBTED."""
        ...


@dataclass(frozen=True)
class Found:
    """Doubted images (DOUBTED) and figures of one way of looking."""

    rows: pa.Table
    figures: dict[str, Any]


@dataclass(frozen=True)
class JudgeRange:
    """Judges one range of ids."""

    reader: LabelReader
    judge: Judging

    def __call__(self, id_range: IdRange) -> pa.Table:
        """Rows of DOUBTED."""
        tables = list(self.judge(self.reader.read(id_range)))
        return pa.concat_tables([DOUBTED.empty_table(), *tables]).combine_chunks()


@dataclass(frozen=True)
class DrawRange:
    """Takes a range's part of the sample: what an id's own chance says."""

    reader: LabelReader
    share: float
    seed: int

    def __call__(self, id_range: IdRange) -> Labelled:
        """The images drawn."""
        rows = self.reader.read(id_range)
        return rows.take(draw(rows.ids, self.seed) < self.share)


def refuse_no_table(head: Commit, table: str) -> None:
    """`ConfigError` where a model's table is not there."""
    if table not in head.tables:
        kinds = ("embeddings/", "predictions/")
        known = ", ".join(n for n in sorted(head.tables) if n.startswith(kinds)) or "none yet"
        verb = "embed" if table.startswith("embeddings/") else "classify"
        raise ConfigError(
            f"there is no table {table}; there are: {known}. Run `cvdata infer --task {verb}` "
            "first, or name another"
        )


def reader_of(workspace: Workspace, table: str, columns: Sequence[str]) -> LabelReader:
    """A reader of the pinned commit; `ConfigError` where there is no such table."""
    refuse_no_table(workspace.head, table)
    if missing := set(columns) - set(workspace.columns(table)):
        raise ConfigError(f"{table} has no {', '.join(sorted(missing))}: it is no table for this")
    has_groups = DUPLICATES in workspace.head.tables
    return LabelReader(workspace.store.url, workspace.head.seq, table, tuple(columns), has_groups)


def by_embeddings(session: Session, workspace: Workspace, options: LabelOptions) -> Found:
    """k-NN disagreement, confident learning on linear probes, and both together."""
    reader = reader_of(workspace, f"embeddings/{options.embeddings}", ["embedding"])
    ranges = workspace.ranges(RANGE_ROWS)
    counts = _counted(session, reader, ranges)
    classes = judged(counts.distinct, options.min_class)
    if len(classes) < 2:
        raise ConfigError(
            f"{len(classes)} classes have {options.min_class} labelled images or more; two are "
            "needed to tell labels apart. Lower --min-class, or name --predictions of a classifier"
        )
    rows = _sample(session, reader, ranges, options)
    labels = codes_of(rows.labels, classes)
    rows, labels = rows.take(labels >= 0), labels[labels >= 0]
    ids = np.frombuffer(b"".join(rows.keys["image_id"].to_pylist()), np.uint8).reshape(-1, 16)
    sample = Sample(ids, rows.vectors(), labels, rows.groups)
    judge, figures = learn(sample, classes, options.learning, session.run)
    found = _judge(session, reader, judge, ranges)
    n_rare = sum(n for name, n in counts.images.items() if name not in classes)
    return Found(found, {**figures, "n_classes": len(classes), "n_rare_images": n_rare})


def by_model(session: Session, workspace: Workspace, options: LabelOptions) -> Found:
    """A classifier's scores: posterior of a wrong label, and confident learning."""
    reader = reader_of(workspace, f"predictions/{options.predictions}", SCORES)
    ranges = workspace.ranges(RANGE_ROWS)
    counts = _counted(session, reader, ranges)
    rows = _sample(session, reader, ranges, options)
    listed = pc.unique(pc.list_flatten(rows.table["labels"])).to_pylist()
    given = sorted(counts.images)
    names = Names.joined(given, sorted(n for n in listed if n is not None))
    judge = learn_model(
        names, listed, scores_of(names, rows), names.codes(rows.labels), options.min_class
    )
    if not judge.is_known[names.codes(rows.labels)].any():
        raise ConfigError(
            f"no label is a class of predictions/{options.predictions}, which knows e.g. "
            f"{', '.join(map(repr, listed[:3]))}: a model of other classes cannot judge these"
        )
    known = names.codes(pa.array(given, pa.string()))
    unknown = [n for n, c in zip(given, known, strict=True) if not judge.is_known[c]]
    figures = {
        "n_model_classes": len(listed),
        "estimated_rate": round(judge.rate, 4),
        "n_unknown_images": sum(counts.images[name] for name in unknown),
    }
    return Found(_judge(session, reader, judge, ranges), figures)


def _counted(session: Session, reader: LabelReader, ranges: Sequence[IdRange]) -> LabelCounts:
    total = LabelCounts()
    for one in session.run(CountLabels(reader), ranges):
        total.add(one)
    if not total.images:
        raise ConfigError(
            "no image has a label: ingest with --label-from-folder, --label-pattern or a manifest"
        )
    return total


def _sample(
    session: Session, reader: LabelReader, ranges: Sequence[IdRange], options: LabelOptions
) -> Labelled:
    """The images that are learnt from, sorted by id."""
    n_rows = Workspace(reader.url).pin(reader.seq).head.tables[reader.table].rows
    share = 1.0 if n_rows <= options.fit_rows else options.fit_rows / n_rows
    parts = list(session.run(DrawRange(reader, share, options.learning.seed), ranges))
    parts.sort(key=lambda p: p.keys["image_id"][0].as_py() if len(p) else b"")
    return Labelled(
        pa.concat_tables(p.keys for p in parts),
        pa.chunked_array([c for p in parts for c in p.labels.chunks], pa.string()),
        np.concatenate([p.groups for p in parts]),
        np.concatenate([p.has_copy for p in parts]),
        pa.concat_tables(p.table for p in parts),
    )


def _judge(
    session: Session, reader: LabelReader, judge: Judge | ModelJudge, ranges: Sequence[IdRange]
) -> pa.Table:
    return pa.concat_tables(
        [DOUBTED.empty_table(), *session.run(JudgeRange(reader, judge), ranges)]
    )
