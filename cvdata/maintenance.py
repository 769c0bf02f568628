"""Looking after a workspace: verify it, compact small parts, collect what nothing names."""

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime

import pyarrow as pa
import pyarrow.compute as pc

from cvdata.commits import Artifact, Commit, CommitLog, TableState
from cvdata.errors import WorkspaceError
from cvdata.keys import KeySet, key_columns
from cvdata.parts import (
    Part,
    PartSpec,
    error_counts,
    open_part,
    parts_digest,
    read_columns,
    write_keyed,
)
from cvdata.schema import RECORDS
from cvdata.schema_augmented import live_columns
from cvdata.storage import Store, digest
from cvdata.tables import KEY_COLUMNS

SMALL_PART_BYTES = 32 * 1024 * 1024
COMPACT_PART_BYTES = 128 * 1024 * 1024
COMPACT_AFTER_PARTS = 64
GRACE_SECONDS = 24 * 3600.0
PROTOCOL_FOLDERS = ("_commits", "_probe", "_lock")
MADE_TABLES, MADE_IMAGES, MANIFEST = "augmented/", "images", "manifest.jsonl"
"""Tables whose rows name files: `images/<policy>/` of the workspace, and the list of them there."""


@dataclass(frozen=True)
class Damage:
    """One thing that does not match the commit log."""

    path: str
    message: str


@dataclass(frozen=True)
class Garbage:
    """One file that no kept commit names."""

    path: str
    size_bytes: int
    why: str


def find_damage(store: Store, *, deep: bool = True) -> list[Damage]:
    """Contiguity and parents of commits; digests, footers, keys and counts of the live parts."""
    log = CommitLog(store)
    names = [e.path for e in store.list("_commits")]
    numbers = log.numbers()
    found = [
        Damage(name, "is past a gap in the commit log")
        for name in names
        if name not in {log.path(n) for n in numbers}
    ]
    parent = None
    commit = Commit()
    for number in numbers:
        data = store.get(log.path(number))
        try:
            commit = Commit.decode(data)
        except WorkspaceError as error:
            return [*found, Damage(log.path(number), str(error))]
        if parent is not None and commit.parent != parent:
            found.append(Damage(log.path(number), "does not name the commit before it"))
        parent = digest(data)
    for name, state in commit.tables.items():
        found.extend(_table_damage(store, name, state, deep=deep))
    for artifact in commit.artifacts.values():
        found.extend(_artifact_damage(store, artifact, deep=deep))
    if not found:
        found.extend(_conservation(store, commit))
    return found


def _file_damage(store: Store, path: str, sha256: str, size: int) -> Iterator[Damage]:
    try:
        data = store.get(path)
    except FileNotFoundError:
        yield Damage(path, "is missing")
        return
    if len(data) != size or digest(data) != sha256:
        yield Damage(path, "does not match its digest")


def _artifact_damage(store: Store, artifact: Artifact, *, deep: bool) -> Iterator[Damage]:
    """An index may be larger than memory: it is hashed block by block, and only where asked."""
    try:
        size = int(store.fs.size(store.path(artifact.path)))
        is_same = not deep or store.sha256(artifact.path) == artifact.sha256
    except FileNotFoundError:
        yield Damage(artifact.path, "is missing")
        return
    if size != artifact.size_bytes or not is_same:
        yield Damage(artifact.path, "does not match its digest")


def _table_damage(store: Store, name: str, state: TableState, *, deep: bool) -> Iterator[Damage]:
    n_before = 0
    for part in state.parts:
        if deep:
            damage = list(_file_damage(store, part.path, part.sha256, part.size_bytes))
            if damage:
                n_before += 1
                yield from damage
                continue
        try:
            with open_part(store, part.path) as file:
                columns = [n for n in ("error",) if n in file.schema_arrow.names]
                rows, errors = file.metadata.num_rows, error_counts(file.read(columns=columns))
        except (WorkspaceError, pa.ArrowInvalid, OSError) as error:
            n_before += 1
            yield Damage(part.path, f"cannot be read: {error}")
            continue
        if rows != part.rows or errors != dict(part.errors):
            yield Damage(part.path, "does not hold the rows that its commit counted")
    if not n_before:
        yield from _repeated_keys(store, name, state)


def _repeated_keys(store: Store, name: str, state: TableState) -> Iterator[Damage]:
    if not state.parts:
        return
    with open_part(store, state.parts[0].path) as file:
        schema = file.schema_arrow.remove_metadata()
    if not set(KEY_COLUMNS) <= set(schema.names) or "issue" in schema.names:
        return
    if {"method", "variant"} & set(schema.names):
        return
    keys = read_columns(store, state.parts, schema, KEY_COLUMNS)
    if n := KeySet.of(keys["image_id"], keys["revision"]).n_repeated():
        yield Damage(name, f"{n} keys stand twice")


def _conservation(store: Store, commit: Commit) -> Iterator[Damage]:
    """For each measure set and embedding: records = ok + errors by code."""
    if "records" not in commit.tables:
        return
    records = read_columns(store, commit.tables["records"].parts, RECORDS, KEY_COLUMNS)
    ids = KeySet.of(records["image_id"], records["revision"])
    if n := ids.n_repeated():
        yield Damage("records", f"{n} keys stand twice")
    for name, state in commit.tables.items():
        if state.meta.get("covers") != parts_digest(commit.tables["records"].parts):
            continue
        keys = pa.schema([RECORDS.field(n) for n in KEY_COLUMNS])
        rows = read_columns(store, state.parts, keys)
        held = KeySet.of(rows["image_id"], rows["revision"])
        if n := int((~held.contains(ids.high, ids.low)).sum()):
            yield Damage(name, f"{n} records have no row: lost")


def compact(store: Store, name: str, state: TableState, current: KeySet) -> TableState:
    """`state` with its small parts merged into parts of about 128 MB, rows of gone images dropped.

    Returns `state` itself where fewer than 64 small parts lie there.
    """
    small = [part for part in state.parts if part.size_bytes < SMALL_PART_BYTES]
    if len(small) < COMPACT_AFTER_PARTS:
        return state
    with open_part(store, small[0].path) as file:
        schema = file.schema_arrow.remove_metadata()
    spec = PartSpec(name, state.fingerprint, schema)
    merged = [part for part in state.parts if part.size_bytes >= SMALL_PART_BYTES]
    for batch in _batches(small):
        rows = read_columns(store, batch, schema)
        keys = key_columns(*(rows[name] for name in live_columns(schema)))
        rows = rows.filter(pa.array(current.contains(*keys)))
        if len(rows):
            merged.append(write_keyed(store, spec, rows))
    return replace(state, parts=tuple(sorted(merged, key=lambda p: p.path)))


def _batches(parts: Iterable[Part]) -> Iterator[list[Part]]:
    batch: list[Part] = []
    size = 0
    for part in parts:
        if batch and size + part.size_bytes > COMPACT_PART_BYTES:
            yield batch
            batch, size = [], 0
        batch.append(part)
        size += part.size_bytes
    if batch:
        yield batch


def kept_commits(log: CommitLog, keep: int, keep_seconds: float = 0.0) -> list[int]:
    """The newest `keep` commits, and those before them that are younger than `keep_seconds`."""
    numbers = log.numbers()
    kept = numbers[-keep:]
    for number in reversed(numbers[: -len(kept)] if kept and keep_seconds else []):
        age = time.time() - datetime.fromisoformat(log.read(number).created).timestamp()
        if age > keep_seconds:
            break
        kept.insert(0, number)
    return kept


def find_garbage(
    store: Store,
    *,
    keep: int,
    grace_seconds: float = GRACE_SECONDS,
    keep_seconds: float = 0.0,
) -> tuple[list[Garbage], list[int]]:
    """What to collect: commits that `kept_commits` leaves out, and files that no kept one names.

    Files younger than the grace time stay: they may belong to a run that is still working.
    """
    log = CommitLog(store)
    numbers = log.numbers()
    kept = kept_commits(log, keep, keep_seconds)
    named: set[str] = set()
    for number in kept:
        commit = log.read(number)
        named |= {part.path for state in commit.tables.values() for part in state.parts}
        named |= {artifact.path for artifact in commit.artifacts.values()}
        named |= set(_made_images(store, commit))
    reports = {f"report/{number}/" for number in kept}
    dead = [n for n in numbers if n not in kept]
    latest = time.time() - grace_seconds
    garbage = []
    for entry in store.list():
        folder = entry.path.split("/", 1)[0]
        is_ours = folder in PROTOCOL_FOLDERS or "/" not in entry.path
        if is_ours or entry.path in named:
            continue
        if folder == "report" and any(entry.path.startswith(r) for r in reports):
            continue
        if entry.modified <= latest:
            garbage.append(Garbage(entry.path, entry.size_bytes, "no kept commit names it"))
    garbage.extend(
        Garbage(t.path, t.size_bytes, "a killed run left it unfinished")
        for t in store.temporaries()
        if t.modified <= latest
    )
    return garbage, dead


def _made_images(store: Store, commit: Commit) -> Iterator[str]:
    """Paths of the images and masks in this workspace that its augmented rows name."""
    for name, state in commit.tables.items():
        if not name.startswith(MADE_TABLES):
            continue
        yield f"{MADE_IMAGES}/{name.removeprefix(MADE_TABLES)}/{MANIFEST}"
        schema = pa.schema([("uri", pa.string()), ("mask_uri", pa.string())])
        rows = read_columns(store, state.parts, schema)
        for column in rows.columns:
            for uri in pc.drop_null(column).to_pylist():
                _, inside, relative = uri.rpartition(f"/{MADE_IMAGES}/")
                yield f"{MADE_IMAGES}/{relative}" if inside else uri


def collect(store: Store, garbage: Iterable[Garbage], dead: Iterable[int]) -> None:
    """Delete oldest commits first, so that the log stays contiguous, then the files."""
    for number in sorted(dead):
        store.delete(CommitLog.path(number))
    for item in garbage:
        store.delete(item.path)
