"""Tools that look after a workspace night after night: status, gate, gc."""

import json
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from datetime import datetime
from typing import Any, Literal

from pydantic import Field
from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from cvdata.commits import Commit
from cvdata.config import Frozen, Gates
from cvdata.errors import ConfigError, GateFailed
from cvdata.lease import holder
from cvdata.locking import progress_of
from cvdata.maintenance import GRACE_SECONDS, collect, find_garbage
from cvdata.runs.gates import check_gates, refuse_unknown
from cvdata.runs.index_files import indexed_models, status_line
from cvdata.workspace import Workspace

FILLED = ("measures", "embeddings", "predictions", "augmented")
"""Tables that grow part by part while a run is at work."""
DAY = 24 * 3600.0


class OneWorkspace(Frozen):
    """What every tool is told."""

    workspace: str = Field(min_length=1)
    """Folder of the results: a path, s3://, gs:// or abfs:// URL."""

    def open(self) -> Workspace:
        """The workspace."""
        return Workspace(self.workspace)


class Status(OneWorkspace):
    """What a workspace holds, who is at work on it and how far, what the last runs cost."""

    commits: int = Field(5, ge=0)
    """How many of the newest commits to list."""
    watch: bool = False
    """Look again and again, until Ctrl-C."""
    interval: float = Field(0.0, ge=0)
    """Seconds between two looks; 0: 2 on a local path, 10 elsewhere."""

    def run(self) -> None:
        """Print it."""
        workspace, console = self.open(), Console(soft_wrap=True)
        if not self.watch:
            for item in overview(workspace, self.commits):
                console.print(item, highlight=False)
            return
        pause = self.interval or (2.0 if workspace.store.is_local else 10.0)
        try:
            with Live(console=console, auto_refresh=False, screen=False) as live:
                while True:
                    items = list(overview(workspace.refresh(), self.commits))
                    live.update(Group(*items), refresh=True)
                    time.sleep(pause)
        except KeyboardInterrupt:
            return


def overview(workspace: Workspace, n_commits: int) -> Iterator[Table | Text]:
    """Tables, indexes, the run that is at work, commits with what they cost, versions."""
    head = workspace.head
    if not head.seq:
        yield Text(f"{workspace.store.url}: nothing is committed here yet")
    else:
        yield _tables(head)
        for model in indexed_models(head):
            yield Text(status_line(workspace.store, head, model))
    yield from (Text(line) for line in _at_work(workspace))
    for number in workspace.log.numbers()[-n_commits:] if n_commits else []:
        commit = workspace.log.read(number)
        when = datetime.fromisoformat(commit.created).strftime("%Y-%m-%d %H:%M")
        yield Text(f"commit {commit.seq}  {when} UTC  {commit.job}  {_brief(commit.stats)}")
        yield from (Text(f"  {line}") for line in _costs(commit.stats))
    if head.seq:
        yield Text("made with " + ", ".join(f"{k} {v}" for k, v in head.versions.items()))


def _tables(head: Commit) -> Table:
    table = Table("table", "rows", "errors", "parts", "MB", box=None, header_style="bold")
    for name, state in sorted(head.tables.items()):
        table.add_row(
            name,
            f"{state.rows:,}",
            f"{sum(state.errors.values()):,}",
            f"{len(state.parts):,}",
            f"{sum(p.size_bytes for p in state.parts) / 1e6:,.1f}",
        )
    return table


def _at_work(workspace: Workspace) -> Iterator[str]:
    """Who holds the lock, how far the run is, and the parts that wait for a commit."""
    found = holder(workspace.store)
    if found is not None and not found.is_released:
        yield f"{'ended without a word' if found.is_over else 'at work'}: {found.line()}"
        if found.progress and not found.is_over:
            value = found.progress
            yield f"  {progress_of(value)}"
            if value.get("total_chunks"):
                yield f"  {value['n_chunks']:,} of {value['total_chunks']:,} chunks"
    named = {p.path for state in workspace.head.tables.values() for p in state.parts}
    waiting = [
        entry
        for folder in FILLED
        for entry in workspace.store.list(folder)
        if entry.path.endswith(".parquet") and entry.path not in named
    ]
    if waiting:
        size = sum(entry.size_bytes for entry in waiting) / 1e6
        yield f"{len(waiting):,} parts ({size:,.1f} MB) are not in the live commit: a run is at "
        "work or was stopped and goes on from them, or they are old and `gc` takes them"


def _brief(stats: Mapping[str, Any]) -> str:
    return ", ".join(f"{k} {v}" for k, v in stats.items() if not isinstance(v, (dict, list)))


def _costs(stats: Mapping[str, Any]) -> Iterator[str]:
    """What the passes over images cost, as the commit tells."""
    for name, stage in stats.get("run", {}).get("stages", {}).items():
        busy = sum(stage["worker_seconds"].values())
        idle = stage["model_idle_share"]
        tail = "" if idle is None else f", models idle {idle:.0%}"
        yield (
            f"{name}: {stage['n_images']:,} images, {stage['images_per_second']:,.1f}/s, "
            f"{stage['bytes_read'] / 1e6:,.1f} MB read, {busy:,.1f} s of {stage['n_workers']} "
            f"workers on {stage['n_hosts']} hosts{tail}"
        )


class Gate(OneWorkspace, Gates):
    """Hold what is committed against limits; exit 8 where one is passed.

    The same as `--gates` of a job, by itself: for a workspace that was filled elsewhere.
    """

    config: str | None = None
    """YAML file with any of these options; flags win over it."""
    format: Literal["text", "json"] = "text"
    """json: one JSON object on one line."""

    def run(self) -> None:
        """Check every gate that is set."""
        gates = Gates.model_validate(self.model_dump(include=set(Gates.model_fields)))
        if not gates.is_set:
            raise ConfigError("no gate is set: see `cvdata gate --help`")
        refuse_unknown(gates)
        workspace = self.open()
        if not workspace.head.seq:
            raise ConfigError(f"{self.workspace}: nothing is committed here yet")
        found = check_gates(workspace, gates)
        failed = [gate.name for gate in found if gate.is_failed]
        if self.format == "json":
            checked = [asdict(gate) for gate in found]
            value = {"commit": workspace.head.seq, "gates": checked, "gates_failed": failed}
            print(json.dumps(value, allow_nan=False))
        else:
            for gate in found:
                print(gate.line())
        if failed:
            raise GateFailed(f"{self.workspace} does not pass: {', '.join(failed)}")


class Gc(OneWorkspace):
    """Delete what no kept commit names; `--dry-run` first."""

    keep: int = Field(30, ge=1)
    """How many of the newest commits stay readable."""
    keep_days: float = Field(0.0, ge=0)
    """Commits younger than this stay readable too, however many they are."""
    grace_hours: float = Field(GRACE_SECONDS / 3600, ge=0)
    """Younger files stay: a run that is still working may have written them."""
    dry_run: bool = False
    """Only list."""
    summary: Literal["text", "json"] = "text"
    """json: the last line on standard output is one JSON object."""

    def run(self) -> None:
        """Delete, and say what."""
        workspace = self.open()
        garbage, dead = find_garbage(
            workspace.store,
            keep=self.keep,
            grace_seconds=self.grace_hours * 3600,
            keep_seconds=self.keep_days * DAY,
        )
        n_bytes = sum(item.size_bytes for item in garbage)
        if self.dry_run:
            for item in garbage:
                print(f"{item.path}: {item.size_bytes:,} bytes, {item.why}")
        else:
            collect(workspace.store, garbage, dead)
        verb = "would delete" if self.dry_run else "deleted"
        print(f"{verb} {len(garbage):,} files ({n_bytes / 1e6:,.1f} MB) and {len(dead):,} commits")
        if self.summary == "json":
            value = {
                "job": "gc",
                "status": "planned" if self.dry_run else "deleted",
                "exit_code": 0,
                "workspace": self.workspace,
                "commit": workspace.head.seq,
                "n_files": len(garbage),
                "bytes": n_bytes,
                "n_commits": len(dead),
            }
            print(json.dumps(value))
