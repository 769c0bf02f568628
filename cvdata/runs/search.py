"""Search: what a query is in the model's space, and the images nearest to it."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cvdata.commits import Commit
from cvdata.errors import ConfigError, ErrorCode, ImageError, WorkspaceError
from cvdata.image import Limits
from cvdata.index.exact import SPARE, Nearest, nearest
from cvdata.index.kept import Card
from cvdata.kernels.neighbors import F32, unit_rows
from cvdata.models import ModelOptions, Task, resolve
from cvdata.models.text import text_vectors
from cvdata.parts import find_rows, open_part
from cvdata.runs.index_files import is_current, open_index, read_card
from cvdata.runs.index_rows import Rows, dimension_of, live_rows, read_vectors
from cvdata.schema import ID, RECORDS
from cvdata.sources.listing import revision_of
from cvdata.sources.record import Record, record_table
from cvdata.sources.uris import encode_path, local_path
from cvdata.stages.predict import Inference, Predict
from cvdata.storage import Store
from cvdata.workspace import Workspace


@dataclass(frozen=True)
class Neighbor:
    """One image that was found. `score` is the cosine to the query, 1 is the same vector."""

    rank: int
    score: float
    image_id: str
    path: str
    uri: str
    source: str
    split: str | None
    label: str | None


@dataclass(frozen=True)
class Found:
    """The nearest images, best first, how they were found, and their rows of `records`."""

    neighbors: tuple[Neighbor, ...]
    notes: tuple[str, ...]
    is_exact: bool
    card: Card | None
    records: pa.Table

    @property
    def how(self) -> str:
        """By what they were found, for a person."""
        if self.card is None:
            return "every vector compared"
        m, card = self.card.measured, self.card
        k = int(card.settings["k"])
        return f"{card.factory}, recall@{k} {m.at[k]} of {m.n_queries:,} held-out queries"

    def above(self, score: float) -> "Found":
        """Without what is less alike."""
        return replace(self, neighbors=tuple(n for n in self.neighbors if n.score >= score))

    def to_json(self) -> dict[str, Any]:
        """For machines."""
        return {
            "how": self.how,
            "neighbors": [asdict(one) for one in self.neighbors],
            "is_exact": self.is_exact,
            "notes": list(self.notes),
        }


@dataclass(frozen=True)
class Encoder:
    """The model whose vectors lie in `table`, proved to be the same by its fingerprint."""

    inference: Inference

    @staticmethod
    def of(
        head: Commit, url: str, request: tuple[str, str, ModelOptions], limits: Limits
    ) -> "Encoder":
        """`request`: model, name of its embeddings, options. `ConfigError` for another model."""
        name, table, options = request
        model = resolve(name, options)
        if model.task is not Task.EMBED:
            raise ConfigError(f"{name} is asked to {model.task}; searching needs vectors")
        state = head.tables[f"embeddings/{table}"]
        generation = int(state.meta.get("generation", 0))
        inference = Inference(model, table, limits, generation=generation)
        if inference.fingerprint != state.fingerprint:
            made = ", ".join(f"{k} {state.meta.get(k)}" for k in ("model", "weights", "dimension"))
            raise ConfigError(
                f"embeddings/{table} in {url} were not made by {name} as it is asked for here "
                f"(they were by {made}): give the weights, parameters and limits that "
                "`cvdata infer` was given"
            )
        return Encoder(inference)

    def image(self, path: str) -> F32:
        """(1, D): the vector of an image file, fetched and decoded as any image is."""
        rows = file_record(path)
        table = Predict(self.inference)(rows)[self.inference.table]
        error, detail = table["error"][0].as_py(), table["error_detail"][0].as_py()
        if error is not None:
            raise ConfigError(f"{path} cannot be used: {ImageError(ErrorCode(error), detail)}")
        return unit_rows(np.array(table["embedding"].to_pylist(), np.float32))

    def text(self, text: str) -> F32:
        """(1, D): the vector of words."""
        return unit_rows(text_vectors(self.inference.runner().model, [text]))


def file_record(path: str) -> pa.Table:
    """One row of `records` for a local file; `ConfigError` where there is none."""
    raw = local_path(path)
    try:
        found = Path(path.removeprefix("file://")).stat()
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror}") from error
    revision = revision_of(found.st_size, found.st_mtime_ns)
    return record_table("query", [Record(raw, encode_path(raw), revision, found.st_size)])


def image_vector(store: Store, head: Commit, table: str, image_id: bytes) -> F32:
    """(1, D): the committed vector of an image; `ConfigError` where it has none."""
    records = records_of(store, head, [image_id])
    if not len(records):
        raise ConfigError(f"no image {image_id.hex()} is in {store.url}")
    revision = records["revision"][0].as_py()
    for part in head.tables[table].parts:
        with open_part(store, part.path) as file:
            keys = file.read(columns=["image_id", "revision"])
            at = pc.index(keys["image_id"], pa.scalar(image_id, ID)).as_py()
            if at < 0 or keys["revision"][at].as_py() != revision:
                continue
            row = file.read(columns=["error", "embedding"]).slice(at, 1)
        if row["error"][0].as_py() is not None:
            raise ConfigError(f"{image_id.hex()} has no vector: {row['error'][0].as_py()}")
        return unit_rows(np.array(row["embedding"].to_pylist(), np.float32))
    raise ConfigError(
        f"{image_id.hex()} is not in {table} yet: run `cvdata infer --workspace {store.url}`"
    )


def search(
    workspace: Workspace,
    model: str,
    query: F32,
    k: int,
    *,
    own: bytes = b"",
    is_exact: bool = False,
) -> Found:
    """The k live images whose vectors in embeddings/`model` are nearest to `query` (1, D).

    By the index where there is one, else by comparing every vector; `own` is left out. Raises
    `WorkspaceError` where the index is damaged or of other vectors.
    """
    store, head = workspace.store, workspace.head
    table = f"embeddings/{model}"
    notes: list[str] = []
    card = None if is_exact else read_card(store, head, model)
    if card is None:
        near, keys, notes = _exact(store, head, table, query, k)
    else:
        if card.fingerprint != head.tables[table].fingerprint:
            raise WorkspaceError(
                f"the index is not of the vectors in {table}, which another model made since: "
                f"run `cvdata index --model {model}`, or search with --exact"
            )
        if not is_current(head, card):
            notes.append(
                f"the index is older than {table}: it was built from commit "
                f"{card.computed_from}; run `cvdata index --model {model}`"
            )
        opened = open_index(store, head, card)
        near, keys = _indexed(store, head, opened, query, k)
    return _told(store, head, (near, keys), k, own, (tuple(notes), card))


def _indexed(
    store: Store, head: Commit, opened: Any, query: F32, k: int
) -> tuple[Nearest, pa.Table]:
    """Enough rows that k of them are live; codes' scores are made exact from the table."""
    searcher, keys, n_asked = opened.searcher, opened.keys, k + 1 + SPARE
    while True:
        near = searcher.search(query, n_asked)
        rows = near.rows[0][near.rows[0] >= 0]
        some = keys.take(pa.array(rows))
        is_live = np.asarray(_is_live(store, head, some))
        if is_live.sum() > k or n_asked >= searcher.n:
            break
        n_asked *= 4
    rows, scores = rows[is_live], near.scores[0][: len(is_live)][is_live]
    if not searcher.is_exact:
        scores = _exact_scores(store, head, opened.card.table, keys.take(pa.array(rows)), query)
    best = Nearest(scores[None], np.arange(len(rows))[None]).best(len(rows))
    return best, keys.take(pa.array(rows))


def _is_live(store: Store, head: Commit, keys: pa.Table) -> pa.Array:
    records = records_of(store, head, keys["image_id"].to_pylist())
    at = pc.index_in(keys["image_id"], value_set=records["image_id"].combine_chunks())
    same = pc.equal(records["revision"].take(at), keys["revision"])
    return pc.fill_null(same, False).combine_chunks()


def _exact_scores(store: Store, head: Commit, table: str, keys: pa.Table, query: F32) -> Any:
    """Cosines from the vectors themselves, of an index that holds codes of them."""
    scores = np.full(len(keys), -1.0)
    for part in head.tables[table].parts:
        with open_part(store, part.path) as file:
            ids = file.read(columns=["image_id"])["image_id"]
            at = np.asarray(pc.fill_null(pc.index_in(keys["image_id"], ids.combine_chunks()), -1))
            mine = np.flatnonzero(at >= 0)
            if not len(mine):
                continue
            column = file.read(columns=["embedding"])["embedding"].take(pa.array(at[mine]))
        vectors = unit_rows(np.array(column.to_pylist(), np.float32)).astype(np.float64)
        scores[mine] = vectors @ query[0].astype(np.float64)
    return scores


def _exact(
    store: Store, head: Commit, table: str, query: F32, k: int
) -> tuple[Nearest, pa.Table, list[str]]:
    """Every vector compared, a slice of the table in memory at a time."""
    rows: Rows = live_rows(store, head, table)
    near, none = Nearest.none(1), np.array([-1])
    for numbers, vectors in _vectors(store, head, table, rows):
        near = near.merged(nearest(query, none, vectors, numbers, k + 1), k + 1)
    kept = near.rows[0][near.rows[0] >= 0]
    best = Nearest(near.scores[:, : len(kept)], np.arange(len(kept))[None])
    return best, rows.keys.take(pa.array(kept)), [f"exact search of {len(rows):,} vectors"]


def _vectors(store: Store, head: Commit, table: str, rows: Rows) -> Iterator[tuple[Any, F32]]:
    dimension = dimension_of(store, head, table)
    return read_vectors(store, rows, np.arange(len(rows)), dimension)


def _told(
    store: Store,
    head: Commit,
    found: tuple[Nearest, pa.Table],
    k: int,
    own: bytes,
    how: tuple[tuple[str, ...], Card | None],
) -> Found:
    near, keys = found
    ids = keys["image_id"].to_pylist()
    order = [i for i in near.rows[0].tolist() if ids[i] != own]
    scores = dict(zip(near.rows[0].tolist(), near.scores[0].tolist(), strict=True))
    records = records_of(store, head, [ids[i] for i in order])
    by_id = {row["image_id"]: row for row in records.to_pylist()}
    kept = [i for i in order if ids[i] in by_id][:k]
    neighbors = tuple(
        _neighbor(rank, scores[i], by_id[ids[i]]) for rank, i in enumerate(kept, start=1)
    )
    wanted = pa.array([ids[i] for i in kept], ID)
    shown = records.filter(pc.is_in(records["image_id"], wanted))
    notes, card = how
    return Found(neighbors, notes, card is None, card, shown)


def _neighbor(rank: int, score: float, row: dict[str, Any]) -> Neighbor:
    path = row["key"].decode("utf-8", "backslashreplace")
    return Neighbor(
        rank, round(float(score), 6), row["image_id"].hex(), path, row["uri"], row["source"],
        row["split"], row["label"],
    )  # fmt: skip


def records_of(store: Store, head: Commit, ids: list[bytes]) -> pa.Table:
    """The rows of `records` of these images, in any order."""
    return find_rows(store, head.tables["records"].parts, RECORDS, "image_id", pa.array(ids, ID))
