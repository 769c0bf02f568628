"""The map as a run: drawn from a sample on one machine, all others placed where they are read."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cvdata.chance import shares
from cvdata.commits import Commit
from cvdata.engine.session import Session
from cvdata.errors import ConfigError
from cvdata.kernels.neighbors import F32, unit_rows
from cvdata.parts import parts_digest
from cvdata.projection import Layout, Layouting, lay_out
from cvdata.reading import IdRange
from cvdata.schema import MAP
from cvdata.vectors import has_direction, matrix
from cvdata.workspace import Change, Workspace

MAP_VERSION = 1
"""Moves whenever the same vectors and settings can give another map."""
RANGE_ROWS = 32_768
LEAST_IMAGES = 5


@dataclass(frozen=True)
class VectorReader:
    """Reads the embeddings of a pinned commit."""

    url: str
    seq: int
    table: str

    def read(self, id_range: IdRange) -> tuple[pa.Table, F32]:
        """(image_id and revision of the N images that have a vector with a direction, (N, D))."""
        workspace = Workspace(self.url).pin(self.seq)
        columns = ["image_id", "revision", "error", "embedding"]
        rows = workspace.read(self.table, columns, id_range=id_range)
        rows = rows.filter(pc.is_null(rows["error"])).combine_chunks()
        vectors = matrix(rows["embedding"])
        known = has_direction(vectors)
        return rows.select(["image_id", "revision"]).filter(pa.array(known)), unit_rows(
            vectors[known]
        )


@dataclass(frozen=True)
class DrawVectors:
    """A range's part of the sample: at most `most`, those that drew the smallest numbers."""

    reader: VectorReader
    most: int
    seed: int

    def __call__(self, id_range: IdRange) -> tuple[list[bytes], list[float], F32]:
        """(ids, numbers drawn, vectors)."""
        keys, vectors = self.reader.read(id_range)
        drawn = shares(keys["image_id"], self.seed)
        kept = np.sort(np.argsort(drawn, kind="stable")[: self.most])
        ids = keys["image_id"].take(pa.array(kept)).to_pylist()
        return ids, drawn[kept].tolist(), vectors[kept]


@dataclass(frozen=True)
class PlaceRange:
    """Places one range on the map; images of the sample keep their points."""

    reader: VectorReader
    layout: Layout
    ids: pa.Array

    def __call__(self, id_range: IdRange) -> pa.Table:
        """Rows of MAP."""
        keys, vectors = self.reader.read(id_range)
        at = np.asarray(pc.fill_null(pc.index_in(keys["image_id"], value_set=self.ids), -1))
        is_fitted = at >= 0
        points = np.empty((len(at), 2), np.float32)
        points[is_fitted] = self.layout.points[at[is_fitted]]
        if not is_fitted.all():
            points[~is_fitted] = self.layout.place(vectors[~is_fitted])
        columns = [*keys.columns, pa.array(points[:, 0]), pa.array(points[:, 1])]
        return pa.table([*columns, pa.array(is_fitted)], schema=MAP)


def table_of(model: str) -> str:
    """The table of a model's map."""
    return f"map/{model}"


def draw_map(
    session: Session, workspace: Workspace, model: str, how: Layouting, most: int
) -> pa.Table:
    """Rows of MAP for every image with an embedding, sorted by id."""
    reader = VectorReader(workspace.store.url, workspace.head.seq, f"embeddings/{model}")
    ranges = workspace.ranges(RANGE_ROWS)
    ids: list[bytes] = []
    drawn: list[float] = []
    vectors: list[F32] = []
    for some, numbers, rows in session.run(DrawVectors(reader, most, how.seed), ranges):
        ids += some
        drawn += numbers
        vectors.append(rows)
    if len(ids) < LEAST_IMAGES:
        raise ConfigError(f"embeddings/{model} has {len(ids)} vectors; a map needs {LEAST_IMAGES}")
    # The smallest numbers of all, in the order of the ids: the same from any ranges and workers.
    chosen = sorted(range(len(ids)), key=lambda i: (drawn[i], ids[i]))[:most]
    chosen.sort(key=lambda i: ids[i])
    layout = lay_out(np.concatenate(vectors)[chosen], how)
    known = pa.array([ids[i] for i in chosen], pa.binary(16))
    placed = list(session.run(PlaceRange(reader, layout, known), ranges))
    return pa.concat_tables(placed).sort_by("image_id")


def refuse_without(head: Commit, model: str) -> None:
    """`ConfigError` where the model has embedded nothing."""
    if f"embeddings/{model}" not in head.tables:
        there = ", ".join(n for n in head.tables if n.startswith("embeddings/")) or "none"
        raise ConfigError(
            f"there is no table embeddings/{model}; there are: {there}. Run `cvdata infer --model "
            f"{model}` first"
        )


def n_vectors(head: Commit, model: str) -> int:
    """Images that the model embedded; `ConfigError` where they make no map."""
    parts = head.tables[f"embeddings/{model}"].parts
    n = sum(part.rows - sum(part.errors.values()) for part in parts)
    if n < LEAST_IMAGES:
        raise ConfigError(f"embeddings/{model} has {n} vectors; a map needs {LEAST_IMAGES}")
    return n


def _origin(head: Commit, model: str, settings: str) -> dict[str, Any]:
    read = ["records", f"embeddings/{model}"]
    parts = [p for name in read if name in head.tables for p in head.tables[name].parts]
    inputs = parts_digest(parts)
    return {"inputs": inputs, "settings": settings, "version": MAP_VERSION}


def is_current(head: Commit, model: str, settings: str) -> bool:
    """Whether the committed map is of these very vectors and settings."""
    state = head.tables.get(table_of(model))
    wanted: Mapping[str, Any] = _origin(head, model, settings)
    return state is not None and all(state.meta.get(k) == v for k, v in wanted.items())


def publish(change: Change, model: str, rows: pa.Table, settings: str) -> None:
    """The map in one commit, with what it was drawn from."""
    meta = {"computed_from": change.base.seq, **_origin(change.base, model, settings)}
    change.replace(table_of(model), [rows], MAP, meta=meta)
