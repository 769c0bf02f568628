"""Augmentation as a run: plan, write copies by the chunk, publish exactly what is wanted."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cvdata.commits import TableState
from cvdata.engine.progress import ProgressBar
from cvdata.engine.session import Session
from cvdata.errors import WorkspaceError
from cvdata.parts import Part, PartSpec, read_columns, write_keyed
from cvdata.runs.augment_chunks import AugmentChunk, ChunkTask, tasks_by_part
from cvdata.runs.augment_plan import (
    Choice,
    Held,
    Wanted,
    is_held,
    refuse_nothing,
    wanted_copies,
)
from cvdata.runs.filling import FillOptions, refuse_errors
from cvdata.schema_augmented import AUGMENTED
from cvdata.stages.augment import Augment, Gallery, Recipe
from cvdata.storage import Store, digest
from cvdata.tables import chunk_rows_for
from cvdata.workspace import Change, Workspace

LARGEST_CHUNK = 256
"""Copies a chunk at most: some take a second of CPU for twenty."""
_KEYS = ["image_id", "revision", "parent_id", "variant", "partners"]


@dataclass(frozen=True)
class AugmentOptions:
    """What is made and how; only `recipe`, `choice` and `output` can change what comes out."""

    recipe: Recipe
    choice: Choice = field(default_factory=Choice)
    output: str = ""
    fill: FillOptions = field(default_factory=FillOptions)


@dataclass(frozen=True)
class Augmented:
    """What a run did, or would do."""

    wanted: Wanted
    n_pending: int
    n_chunks: int
    n_dropped: int
    rate: float = 0.0
    state: TableState | None = None

    def numbers(self) -> dict[str, object]:
        """For the commit and for machines."""
        return {
            "n_parents": self.wanted.n_parents,
            "n_wanted": len(self.wanted.tasks),
            "n_made": self.n_pending,
            "n_dropped": self.n_dropped,
            "images_per_second": round(self.rate, 1),
        }

    def plan(self) -> list[str]:
        """For `--dry-run`."""
        why = "the budget" if self.wanted.is_budgeted else "--variants"
        return [
            f"plan: {self.n_pending:,} of {len(self.wanted.tasks):,} copies of "
            f"{self.wanted.n_parents:,} images pending (by {why}), {self.n_chunks:,} chunks",
            f"  {self.n_dropped:,} rows are not wanted any more and leave the table",
        ]


def gallery_of(change: Change, options: AugmentOptions) -> Gallery:
    """Where copies go: `images/<policy>` of the workspace, or `<policy>` below the output."""
    policy = options.recipe.policy
    if not options.output:
        return Gallery(change.store, f"images/{policy}")
    single_writer = change.store.single_writer
    return Gallery(Store(options.output, single_writer=single_writer), policy)


def fingerprint_of(options: AugmentOptions) -> str:
    """The recipe's; elsewhere than in the workspace, copies are others."""
    own = options.recipe.fingerprint
    return digest(f"{own}\n{options.output}".encode()) if options.output else own


def augment(
    change: Change, session: Session, workspace: Workspace, options: AugmentOptions
) -> Augmented:
    """Make the copies that the table lacks, and publish those that are wanted."""
    spec = PartSpec(options.recipe.source, fingerprint_of(options), AUGMENTED)
    table = change.keyed(spec)
    parts = [*table.committed, *table.added]
    held = Held.of(read_columns(change.store, parts, AUGMENTED, _KEYS))
    wanted = wanted_copies(workspace, options.recipe, options.choice, held)
    refuse_nothing(wanted, workspace, options.choice)
    lacking = wanted.tasks.filter(pa.array(~is_held(wanted.tasks, held)))
    n_dropped = len(held.revision) - (len(wanted.tasks) - len(lacking))
    size = min(options.fill.chunk_rows or chunk_rows_for(len(wanted.tasks)), LARGEST_CHUNK)
    items = list(tasks_by_part(change, workspace, lacking, size))
    found = Augmented(wanted, len(lacking), len(items), n_dropped)
    if options.fill.is_dry_run:
        return found
    gallery = gallery_of(change, options)
    work = AugmentChunk(
        change.store, spec, Augment(options.recipe, gallery, options.fill.confinement)
    )
    made, rate = _run(session, work, items, len(lacking))
    n_errors = sum(sum(p.errors.values()) for p in made)
    refuse_errors(n_errors, len(lacking), options.fill.max_error_rate)
    kept = sorted(
        _trimmed(change.store, spec, [*parts, *made], wanted.tasks), key=lambda part: part.path
    )
    _check(change.store, kept, wanted.tasks)
    state = TableState(spec.fingerprint, tuple(kept), _meta(options, wanted))
    change.put_state(spec.table, state)
    return replace(found, rate=rate, state=state)


def _run(
    session: Session, work: AugmentChunk, items: Sequence[ChunkTask], n_rows: int
) -> tuple[list[Part], float]:
    made: list[Part] = []
    with ProgressBar("augment", n_rows) as bar:
        for part in session.run(work, items, work.stage.resources):
            made.append(part)
            bar.advance(part.rows, sum(part.errors.values()))
    return made, bar.rate


def _trimmed(
    store: Store, spec: PartSpec, parts: Sequence[Part], wanted: pa.Table
) -> Iterator[Part]:
    """The parts without rows that are not wanted: such a part is written anew."""
    ids = wanted["image_id"].to_pylist()
    revision = dict(zip(ids, wanted["revision"].to_pylist(), strict=True))
    for part in {p.path: p for p in parts}.values():
        keys = read_columns(store, [part], AUGMENTED, ["image_id", "revision"])
        pairs = zip(keys["image_id"].to_pylist(), keys["revision"].to_pylist(), strict=True)
        is_wanted = np.array([revision.get(one) == value for one, value in pairs], np.bool_)
        if is_wanted.all():
            yield part
        elif is_wanted.any():
            rows = read_columns(store, [part], AUGMENTED).filter(pa.array(is_wanted))
            yield write_keyed(store, spec, rows)


def _check(store: Store, parts: Sequence[Part], wanted: pa.Table) -> None:
    """The conservation law: every copy that is wanted is one row, and no other is."""
    held = read_columns(store, parts, AUGMENTED, ["image_id"])["image_id"]
    n_distinct = pc.count_distinct(held).as_py()
    if len(held) != len(wanted) or n_distinct != len(wanted):
        raise WorkspaceError(
            f"{len(wanted):,} copies are wanted, {len(held):,} rows ({n_distinct:,} distinct) "
            "were found; run `cvdata verify`"
        )


def _meta(options: AugmentOptions, wanted: Wanted) -> dict[str, Any]:
    """What a reader must know of how the copies were made."""
    recipe = options.recipe
    return {
        "policy": recipe.policy,
        "operations": [step.to_json() for step in recipe.built.steps],
        "seed": recipe.seed,
        "min_visible": recipe.making.min_visible,
        "output": options.output,
        "generation": recipe.generation,
        "n_parents": wanted.n_parents,
        "is_budgeted": wanted.is_budgeted,
    }
