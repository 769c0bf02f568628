"""From scored blocks to the table `outliers`: ranks over all of them, rows written by workers."""

import json
import secrets
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cvdata.commits import TableState
from cvdata.engine.session import EngineConfig, Session
from cvdata.engine.shuffle import SPILL
from cvdata.outliers.fitting import Fitted, fit
from cvdata.outliers.rows import F64
from cvdata.outliers.scoring import outlier_rows, ranked
from cvdata.outliers.settings import Options
from cvdata.parts import Part, PartSpec, read_columns, write_content
from cvdata.runs.outliers import Inputs, Sampled, range_items, take_sample
from cvdata.runs.outliers_scoring import (
    Block,
    ClassPlan,
    ScoreClasses,
    ScoreRange,
    read_arrow,
    score_classes,
    write_arrow,
)
from cvdata.schema import OUTLIERS
from cvdata.storage import Store, digest
from cvdata.workspace import Change, Workspace

RANKS = ".ranks"


@dataclass(frozen=True)
class WriteRows:
    """One block's rows of `outliers`, from its scores and its places among all."""

    store: Store
    spec: PartSpec
    agree: int

    def __call__(self, path: str) -> tuple[Part, dict[str, tuple[int, int]]]:
        """The part, and by method how many rows and how many flags."""
        table, placed = read_arrow(self.store, path), read_arrow(self.store, path + RANKS)
        places = {
            m: tuple(np.asarray(placed[f"{m}.{what}"]) for what in ("score", "rank", "share"))
            for m in json.loads(placed.schema.metadata[b"methods"])
        }
        rows = outlier_rows(table, places, self.agree)  # type: ignore[arg-type]
        counted = rows.group_by("method").aggregate([([], "count_all"), ("is_flagged", "sum")])
        tally = {
            r["method"]: (r["count_all"], int(r["is_flagged_sum"])) for r in counted.to_pylist()
        }
        return write_content(self.store, self.spec, rows), tally


def find_outliers(
    change: Change, engine: EngineConfig, inputs: Inputs, options: Options
) -> tuple[TableState, dict[str, Any]]:
    """Sample, fit, score, rank, write; the table's state and the figures."""
    workspace = Workspace(change.store.url, store=change.store).pin(inputs.seq)
    folder = f"{SPILL}/{secrets.token_hex(8)}"
    blocks: list[Block] = []
    with Session(engine) as session, _removed(change.store, folder):
        sampled = take_sample(session, workspace, inputs, options)
        fitted = fit(sampled.rows, None, options, sampled.counts)
        reader = inputs.reader(is_whole=True)
        work = ScoreRange(change.store, folder, reader, sampled.view, fitted)
        items = range_items(workspace, inputs)
        blocks += sorted(session.run(work, items), key=lambda block: block.path)
        n_all = len(blocks)
        plan = ClassPlan.of(sampled.counts.labels if options.is_per_class else {}, options)
        classes = ScoreClasses(change.store, folder, plan, options, sampled.counts)
        ranges = [id_range for _, id_range in items]
        blocks += score_classes(session, classes, reader, ranges, sampled.view)
        for some in (blocks[:n_all], blocks[n_all:]):
            _write_ranks(change.store, some)
        spec = PartSpec("outliers", digest(OUTLIERS.serialize()), OUTLIERS)
        write = WriteRows(change.store, spec, options.agree)
        done = list(session.run(write, [block.path for block in blocks]))
    parts = {part.path: part for part, _ in done if part.rows}
    if not parts:
        empty = write_content(change.store, spec, OUTLIERS.empty_table())
        parts = {empty.path: empty}
    state = TableState(spec.fingerprint, tuple(parts[p] for p in sorted(parts)))
    return state, _figures(fitted, sampled, plan, blocks, _tallied(change.store, parts.values()))


@contextmanager
def _removed(store: Store, folder: str) -> Iterator[None]:
    """What workers pass on through files goes when the run does, however it ends."""
    try:
        yield
    finally:
        for entry in list(store.list(folder)):
            store.delete(entry.path)


def _tallied(store: Store, parts: Any) -> dict[str, dict[str, int]]:
    """Rows and flags by method and scope."""
    tally: dict[str, dict[str, int]] = {}
    for part in parts:
        rows = read_columns(store, [part], OUTLIERS, ["method", "class", "is_flagged"])
        rows = rows.append_column("in_class", pc.is_valid(rows["class"]))
        counted = rows.group_by(["method", "in_class"]).aggregate(
            [([], "count_all"), ("is_flagged", "sum")]
        )
        for r in counted.to_pylist():
            one = tally.setdefault(r["method"], {})
            where = "class" if r["in_class"] else "dataset"
            one[f"n_{where}"] = one.get(f"n_{where}", 0) + r["count_all"]
            one[f"flagged_{where}"] = one.get(f"flagged_{where}", 0) + int(r["is_flagged_sum"])
    return tally


def _write_ranks(store: Store, blocks: Sequence[Block]) -> None:
    """The places of every block's rows among all rows of their scope, as a file beside it."""
    if not blocks:
        return
    methods = list(dict.fromkeys(m for block in blocks for m in block.scores))
    scores = {
        m: np.concatenate([_or_nan(block, m).astype(np.float64) for block in blocks])
        for m in methods
    }
    names = sorted({c or "" for block in blocks for c in block.classes})
    number = {name: i for i, name in enumerate(names)}
    groups = np.concatenate(
        [np.array([number[c or ""] for c in b.classes], np.int64)[b.codes] for b in blocks]
    )
    places = ranked(scores, groups)
    start = 0
    for block in blocks:
        at = slice(start, start + block.n)
        start += block.n
        columns = {
            f"{m}.{what}": pa.array(values[at])
            for m, found in places.items()
            for what, values in zip(("score", "rank", "share"), found, strict=True)
        }
        table = pa.table(columns).replace_schema_metadata({"methods": json.dumps(list(places))})
        write_arrow(store, block.path + RANKS, table)


def _or_nan(block: Block, method: str) -> F64:
    return block.scores.get(method, np.full(block.n, np.nan))


def _figures(
    fitted: Fitted,
    sampled: Sampled,
    plan: ClassPlan,
    blocks: Sequence[Block],
    tally: Mapping[str, Mapping[str, int]],
) -> dict[str, Any]:
    """What the run was made from and what it found, for people and for the report."""
    knn = fitted.methods.get("knn")
    projection = sampled.view.projection
    usual = {m: asdict(u) for m, u in fitted.usual.items()}
    of_classes = {c: s for block in blocks for c, s in block.skipped.items() if s}
    return {
        "n_images": sampled.n_images,
        "n_sample": len(sampled.rows),
        "n_classes": len(plan.partitions),
        "n_small_classes": len(sampled.counts.labels) - len(plan.partitions),
        "embeddings": sampled.view.inputs.embeddings,
        "predictions": sampled.view.inputs.predictions,
        "dimension": projection.dimension if projection else None,
        "variance": projection.variance if projection else None,
        "recall": knn.index.recall if knn else None,
        "methods": {m: {**counts, "usual": usual.get(m)} for m, counts in sorted(tally.items())},
        "skipped": dict(fitted.skipped),
        "n_classes_with_less": sum(bool(set(s) - set(fitted.skipped)) for s in of_classes.values()),
        "clusters": [c.told() for c in fitted.methods["kmeans"].clusters if c.is_rare]
        if "kmeans" in fitted.methods
        else [],
    }


def publish(
    change: Change, state: TableState, figures: Mapping[str, Any], inputs: Inputs, settings: str
) -> None:
    """The table and its figures in one commit, with what they were computed from."""
    meta = {"computed_from": inputs.seq, "inputs": inputs.digest, "settings": settings}
    change.put_state("outliers", TableState(state.fingerprint, state.parts, meta))
    text = json.dumps(_plain(figures), indent=1, sort_keys=True, allow_nan=False)
    change.artifact("outliers.json", text.encode(), "summary", ".json")


def _plain(value: Any) -> Any:
    """Without infinities, which are no JSON."""
    if isinstance(value, float):
        return value if np.isfinite(value) else None
    if isinstance(value, Mapping):
        return {key: _plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    return value


def lines(figures: Mapping[str, Any]) -> list[str]:
    """The figures for a person."""
    text = [
        f"outliers: {figures['n_images']:,} images, fitted on {figures['n_sample']:,}, "
        f"{figures['n_classes']:,} classes by themselves"
    ]
    if figures["dimension"]:
        text.append(
            f"  {figures['embeddings']} in {figures['dimension']} dimensions "
            f"({figures['variance']:.1%} of the variance)"
        )
    for name, m in figures["methods"].items():
        text.append(
            f"  {name:<18} {m.get('flagged_dataset', 0):>8,} flagged of "
            f"{m.get('n_dataset', 0):,}; in classes {m.get('flagged_class', 0):,}"
        )
    text += [f"  {name:<18} left out: {why}" for name, why in figures["skipped"].items()]
    text += [f"  {c['name']}: {c['size']:,} images" for c in figures["clusters"]]
    return text
