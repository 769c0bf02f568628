"""Outliers as a run: what there is to read, a sample, a fit, scores on the cluster, ranks."""

import json
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cvdata.chance import shares
from cvdata.commits import Commit
from cvdata.engine.session import Session
from cvdata.engine.verbs import Accumulator, TableReader, fold
from cvdata.errors import ConfigError
from cvdata.outliers.measured import HISTOGRAMS, MEASURES
from cvdata.outliers.objects import CountFold, Counts, objects_column
from cvdata.outliers.projection import Projection
from cvdata.outliers.rows import OBJECTS, RECONSTRUCTION, VECTOR, Rows, column_of
from cvdata.outliers.settings import ON_EMBEDDINGS, ON_MEASURES, Options
from cvdata.parts import parts_digest
from cvdata.reading import IdRange
from cvdata.vectors import matrix
from cvdata.workspace import Workspace

OUTLIERS_VERSION = 2
"""Moves whenever scores, ranks or flags of the same inputs can change."""
PCA_ROWS = 20_000
"""Embeddings that the projection is fitted on at most, as they are."""
RANGE_BYTES = 128 << 20
MOST_ROWS = 1 << 18
RECONSTRUCTION_TABLE = "reconstruction"


@dataclass(frozen=True)
class Inputs:
    """The tables of one commit that outliers are computed from; an empty name: there is none."""

    url: str
    seq: int
    measures: tuple[str, ...] = ()
    embeddings: str = ""
    dimension: int = 0
    predictions: str = ""
    has_reconstruction: bool = False
    digest: str = ""

    @property
    def facts(self) -> dict[str, list[str]]:
        """Columns by table, embeddings left out."""
        tables: dict[str, list[str]] = {"records": ["label", "boxes"]}
        if self.measures:
            tables["measures"] = list(self.measures)
        if self.predictions:
            tables[self.predictions] = ["labels", "scores"]
        if self.has_reconstruction:
            tables[RECONSTRUCTION_TABLE] = list(RECONSTRUCTION)
        return tables

    def reader(self, *, is_whole: bool) -> TableReader:
        """Reads everything, or all but the embeddings."""
        vectors = {self.embeddings: ["embedding"]} if self.embeddings and is_whole else {}
        return TableReader(self.url, self.seq, {**self.facts, **vectors})

    @property
    def range_rows(self) -> int:
        """Images of a range: so many that their embeddings fit a worker's memory."""
        rows = RANGE_BYTES // (4 * max(self.dimension, 256))
        return int(min(MOST_ROWS, 1 << (rows.bit_length() - 1)))


def find_inputs(
    workspace: Workspace, options: Options, embeddings: str, predictions: str
) -> Inputs:
    """What there is of what the methods need; `ConfigError` where what was named is not there."""
    head = workspace.head
    measures: tuple[str, ...] = ()
    if set(options.methods) & set(ON_MEASURES) and "measures" in workspace.tables():
        known = set(workspace.columns("measures"))
        measures = tuple(n for n in (*MEASURES, *HISTOGRAMS) if n in known)
    table = ""
    if set(options.methods) & set(ON_EMBEDDINGS):
        table = _table(head, "embeddings", embeddings, "cvdata infer --task embed")
    predicted = ""
    if "objects" in options.methods and predictions:
        predicted = _table(head, "predictions", predictions, "cvdata infer --task detect")
    dimension = int(head.tables[table].meta.get("dimension") or 0) if table else 0
    is_reconstructed = "reconstruction" in options.methods and RECONSTRUCTION_TABLE in head.tables
    found = Inputs(
        workspace.store.url, head.seq, measures, table, dimension, predicted, is_reconstructed
    )
    return replace(found, digest=_digest(head, found))


def _table(head: Commit, kind: str, name: str, command: str) -> str:
    """`kind/name`; without a name the only one, or the default model's, or none."""
    there = sorted(n for n in head.tables if n.startswith(f"{kind}/"))
    if name:
        if f"{kind}/{name}" not in there:
            known = ", ".join(n.partition("/")[2] for n in there) or "none yet"
            raise ConfigError(f"there is no {kind}/{name} (there are: {known}): run `{command}`")
        return f"{kind}/{name}"
    if f"{kind}/default" in there:
        return f"{kind}/default"
    if len(there) > 1:
        known = ", ".join(n.partition("/")[2] for n in there)
        raise ConfigError(f"several tables of {kind}: say which with --{kind} ({known})")
    return there[0] if there else ""


def _digest(head: Commit, inputs: Inputs) -> str:
    """Of every part that is read."""
    names = [n for n in inputs.facts if n != "measures"] + [inputs.embeddings] * bool(
        inputs.embeddings
    )
    if inputs.measures:
        names += [n for n in head.tables if n.startswith("measures/")]
    return parts_digest(part for n in names for part in head.tables[n].parts)


@dataclass(frozen=True)
class View:
    """From joined tables to what methods see: embeddings projected, objects named."""

    inputs: Inputs
    projection: Projection | None
    object_score: float

    def __call__(self, table: pa.Table) -> pa.Table:
        """image_id, revision, label, and what else there is (`Rows`)."""
        columns: dict[str, Any] = {n: table[n] for n in ("image_id", "revision", "label")}
        columns |= {name: table[name] for name in self.inputs.measures}
        if self.projection is not None and "embedding" in table.column_names:
            columns[VECTOR] = pa.chunked_array(
                [column_of(*self.projection.apply(matrix(table["embedding"])))]
            )
        objects = objects_column(table, self.object_score)
        if objects is not None:
            columns[OBJECTS] = objects
        if self.inputs.has_reconstruction:
            columns |= {name: table[name] for name in RECONSTRUCTION}
        return pa.table(columns)


@dataclass(frozen=True)
class SampleFold:
    """Collects the rows whose share of their id is below `rate`; sorted by image_id at the end."""

    rate: float
    seed: int
    view: View | None = None

    def zero(self) -> list[pa.Table]:
        """Nothing yet."""
        return []

    def update(self, acc: list[pa.Table], table: pa.Table) -> list[pa.Table]:
        """Those of a range."""
        kept = table.filter(pa.array(shares(table["image_id"], self.seed) < self.rate))
        if self.view is None:
            kept = kept.select(["image_id", "embedding"])
            return [*acc, kept.filter(pc.is_valid(kept["embedding"]))]
        return [*acc, self.view(kept)]

    def merge(self, a: list[pa.Table], b: list[pa.Table]) -> list[pa.Table]:
        """Both."""
        return a + b

    def finalize(self, acc: list[pa.Table]) -> pa.Table:
        """All of them, in the order of the ids."""
        return pa.concat_tables(acc).sort_by("image_id").combine_chunks()


@dataclass(frozen=True)
class ViewedCounts:
    """`CountFold` over joined tables."""

    view: View

    def zero(self) -> Counts:
        """Nothing yet."""
        return CountFold().zero()

    def update(self, acc: Counts, table: pa.Table) -> Counts:
        """Add a range."""
        return CountFold().update(acc, self.view(table))

    def merge(self, a: Counts, b: Counts) -> Counts:
        """Both."""
        return CountFold().merge(a, b)

    def finalize(self, acc: Counts) -> Counts:
        """As it is."""
        return acc


@dataclass(frozen=True)
class Sampled:
    """What the fit sees: the view, the sample's rows, and counts over every image."""

    view: View
    rows: Rows
    counts: Counts
    n_images: int


def take_sample(
    session: Session, workspace: Workspace, inputs: Inputs, options: Options
) -> Sampled:
    """Two folds over the tables: one for the projection, one for the sample that it projects."""
    n = max(workspace.tables()["records"], 1)
    ranges = workspace.ranges(inputs.range_rows)

    def gather(what: Accumulator[Any, Any], *, is_whole: bool) -> Any:
        return fold(session, what, inputs.reader(is_whole=is_whole), ranges)

    projection = None
    if inputs.embeddings:
        reader = TableReader(inputs.url, inputs.seq, {inputs.embeddings: ["embedding"]})
        some = SampleFold(min(1.0, PCA_ROWS / n), options.seed)
        raw = fold(session, some, reader, ranges)
        vectors = matrix(raw["embedding"])
        if np.isfinite(vectors).all(axis=1).sum() >= 2:
            projection = Projection.fit(vectors, options.variance, options.dimensions)
    view = View(inputs, projection, options.object_score)
    counts = gather(ViewedCounts(view), is_whole=False)
    rate = min(1.0, options.sample / n)
    rows = gather(SampleFold(rate, options.seed, view), is_whole=True)
    return Sampled(view, Rows(rows), counts, workspace.tables()["records"])


def settings_text(options: Options, inputs: Inputs) -> str:
    """Everything that was chosen, canonically: what a table says that it was made with."""
    chosen = asdict(replace(options, rules={}))
    chosen["rules"] = {m: options.rule(m).model_dump(exclude_none=True) for m in options.methods}
    names = {"embeddings": inputs.embeddings, "predictions": inputs.predictions}
    return json.dumps({"version": OUTLIERS_VERSION, **chosen, **names}, sort_keys=True)


def is_current(head: Commit, inputs: Inputs, settings: str) -> bool:
    """Whether the committed outliers are those of these very tables and settings."""
    state = head.tables.get("outliers")
    wanted = {"inputs": inputs.digest, "settings": settings}
    return state is not None and all(state.meta.get(k) == v for k, v in wanted.items())


def refuse_nothing(inputs: Inputs, options: Options) -> None:
    """`ConfigError` where no method has anything to look at."""
    asked = set(options.methods)
    can = bool(inputs.measures) or bool(inputs.embeddings) or inputs.has_reconstruction
    if not can and "objects" not in asked:
        raise ConfigError(
            f"nothing for {', '.join(options.methods)} to look at in {inputs.url}: run `cvdata "
            "scan` for measures, `cvdata infer` for embeddings, or choose other --methods"
        )


def range_items(workspace: Workspace, inputs: Inputs) -> list[tuple[int, IdRange]]:
    """Numbered ranges."""
    return list(enumerate(workspace.ranges(inputs.range_rows)))
