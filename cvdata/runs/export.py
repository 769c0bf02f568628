"""An export as a run: plan, claim the target, write the chunks, then what speaks of the whole."""

import json
import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from typing import Any

from cvdata.engine.progress import ProgressBar
from cvdata.engine.session import EngineConfig, Session
from cvdata.errors import ConfigError, WorkspaceError
from cvdata.image import DECODE_VERSION, Limits
from cvdata.maintenance import MADE_TABLES
from cvdata.parts import parts_digest, versions
from cvdata.runs.export_card import card
from cvdata.runs.export_look import PlanOptions
from cvdata.runs.export_plan import ExportPlan, plan_export
from cvdata.runs.export_target import (
    CARD,
    CHECKSUMS,
    FACTS,
    PROVENANCE,
    Claim,
    claim,
    forget_pieces,
    inspect,
)
from cvdata.runs.export_task import STATE, ExportTask, Receipt, files_of, read_piece, texts
from cvdata.runs.filling import refuse_errors
from cvdata.sinks.base import Sink
from cvdata.sinks.output import Output
from cvdata.stages.base import Resources
from cvdata.stages.export import Export
from cvdata.stages.export_render import Rendering
from cvdata.stages.isolation_process import Confinement
from cvdata.storage import Store, digest
from cvdata.workspace import Workspace

EXPORT_VERSION = 1
"""Moves whenever the same tables and options can give other bytes."""

SERIAL_BELOW_BYTES = 4_000_000_000

Counts = Counter[tuple[str | None, str | None]]

_TABLES = ("records", "selection", "splits", "merged")


@dataclass(frozen=True)
class ExportOptions:
    """What is asked of an export."""

    target: str
    format: str
    sink: Sink
    plan: PlanOptions = field(default_factory=PlanOptions)
    rendering: Rendering = field(default_factory=Rendering)
    limits: Limits = field(default_factory=Limits)
    confinement: Confinement = field(default_factory=Confinement)
    max_error_rate: float = 0.05
    title: str = ""
    licence: str = ""
    is_replacing: bool = False

    def settings(self) -> dict[str, Any]:
        """All that can change a byte of the export, but for the tables."""
        kind = type(self.sink)
        limits = {**vars(self.limits), "formats": sorted(self.limits.formats)}
        return {
            "format": self.format,
            "sink": f"{kind.__module__}.{kind.__qualname__} {self.sink.version}",
            "options": {k: v for k, v in vars(self.sink).items() if not k.startswith("_")},
            "plan": asdict(self.plan),
            "rendering": asdict(self.rendering),
            "limits": limits if self.rendering.is_asked else limits["max_bytes"],
            "title": self.title,
            "licence": self.licence,
        }


@dataclass(frozen=True)
class ExportWork:
    """What a run is about to do."""

    workspace: Workspace
    target: Store
    options: ExportOptions
    plan: ExportPlan
    marks: Mapping[str, Any]

    def lines(self) -> list[str]:
        """The plan, for `--dry-run`."""
        plan = self.plan
        kept = "every readable image (there is no selection)" if plan.kept.is_all else "selection"
        lines = [
            f"plan: {plan.n_rows:,} of {plan.n_records:,} images as {self.options.format} to "
            f"{self.target.url}, from {kept}",
            f"  {len(plan.chunks):,} chunks, about {plan.n_bytes / 1e9:,.2f} GB to read and write",
        ]
        for what, n in plan.misfits.items():
            if n:
                lines.append(f"  left out: {n:,} images {what}")
        return lines


def plan_work(workspace: Workspace, options: ExportOptions) -> ExportWork:
    """Look at the tables; `ConfigError` for what cannot be done, before any worker starts."""
    head = workspace.head
    if "records" not in head.tables:
        raise ConfigError(
            f"{workspace.store.url} has no records yet: run `cvdata ingest SOURCE --workspace "
            f"{workspace.store.url}` first"
        )
    target = Store(options.target, single_writer=True)
    settings = options.settings()
    names = (*_TABLES, *(f"{MADE_TABLES}{policy}" for policy in options.plan.augmented))
    tables = {name: head.tables[name] for name in names if name in head.tables}
    inputs = {name: parts_digest(state.parts) for name, state in tables.items()}
    if "selection" not in inputs:
        bad = [p for n, s in head.tables.items() if n.startswith("measures/") for p in s.parts]
        inputs["unreadable"] = parts_digest(p for p in bad if p.errors)
    text = json.dumps(
        {"export": EXPORT_VERSION, "decode": DECODE_VERSION, "inputs": inputs, **settings},
        sort_keys=True,
    )
    marks = {
        "made_by": "cvdata export",
        "fingerprint": digest(text.encode()),
        "format": options.format,
        "commit": head.seq,
    }
    plan = plan_export(workspace.store, head, options.sink, options.plan)
    return ExportWork(workspace, target, options, plan, marks)


def look(work: ExportWork) -> Claim:
    """What lies in the target; `ConfigError` where it is not ours."""
    options = work.options
    url = work.workspace.store.url
    return inspect(work.target, url, work.marks, replace=options.is_replacing)


def export(work: ExportWork, engine: EngineConfig) -> dict[str, Any]:
    """Write everything that is not there yet; the figures of the whole export."""
    options, target = work.options, work.target
    url = work.workspace.store.url
    if claim(target, url, work.marks, replace=options.is_replacing) is Claim.DONE:
        forget_pieces(target)
        found: dict[str, Any] = json.loads(target.get(FACTS))
        return {**found, "is_current": True}
    receipts = _write_chunks(work, engine)
    figures = _figures(work, receipts)
    refuse_errors(sum(figures["errors"].values()), work.plan.n_rows, options.max_error_rate)
    out = Output(target.url, STATE)
    try:
        _write_whole(work, receipts, figures, out)
        sums = _write_checksums(work, receipts, out)
    finally:
        out.close()
    facts = {**work.marks, **figures, "checksums": sums}
    target.put(FACTS, (json.dumps(facts, indent=1, sort_keys=True) + "\n").encode())
    forget_pieces(target)
    n_found = sum(receipt.is_found for receipt in receipts)
    return {**facts, "is_current": False, "n_chunks_found": n_found}


def _engine_for(work: ExportWork, engine: EngineConfig) -> EngineConfig:
    """A loop, whose threads write while it reads, for what is copied sooner than Ray starts."""
    is_free = engine.kind == "auto" and not (engine.address or os.environ.get("RAY_ADDRESS"))
    is_small = work.plan.n_bytes < SERIAL_BELOW_BYTES and not work.options.rendering.is_asked
    return EngineConfig("serial") if is_free and is_small and not engine.workers else engine


def _write_chunks(work: ExportWork, engine: EngineConfig) -> list[Receipt]:
    options = work.options
    stage = Export(
        options.sink,
        work.plan.facts,
        options.rendering,
        options.limits,
        options.confinement,
        options.plan.naming,
        options.plan.unlabeled,
    )
    merged = work.plan.overlay.merged
    fingerprint = str(work.marks["fingerprint"])
    task = ExportTask(work.workspace.store, work.target, stage, fingerprint, merged)
    receipts = []
    with (
        Session(_engine_for(work, engine)) as session,
        ProgressBar("export", work.plan.n_rows) as bar,
    ):
        for receipt in session.run(task, work.plan.chunks, Resources()):
            receipts.append(receipt)
            n_errors = sum(receipt.errors.values())
            bar.advance(receipt.n_images + n_errors, n_errors)
    return sorted(receipts, key=lambda receipt: receipt.ordinal)


def _figures(work: ExportWork, receipts: Sequence[Receipt]) -> dict[str, Any]:
    """The numbers of the whole; asserts images = written + errors."""
    plan = work.plan
    n_images = sum(r.n_images for r in receipts)
    errors: Counter[str] = sum((r.errors for r in receipts), Counter())
    left_out: Counter[str] = sum((r.left_out for r in receipts), Counter())
    classes: Counts = sum((r.classes for r in receipts), Counter())
    objects: Counts = sum((r.objects for r in receipts), Counter())
    if n_images + sum(errors.values()) != plan.n_rows:
        raise WorkspaceError(
            f"{plan.n_rows:,} images were planned, {n_images:,} written and "
            f"{sum(errors.values()):,} failed: the conservation law does not hold"
        )
    return {
        "n_records": plan.n_records,
        "n_images": n_images,
        "n_unreadable": plan.n_unreadable,
        "n_files": sum(r.n_files for r in receipts),
        "n_bytes": sum(r.n_bytes for r in receipts),
        "n_turned": sum(r.n_turned for r in receipts),
        "n_rendered": sum(r.n_rendered for r in receipts),
        "is_selected": not plan.kept.is_all,
        "has_assigned_splits": plan.overlay.has_splits,
        "classes": _listed(classes),
        "objects": _listed(objects),
        "reasons": dict(sorted(plan.kept.reasons.items())),
        "misfits": {what: n for what, n in sorted(plan.misfits.items()) if n},
        "left_out": dict(sorted(left_out.items())),
        "errors": dict(sorted(errors.items())),
        "settings": json.loads(json.dumps(work.options.settings())),
        "versions": {**versions(), "cvdata": version("cvdata")},
    }


def _listed(counts: Mapping[tuple[str | None, str | None], int]) -> list[list[Any]]:
    rows = sorted(counts.items(), key=lambda pair: [(v is None, v or "") for v in pair[0]])
    return [[split, label, n] for (split, label), n in rows]


def _write_whole(
    work: ExportWork, receipts: Sequence[Receipt], figures: Mapping[str, Any], out: Output
) -> None:
    """What the sink writes of the whole, where each image came from, and the card."""
    sink, facts = work.options.sink, work.plan.facts

    def lines(split: str | None) -> Iterator[str]:
        for receipt in receipts:
            if receipt.split == split:
                yield from texts(read_piece(work.target, receipt.piece), "line")

    how = sink.assemble(facts, lines, out)
    if sink.places.needs_bytes:
        with out.stream(PROVENANCE) as file:
            for receipt in receipts:
                for text in texts(read_piece(work.target, receipt.piece), "image"):
                    file.write(f"{text}\n".encode())
    out.put(CARD, card(work.options, facts, {**work.marks, **figures}, how).encode())


def _write_checksums(work: ExportWork, receipts: Sequence[Receipt], out: Output) -> str:
    """Every file but this one and export.json, as `sha256sum -c` reads it; its own digest."""
    whole = list(out.finish())
    with out.stream(CHECKSUMS) as file:
        for receipt in receipts:
            for one in files_of(read_piece(work.target, receipt.piece)):
                file.write(f"{one.sha256}  {one.path}\n".encode())
        for one in whole:
            file.write(f"{one.sha256}  {one.path}\n".encode())
    return out.finish()[-1].sha256
