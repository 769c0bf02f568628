"""A workspace: tables joined by image_id, and the commit log that says which parts are live."""

import hashlib
import secrets
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa

from cvdata import reading
from cvdata.commits import (
    Artifact,
    Commit,
    CommitLog,
    TableState,
    now,
    open_store,
    prepare,
    refuse_conflicts,
)
from cvdata.errors import ConfigError, WorkspaceError
from cvdata.locking import hold
from cvdata.maintenance import Damage, find_damage
from cvdata.parts import Part, PartSpec, versions, write_content
from cvdata.recording import Recorder, recording
from cvdata.schema import RECORDS
from cvdata.storage import Store, digest
from cvdata.tables import KeyedTable

RECORDS_FINGERPRINT = digest(b"records-1")


class Workspace:
    """The folder at `url` (local, `s3://`, `gs://`, `abfs://`), as of its newest commit.

    A reader pins the commit that is live when it first looks; `refresh()` looks again.
    """

    def __init__(
        self, url: str, *, single_writer: bool = False, store: Store | None = None
    ) -> None:
        self.store = store or open_store(url, single_writer)
        self.log = CommitLog(self.store)
        self._head: tuple[Commit, str] | None = None

    @property
    def head(self) -> Commit:
        """The pinned commit."""
        return self._pinned()[0]

    def _pinned(self) -> tuple[Commit, str]:
        if self._head is None:
            self._head = self.log.head()
        return self._head

    def refresh(self) -> "Workspace":
        """Pin the newest commit."""
        self._head = None
        return self

    def pin(self, seq: int) -> "Workspace":
        """Pin commit number `seq`: what every worker of one run reads."""
        if seq == 0:
            self._head = Commit(), ""
        else:
            data = self.log.encoded(seq)
            self._head = Commit.decode(data), digest(data)
        return self

    def prepare(self, *, is_dry: bool = False) -> "Workspace":
        """Make the workspace if it is new, and refuse a store or a format that cannot be used.

        A dry run makes nothing.
        """
        prepare(self.store, is_dry=is_dry)
        return self

    def tables(self) -> dict[str, int]:
        """Rows by table name; `measures` once, however many sets it is stored in."""
        return reading.table_rows(self.head)

    def commits(self) -> list[Commit]:
        """Every commit, oldest first."""
        return [self.log.read(seq) for seq in self.log.numbers()]

    def read(
        self,
        name: str,
        columns: list[str] | None = None,
        *,
        id_range: tuple[bytes, bytes | None] | None = None,
    ) -> pa.Table:
        """The committed rows of a table, sorted by image_id, without those of removed images.

        `measures` is one wide table, whatever sets it was computed in. `columns` chooses and
        orders the columns; a name that the table does not have raises `ConfigError`.
        """
        return reading.read(self.store, self.head, name, columns, id_range)

    def read_all(self, name: str) -> pa.Table:
        """The rows of a table as they were committed, those of gone images too."""
        return reading.read_all(self.store, self.head, name)

    def columns(self, name: str) -> list[str]:
        """Columns of a table."""
        return reading.columns(self.store, self.head, name)

    def ranges(self, rows: int = 262_144) -> list[tuple[bytes, bytes | None]]:
        """Ranges of image_id that hold about `rows` records each, for reading piece by piece."""
        return reading.id_ranges(self.head, rows)

    def artifact(self, name: str) -> bytes:
        """A committed file that is no table, checked against its digest."""
        if name not in self.head.artifacts:
            known = ", ".join(self.head.artifacts) or "none"
            raise ConfigError(f"no artifact {name!r} in commit {self.head.seq}; there are: {known}")
        entry = self.head.artifacts[name]
        data = self.store.get(entry.path)
        if digest(data) != entry.sha256:
            raise WorkspaceError(f"{entry.path} does not match its digest; run `cvdata verify`")
        return data

    def files(self, table: str | None = None) -> list[str]:
        """Full paths of the live parts, for engines that read files."""
        states = {
            name: state
            for name, state in self.head.tables.items()
            if table is None or name == table or name.startswith(f"{table}/")
        }
        if table is not None and not states:
            known = ", ".join(self.tables()) or "none yet"
            raise ConfigError(f"no table {table!r} in {self.store.url}; there are: {known}")
        return [self.store.path(p.path) for s in states.values() for p in s.parts]

    def verify(self, *, deep: bool = True) -> list[Damage]:
        """What does not match the commit log: empty where all is well. `deep` rehashes parts."""
        return find_damage(self.store, deep=deep)

    @contextmanager
    def change(self, job: str, config: Mapping[str, Any], run_id: str = "") -> Iterator["Change"]:
        """A change that is committed when the block ends well, and leaves no trace otherwise."""
        self.prepare(is_dry=bool(config.get("dry_run")))
        hold(self.store)
        with recording() as recorder:
            change = Change(self.refresh(), job, config, run_id or secrets.token_hex(8))
            change.recorder = recorder
            yield change
            change.commit()


class Change:
    """What one run adds to a workspace, published by one commit."""

    def __init__(
        self, workspace: Workspace, job: str, config: Mapping[str, Any], run_id: str
    ) -> None:
        self.workspace = workspace
        self.store = workspace.store
        self.base, self._base_digest = workspace._pinned()
        self.job, self.config, self.run_id = job, config, run_id
        self.stats: dict[str, Any] = {}
        self.recorder = Recorder()
        self._keyed: dict[str, KeyedTable] = {}
        self._states: dict[str, TableState] = {}
        self._artifacts: dict[str, Artifact] = {}
        self._dropped: set[str] = set()
        self._cancelled = False

    @property
    def records(self) -> tuple[Part, ...]:
        """The live parts of `records`; `ConfigError` where nothing was ingested yet."""
        state = self.base.tables.get("records")
        if state is None:
            raise ConfigError(
                f"{self.store.url} has no records yet: run `cvdata ingest SOURCE --workspace "
                f"{self.store.url}` first, or `cvdata curate`, which does it all"
            )
        return state.parts

    def keyed(self, spec: PartSpec, meta: Mapping[str, Any] | None = None) -> KeyedTable:
        """A table that grows by parts of one fingerprint; what a killed run finished is in it."""
        held = self.base.tables.get(spec.table)
        committed = held.parts if held and held.fingerprint == spec.fingerprint else ()
        table = KeyedTable(self.store, spec, meta or {}, committed).load()
        self._keyed[spec.table] = table
        return table

    def filled(self, name: str) -> TableState:
        """What a keyed table of this change holds by now, committed or not."""
        return self._keyed[name].state()

    def replace(
        self,
        name: str,
        rows: Iterable[pa.Table],
        schema: pa.Schema,
        *,
        meta: Mapping[str, Any] | None = None,
        keep: Callable[[Part], bool] | None = None,
        tag: str = "",
    ) -> TableState:
        """Write a derived table anew; `keep` says which old parts stay (those of other sources)."""
        fingerprint = RECORDS_FINGERPRINT if schema is RECORDS else digest(schema.serialize())
        spec = PartSpec(name, fingerprint, schema)
        held = self.base.tables.get(name)
        parts = {p.path: p for p in held.parts if keep and keep(p)} if held else {}
        for table in rows:
            if len(table):
                part = write_content(self.store, spec, table, tag)
                parts[part.path] = part
        if not parts:
            # A part without rows: readers still learn the columns.
            part = write_content(self.store, spec, schema.empty_table(), tag)
            parts[part.path] = part
        state = TableState(fingerprint, tuple(parts[p] for p in sorted(parts)), meta or {})
        self._states[name] = state
        return state

    def put_state(self, name: str, state: TableState) -> None:
        """Publish these parts, written already, as the table (compaction)."""
        self._states[name] = state

    def drop(self, name: str) -> None:
        """Leave the table out of the commit; its parts stay until `gc`."""
        self._dropped.add(name)

    def artifact(self, name: str, data: bytes, folder: str, suffix: str) -> Artifact:
        """Write an immutable file, named by its digest, and publish it under `name`."""
        sha256 = digest(data)
        path = f"{folder}/{sha256}{suffix}"
        self.store.put_new(path, data)
        entry = Artifact(path, len(data), sha256)
        self._artifacts[name] = entry
        return entry

    def artifact_file(self, name: str, source: Path, folder: str, suffix: str) -> Artifact:
        """`artifact` of a local file, however large."""
        with source.open("rb") as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        path = f"{folder}/{sha256}{suffix}"
        if not self.store.put_file(path, source) and self.store.sha256(path) != sha256:
            self.store.delete(path)
            self.store.put_file(path, source)
        entry = Artifact(path, source.stat().st_size, sha256)
        self._artifacts[name] = entry
        return entry

    def cancel(self) -> None:
        """Commit nothing when the block ends (a dry run)."""
        self._cancelled = True

    def commit(self) -> Commit:
        """Publish: rebase over commits of other tables, give way to one of the same table."""
        if self._cancelled:
            return self.base
        for name, table in self._keyed.items():
            if name not in self._states:
                table.leave_columns()
        states = {n: t.state() for n, t in self._keyed.items()} | self._states
        changed = {n: s for n, s in states.items() if not _is_same(self.base.tables.get(n), s)}
        files = {n: a for n, a in self._artifacts.items() if self.base.artifacts.get(n) != a}
        if not (changed or files or self._dropped):
            return self.base
        head, parent = self.base, self._base_digest
        while True:
            refuse_conflicts(self.base, head, changed, self._artifacts)
            commit = Commit(
                seq=head.seq + 1,
                parent=parent,
                run_id=self.run_id,
                job=self.job,
                created=now(),
                config=dict(self.config),
                versions=versions(),
                tables={
                    n: s for n, s in {**head.tables, **changed}.items() if n not in self._dropped
                },
                artifacts={**head.artifacts, **files},
                stats={**self.stats, "run": self.recorder.to_json()},
            )
            if self.workspace.log.append(commit):
                self.workspace.refresh()
                return commit
            head, parent = self.workspace.log.head()


def _is_same(held: TableState | None, state: TableState) -> bool:
    """Equal but for the number of the commit that a derived table was computed from."""
    if held is None:
        return False
    kept, new = dict(held.meta), dict(state.meta)
    if "inputs" in kept:
        new["computed_from"] = kept.get("computed_from")
    return held == TableState(state.fingerprint, state.parts, new)
