"""The result tools: sample, models, search, drift, gate, status, verify, files, gc, compact."""

from pathlib import Path

from pydantic_settings import CliPositionalArg
from rich.console import Console
from rich.table import Table

from cvdata.config import Frozen
from cvdata.drifting import DriftTool
from cvdata.errors import ConfigError, VerifyFailed
from cvdata.maintenance import find_garbage
from cvdata.runs.compact import compact_workspace
from cvdata.searching import Search
from cvdata.upkeep import Gate, Gc, OneWorkspace, Status


class Verify(OneWorkspace):
    """Check commits, digests, footers, keys, the conservation law; exit 7 where one is off."""

    fast: bool = False
    """Read footers and keys, do not hash every byte."""
    orphans: bool = False
    """Also list files that no commit names (`gc` removes them)."""

    def run(self) -> None:
        """Print what is wrong."""
        workspace = self.open()
        if not workspace.log.numbers():
            raise ConfigError(f"{self.workspace}: nothing is committed here yet; check the path")
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
    """List the models: task, input, dimension, licence, speed here, and whether they can run."""

    measure: bool = False
    """Measure first how fast those run that are ready: images/s of the model alone, on one core."""
    model: str = ""
    """With --measure: this one alone."""

    def run(self) -> None:
        """Print the catalogue."""
        from cvdata.models.listing import FAMILY_NOTES, listed, measure_models

        if self.model and not self.measure:
            raise ConfigError("--model names what --measure measures: give both")
        if self.measure:
            measure_models(self.model)
        for model in listed():
            for i, (field, text) in enumerate(model.items()):
                print(text if i == 0 else f"  {field:<9} {text}")
        width = max(map(len, FAMILY_NOTES))
        for name, note in FAMILY_NOTES.items():
            print(f"{name:<{width}}  {note}")


TOOLS: dict[
    str,
    type[Status | Verify | Files | Gate | Gc | Compact | Sample | Models | Search | DriftTool],
] = {
    "sample": Sample,
    "models": Models,
    "search": Search,
    "drift": DriftTool,
    "gate": Gate,
    "status": Status,
    "verify": Verify,
    "files": Files,
    "gc": Gc,
    "compact": Compact,
}
