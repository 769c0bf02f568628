"""The commit log: a JSON file a commit, created only if absent; the highest contiguous is live."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cvdata.errors import CommitConflict, ConfigError, WorkspaceError
from cvdata.parts import Part
from cvdata.schema import FORMAT_VERSION
from cvdata.storage import Store, digest

FOLDER = "_commits"
_FORMAT_FILE = "_format.json"


@dataclass(frozen=True)
class TableState:
    """The live parts of one table. `meta` says what a reader must know of how it was made."""

    fingerprint: str
    parts: tuple[Part, ...]
    meta: Mapping[str, Any] = field(default_factory=dict)

    @property
    def rows(self) -> int:
        """Rows in all parts, those of removed images included."""
        return sum(part.rows for part in self.parts)

    @property
    def errors(self) -> dict[str, int]:
        """Error rows by code."""
        total: dict[str, int] = {}
        for part in self.parts:
            for code, n in part.errors.items():
                total[code] = total.get(code, 0) + n
        return dict(sorted(total.items()))

    def to_json(self) -> dict[str, Any]:
        """A JSON object; `from_json` reads it back."""
        return {
            "fingerprint": self.fingerprint,
            "rows": self.rows,
            "errors": self.errors,
            "meta": dict(self.meta),
            "parts": [part.to_json() for part in self.parts],
        }

    @staticmethod
    def from_json(value: Mapping[str, Any]) -> "TableState":
        """The state that `to_json` wrote."""
        parts = tuple(Part.from_json(p) for p in value["parts"])
        return TableState(value["fingerprint"], parts, value["meta"])


@dataclass(frozen=True)
class Artifact:
    """One immutable file that is no table: a JSON document, an index."""

    path: str
    size_bytes: int
    sha256: str


@dataclass(frozen=True)
class Commit:
    """Everything that is live after one run."""

    seq: int = 0
    parent: str = ""
    run_id: str = ""
    job: str = ""
    created: str = ""
    config: Mapping[str, Any] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
    tables: Mapping[str, TableState] = field(default_factory=dict)
    artifacts: Mapping[str, Artifact] = field(default_factory=dict)
    stats: Mapping[str, Any] = field(default_factory=dict)

    def encode(self) -> bytes:
        """The file's bytes."""
        value = {
            "format": FORMAT_VERSION,
            "seq": self.seq,
            "parent": self.parent,
            "run_id": self.run_id,
            "job": self.job,
            "created": self.created,
            "config": dict(self.config),
            "versions": dict(self.versions),
            "tables": {n: t.to_json() for n, t in sorted(self.tables.items())},
            "artifacts": {n: vars(a) for n, a in sorted(self.artifacts.items())},
            "stats": dict(self.stats),
        }
        return json.dumps(value, indent=1, sort_keys=True).encode()

    @staticmethod
    def decode(data: bytes) -> "Commit":
        """The commit in a file's bytes; `WorkspaceError` where they are none of ours."""
        try:
            value = json.loads(data)
            if value.pop("format") != FORMAT_VERSION:
                raise WorkspaceError("the commit log was written by another version of cvdata")
            value["tables"] = {n: TableState.from_json(t) for n, t in value["tables"].items()}
            value["artifacts"] = {n: Artifact(**a) for n, a in value["artifacts"].items()}
            return Commit(**value)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise WorkspaceError(f"a commit file is damaged: {error!r}") from error


def refuse_conflicts(
    base: Commit,
    head: Commit,
    tables: Mapping[str, TableState],
    artifacts: Mapping[str, Artifact],
) -> None:
    """Refuse what another run committed since `base`: the same tables or files, made otherwise.

    It may have committed other tables, or a subset of the very parts of ours.
    """
    conflict = (
        f"commit {head.seq} ({head.job}) changed {{name}} while this run was working; "
        "nothing is lost: run the same command again and it goes on from there"
    )
    for name, state in tables.items():
        theirs = head.tables.get(name)
        if theirs == base.tables.get(name) or theirs is None:
            continue
        mine = {part.path for part in state.parts}
        is_ours = theirs.fingerprint == state.fingerprint
        if not (is_ours and {part.path for part in theirs.parts} <= mine):
            raise CommitConflict(conflict.format(name=name))
    for name, artifact in artifacts.items():
        if head.artifacts.get(name) not in (base.artifacts.get(name), artifact):
            raise CommitConflict(conflict.format(name=name))


class CommitLog:
    """The commits of a workspace, in order."""

    def __init__(self, store: Store) -> None:
        self.store = store

    @staticmethod
    def path(seq: int) -> str:
        """Where commit `seq` lies."""
        return f"{FOLDER}/{seq:020d}.json"

    def numbers(self) -> list[int]:
        """The contiguous commit numbers that are there, from the oldest kept."""
        names = [e.path.rsplit("/", 1)[-1] for e in self.store.list(FOLDER)]
        found = sorted(int(n[:20]) for n in names if n.endswith(".json") and n[:20].isdigit())
        kept: list[int] = []
        for number in found:
            if kept and number != kept[-1] + 1:
                break
            kept.append(number)
        return kept

    def encoded(self, seq: int) -> bytes:
        """The bytes of commit number `seq`."""
        try:
            return self.store.get(self.path(seq))
        except FileNotFoundError as error:
            raise WorkspaceError(f"there is no commit {seq}") from error

    def read(self, seq: int) -> Commit:
        """Commit number `seq`."""
        return self._decoded(seq, self.encoded(seq))

    def _decoded(self, seq: int, data: bytes) -> Commit:
        try:
            return Commit.decode(data)
        except WorkspaceError as error:
            raise WorkspaceError(f"{self.path(seq)}: {error}; run `cvdata verify`") from error

    def head(self) -> tuple[Commit, str]:
        """The live commit and the digest of its file; an empty commit 0 for a new workspace."""
        numbers = self.numbers()
        if not numbers:
            return Commit(), ""
        data = self.encoded(numbers[-1])
        return self._decoded(numbers[-1], data), digest(data)

    def append(self, commit: Commit) -> bool:
        """Publish `commit`: True if it is live, False if another run took its number."""
        if self.store.put_new(self.path(commit.seq), commit.encode()):
            return True
        return self.read(commit.seq).run_id == commit.run_id


def open_store(url: str, single_writer: bool) -> Store:
    """The store at `url`; `ConfigError` where there is no such kind of storage, or no driver."""
    try:
        return Store(url, single_writer=single_writer)
    except (ValueError, ImportError) as error:
        raise ConfigError(f"{url} is no workspace that can be opened: {error}") from error


def prepare(store: Store, *, is_dry: bool = False) -> None:
    """Make a workspace of a new folder, unless `is_dry`; `ConfigError` for one of no use."""
    if store.is_local and Path(store.root).exists() and not Path(store.root).is_dir():
        raise ConfigError(f"{store.url} is a file: --workspace names a folder")
    if store.exists(_FORMAT_FILE):
        try:
            made = json.loads(store.get(_FORMAT_FILE))
            found = made.get("format")
        except (ValueError, AttributeError) as error:
            raise WorkspaceError(f"{store.path(_FORMAT_FILE)} is damaged: {error}") from error
        if found != FORMAT_VERSION:
            raise ConfigError(
                f"{store.url} has workspace format {found}; this cvdata reads "
                f"{FORMAT_VERSION}: use the version that wrote it, or another --workspace"
            )
        if not made.get("is_probed", True) and not is_dry:
            store.probe()
    elif not is_dry:
        store.probe()
        made = {"format": FORMAT_VERSION}
        if store.single_writer:
            made["is_probed"] = False
        store.put_new(_FORMAT_FILE, json.dumps(made).encode())


def now() -> str:
    """The time now, UTC, ISO 8601 to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")
