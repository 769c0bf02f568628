"""The result tools: sample, models, search, drift, status, verify, files, gc, compact."""

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

from pydantic import Field
from pydantic_settings import CliPositionalArg
from rich.console import Console
from rich.table import Table

from cvdata.config import Frozen
from cvdata.drifting import DriftTool
from cvdata.errors import VerifyFailed
from cvdata.maintenance import GRACE_SECONDS, collect, find_garbage
from cvdata.runs.compact import compact_workspace
from cvdata.runs.index_files import indexed_models, status_line
from cvdata.searching import Search
from cvdata.workspace import Workspace


class OneWorkspace(Frozen):
    """What every tool is told."""

    workspace: str
    """Folder of the results: a path, s3://, gs:// or abfs:// URL."""

    def open(self) -> Workspace:
        """The workspace."""
        return Workspace(self.workspace)


class Status(OneWorkspace):
    """What a workspace holds: tables, rows, errors, commits, and what was made with what."""

    commits: int = Field(5, ge=0)
    """How many of the newest commits to list."""

    def run(self) -> None:
        """Print it."""
        workspace = self.open()
        head = workspace.head
        console = Console(soft_wrap=True)
        if not head.seq:
            console.print(f"{self.workspace}: nothing is committed here yet")
            return
        table = Table("table", "rows", "errors", "parts", "MB", box=None, header_style="bold")
        for name, state in sorted(head.tables.items()):
            table.add_row(
                name,
                f"{state.rows:,}",
                f"{sum(state.errors.values()):,}",
                f"{len(state.parts):,}",
                f"{sum(p.size_bytes for p in state.parts) / 1e6:,.1f}",
            )
        console.print(table)
        for model in indexed_models(head):
            line = status_line(workspace.store, head, model)
            console.print(line, highlight=False, markup=False)
        for commit in workspace.commits()[-self.commits :] if self.commits else []:
            when = datetime.fromisoformat(commit.created).strftime("%Y-%m-%d %H:%M")
            console.print(f"commit {commit.seq}  {when} UTC  {commit.job}  {_brief(commit.stats)}")
        console.print("made with " + ", ".join(f"{k} {v}" for k, v in head.versions.items()))


def _brief(stats: Mapping[str, object]) -> str:
    return ", ".join(f"{k} {v}" for k, v in stats.items() if not isinstance(v, (dict, list)))


class Verify(OneWorkspace):
    """Check commits, digests, footers, keys, the conservation law; exit 7 where one is off."""

    fast: bool = False
    """Read footers and keys, do not hash every byte."""
    orphans: bool = False
    """Also list files that no commit names (`gc` removes them)."""

    def run(self) -> None:
        """Print what is wrong."""
        workspace = self.open()
        damage = workspace.verify(deep=not self.fast)
        for item in damage:
            print(f"{item.path}: {item.message}")
        if self.orphans:
            kept = len(workspace.log.numbers()) or 1
            garbage, _ = find_garbage(workspace.store, keep=kept, grace_seconds=0)
            for orphan in garbage:
                print(f"{orphan.path}: orphan, {orphan.size_bytes:,} bytes")
        if damage:
            raise VerifyFailed(f"{len(damage)} things in {self.workspace} are damaged")
        rows = sum(s.rows for s in workspace.head.tables.values())
        print(f"verified: commit {workspace.head.seq}, {rows:,} rows, nothing lost or doubled")


class Files(OneWorkspace):
    """List the live parts, for engines that read Parquet files by name."""

    table: CliPositionalArg[str | None] = None
    """Only this table's."""

    def run(self) -> None:
        """One path a line."""
        for path in self.open().files(self.table):
            print(path)


class Gc(OneWorkspace):
    """Delete what no kept commit names; `--dry-run` first."""

    keep: int = Field(30, ge=1)
    """How many of the newest commits stay readable."""
    grace_hours: float = Field(GRACE_SECONDS / 3600, ge=0)
    """Younger files stay: a run that is still working may have written them."""
    dry_run: bool = False
    """Only list."""

    def run(self) -> None:
        """Delete, and say what."""
        workspace = self.open()
        garbage, dead = find_garbage(
            workspace.store, keep=self.keep, grace_seconds=self.grace_hours * 3600
        )
        size = sum(item.size_bytes for item in garbage) / 1e6
        if self.dry_run:
            for item in garbage:
                print(f"{item.path}: {item.size_bytes:,} bytes, {item.why}")
        else:
            collect(workspace.store, garbage, dead)
        verb = "would delete" if self.dry_run else "deleted"
        print(f"{verb} {len(garbage):,} files ({size:,.1f} MB) and {len(dead):,} commits")


class Compact(OneWorkspace):
    """Merge small parts into large ones, in a commit of its own; drops rows of gone images."""

    def run(self) -> None:
        """Compact every table that needs it."""
        done = compact_workspace(self.open())
        for name, (before, after) in done.items():
            print(f"{name}: {before:,} parts -> {after:,}")
        if not done:
            print("nothing to compact")


class Sample(Frozen):
    """Make a sample dataset with planted findings (truth.json says which) in DIRECTORY."""

    directory: CliPositionalArg[Path]
    """A new or empty folder, or one that holds this sample already."""
    seed: int = 0
    """Another seed, another sample."""

    def run(self) -> None:
        """Make it, and print what was planted."""
        from cvdata.sample import make_sample

        truth = make_sample(self.directory, seed=self.seed)
        table = Table("planted", "images", "what", box=None, header_style="bold")
        for name, n, what in truth.table():
            table.add_row(name, f"{n:,}", what)
        Console(soft_wrap=True).print(table)


class Models(Frozen):
    """List the models by name: task, input, dimension, licence, and whether they can run here."""

    def run(self) -> None:
        """Print the catalogue."""
        from cvdata.models.listing import FAMILY_NOTES, listed

        for model in listed():
            for i, (field, text) in enumerate(model.items()):
                print(text if i == 0 else f"  {field:<9} {text}")
        width = max(map(len, FAMILY_NOTES))
        for name, note in FAMILY_NOTES.items():
            print(f"{name:<{width}}  {note}")


TOOLS: dict[
    str, type[Status | Verify | Files | Gc | Compact | Sample | Models | Search | DriftTool]
] = {
    "sample": Sample,
    "models": Models,
    "search": Search,
    "drift": DriftTool,
    "status": Status,
    "verify": Verify,
    "files": Files,
    "gc": Gc,
    "compact": Compact,
}
