"""Indexes in a workspace: which there are, whether they are current, and reading one safely."""

import json
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from cvdata.commits import Artifact, Commit
from cvdata.errors import WorkspaceError
from cvdata.index.kept import Card, read_index
from cvdata.index.searcher import Searcher
from cvdata.parts import parts_digest
from cvdata.runs.index_rows import KEYS
from cvdata.storage import Store, digest

FOLDER = "index"
FILE, IDS, CARD = ".faiss", ".ids.parquet", ".json"


@dataclass(frozen=True)
class Opened:
    """An index as it was committed: row i of `keys` (image_id, revision) is its row i."""

    card: Card
    searcher: Searcher
    keys: pa.Table


def artifact_name(model: str, suffix: str) -> str:
    """Under which name a commit has a file of the index of embeddings/`model`."""
    return f"{FOLDER}/{model}{suffix}"


def indexed_models(head: Commit) -> list[str]:
    """The models whose embeddings have an index."""
    return sorted(
        name[len(FOLDER) + 1 : -len(CARD)]
        for name in head.artifacts
        if name.startswith(f"{FOLDER}/") and name.endswith(CARD)
    )


def inputs_of(head: Commit, table: str) -> str:
    """Digest of what an index of `table` is computed from: its parts and those of records."""
    return parts_digest([*head.tables[table].parts, *head.tables["records"].parts])


def read_card(store: Store, head: Commit, model: str) -> Card | None:
    """What is known of the index of embeddings/`model`; None where there is none."""
    entry = head.artifacts.get(artifact_name(model, CARD))
    if entry is None:
        return None
    data = store.get(entry.path)
    _refuse_other_digest(entry.path, digest(data), entry.sha256)
    try:
        value: dict[str, Any] = json.loads(data)
    except ValueError as error:
        raise WorkspaceError(f"{entry.path} is damaged: {error}") from error
    return Card.from_json(value)


def is_current(head: Commit, card: Card) -> bool:
    """Whether the index is of the vectors that are committed now."""
    state = head.tables.get(card.table)
    if state is None or "records" not in head.tables:
        return False
    return card.fingerprint == state.fingerprint and card.inputs == inputs_of(head, card.table)


def open_index(store: Store, head: Commit, card: Card) -> Opened:
    """Read the index that `card` tells of, and its ids.

    Only by the digests that commit and card name, both the same; then dimension, metric and counts
    must agree. Anything else raises `WorkspaceError`.
    """
    index_file = _entry(head, card.model, FILE, card.index_sha256)
    ids_file = _entry(head, card.model, IDS, card.ids_sha256)
    if card.table != f"embeddings/{card.model}":
        raise WorkspaceError(f"the index of {card.model} is of {card.table}: a foreign index")
    try:
        with store.local_copy(index_file.path) as path:
            with path.open("rb") as file:
                _refuse_other_digest(index_file.path, _sha256(file), index_file.sha256)
            index = read_index(path, card)
        data = store.get(ids_file.path)
    except FileNotFoundError as error:
        raise WorkspaceError(
            f"a file of the index of {card.model} is missing ({error.filename}); "
            f"run `cvdata index --model {card.model} --rebuild`"
        ) from error
    _refuse_other_digest(ids_file.path, digest(data), ids_file.sha256)
    keys = pq.read_table(pa.BufferReader(data)).replace_schema_metadata(None)
    if keys.schema != KEYS or len(keys) != card.n:
        raise WorkspaceError(f"{ids_file.path} does not hold the {card.n:,} ids of its index")
    searcher = Searcher(index)
    if searcher.parameter != card.parameter:
        raise WorkspaceError(f"{index_file.path} is no {card.factory}: a foreign index")
    searcher.set_effort(card.effort)
    return Opened(card, searcher, keys.combine_chunks())


def _entry(head: Commit, model: str, suffix: str, sha256: str) -> Artifact:
    entry = head.artifacts.get(artifact_name(model, suffix))
    if entry is None or entry.sha256 != sha256:
        raise WorkspaceError(f"the index of {model} and its card are not of one run")
    return entry


def _sha256(file: Any) -> str:
    import hashlib

    return hashlib.file_digest(file, "sha256").hexdigest()


def _refuse_other_digest(path: str, found: str, wanted: str) -> None:
    if found != wanted:
        raise WorkspaceError(
            f"{path} does not match its digest and is not opened; run `cvdata verify`, then "
            "`cvdata index --rebuild`"
        )


def status_line(store: Store, head: Commit, model: str) -> str:
    """One line for `cvdata status`."""
    try:
        card = read_card(store, head, model)
    except (WorkspaceError, FileNotFoundError) as error:
        return f"index {model}: cannot be read ({error})"
    if card is None:
        return f"index {model}: there is none"
    state = "current" if is_current(head, card) else "older than its embeddings: run `cvdata index`"
    at = card.measured.at.get(10)
    recall = f", recall@10 {at}" if at is not None else ""
    return (
        f"index {model}: {card.n:,} vectors of {card.dimension:,}, {card.factory}{recall}, "
        f"{card.size_bytes / 1e6:,.1f} MB, {state}"
    )
