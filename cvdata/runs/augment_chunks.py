"""One chunk of copies, end to end, wherever it runs: read records, augment, write one part."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cvdata.parts import Part, PartSpec, read_columns, receipt, sort_rows, write_keyed
from cvdata.schema import RECORDS
from cvdata.stages.augment import Augment
from cvdata.storage import Store
from cvdata.tables import KEY_COLUMNS
from cvdata.workspace import Change, Workspace


@dataclass(frozen=True)
class ChunkTask:
    """Tasks whose parents stand in one part of `records`.

    `positions` are the parents' rows there, `partners` the records of the images mixed in,
    `merged` what replaces label and boxes of some.
    """

    part: str
    positions: bytes
    tasks: pa.Table
    partners: pa.Table
    merged: pa.Table


@dataclass(frozen=True)
class AugmentChunk:
    """Runs `stage` on the tasks of a chunk and writes their part. Small; it travels."""

    store: Store
    spec: PartSpec
    stage: Augment

    def __call__(self, task: ChunkTask) -> Part:
        """The receipt. A chunk that is finished already is not run again."""
        return self.write(self.compute(task))

    def compute(self, task: ChunkTask) -> "Part | pa.Table":
        """The rows of the copies, which are written; the receipt of a chunk that is finished."""
        keys = sort_rows(task.tasks.select(KEY_COLUMNS))
        found = receipt(self.store, self.spec.path_of_keys(keys))
        if found is not None:
            return found
        at = pa.array(np.frombuffer(task.positions, np.uint32))
        images = pa.concat_tables([_records(self.store, task.part).take(at), task.partners])
        return self.stage(task.tasks, with_merged(images, task.merged))

    def write(self, made: "Part | pa.Table") -> Part:
        """The receipt of these rows; the files that they tell of are durable before they are."""
        if isinstance(made, Part):
            return made
        self.stage.gallery.settle()
        return write_keyed(self.store, self.spec, made)


def with_merged(images: pa.Table, merged: pa.Table) -> pa.Table:
    """Labels and boxes that copies of an image brought it."""
    if not len(merged):
        return images
    at = pc.index_in(images["image_id"], merged["image_id"].combine_chunks())
    is_merged = pc.is_valid(at)
    for name in ("label", "boxes"):
        # if_else has no kernel for lists of structs: rows are picked from both, one after the other
        both = pa.concat_arrays([images[name].combine_chunks(), merged[name].combine_chunks()])
        own = pa.array(np.arange(len(images)))
        theirs = pc.add(pc.fill_null(at, 0), len(images))
        picked = both.take(pc.if_else(is_merged, theirs, own))
        images = images.set_column(images.schema.get_field_index(name), name, picked)
    return images


@lru_cache(maxsize=2)
def _records(store: Store, path: str) -> pa.Table:
    return read_columns(store, [Part(path, 0, 0, "")], RECORDS)


def tasks_by_part(
    change: Change, workspace: Workspace, tasks: pa.Table, size: int
) -> Iterator[ChunkTask]:
    """Chunks of at most `size` tasks, parents in the order in which their bytes lie."""
    if not len(tasks):
        return
    partners = records_of(change, _partner_ids(tasks))
    merged = merged_of(workspace)
    parents = tasks["parent_id"].combine_chunks()
    for part in change.records:
        rows = read_columns(change.store, [part], RECORDS, ["image_id", "uri", "offset"])
        order = pc.sort_indices(rows, [(n, "ascending") for n in ("uri", "offset", "image_id")])
        place = np.empty(len(rows), np.int64)
        place[np.asarray(order)] = np.arange(len(rows))
        at = pc.index_in(parents, rows["image_id"].combine_chunks())
        mine = np.flatnonzero(np.asarray(pc.is_valid(at)))
        position = np.asarray(at.take(pa.array(mine)), np.int64)
        variant = np.asarray(tasks["variant"])[mine]
        ordered = np.lexsort((variant, place[position]))
        for first in range(0, len(ordered), size):
            taken = ordered[first : first + size]
            chosen = tasks.take(pa.array(mine[taken])).combine_chunks()
            needed = np.unique(position[taken]).astype(np.uint32)
            others = _others(partners, chosen)
            ids = pa.concat_arrays([chosen["parent_id"].combine_chunks(), _ids(others)])
            brought = merged.filter(pc.is_in(merged["image_id"], ids))
            yield ChunkTask(part.path, needed.tobytes(), chosen, others, brought)


def _ids(rows: pa.Table) -> pa.Array:
    return rows["image_id"].combine_chunks()


def _partner_ids(tasks: pa.Table) -> pa.Array:
    return pc.unique(pc.list_flatten(tasks["partners"].combine_chunks()))


def records_of(change: Change, ids: pa.Array) -> pa.Table:
    """Records of these images, one part of `records` in memory at a time."""
    found = [RECORDS.empty_table()]
    for part in change.records if len(ids) else ():
        rows = read_columns(change.store, [part], RECORDS)
        found.append(rows.filter(pc.is_in(rows["image_id"], ids)))
    return pa.concat_tables(found).combine_chunks()


def merged_of(workspace: Workspace) -> pa.Table:
    """image_id, label, boxes of the images that were given those of their copies."""
    names = ["image_id", "label", "boxes"]
    if "merged" not in workspace.tables():
        return pa.schema([RECORDS.field(n) for n in names]).empty_table().combine_chunks()
    return workspace.read("merged", names).combine_chunks()


def _others(partners: pa.Table, tasks: pa.Table) -> pa.Table:
    """The records of the partners of these tasks that are no parents of theirs."""
    wanted = pc.is_in(partners["image_id"], _partner_ids(tasks))
    is_parent = pc.is_in(partners["image_id"], pc.unique(tasks["parent_id"].combine_chunks()))
    return partners.filter(pc.and_not(wanted, is_parent)).combine_chunks()
