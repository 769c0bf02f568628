"""What an export will write, before it writes: rows, names, classes, splits, chunks."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace

from cvdata.commits import Commit
from cvdata.errors import ConfigError
from cvdata.runs.export_chunks import PlannedChunk, chunks_of
from cvdata.runs.export_copies import copies_of
from cvdata.runs.export_look import Gathered, PlanOptions, look, refuse_misfits
from cvdata.runs.export_rows import Kept, Overlay, in_order, part_rows, read_kept, read_overlay
from cvdata.sinks.base import UNSPLIT, Facts, Sink
from cvdata.sinks.names import folder_names
from cvdata.storage import Store


@dataclass(frozen=True)
class ExportPlan:
    """All chunks, and what is known of the whole."""

    chunks: tuple[PlannedChunk, ...]
    facts: Facts
    kept: Kept
    overlay: Overlay
    n_records: int
    n_unreadable: int
    n_bytes: int
    misfits: Mapping[str, int]

    @property
    def n_rows(self) -> int:
        """Images to write."""
        return sum(chunk.n_rows for chunk in self.chunks)


def plan_export(store: Store, head: Commit, sink: Sink, options: PlanOptions) -> ExportPlan:
    """Look at every row once; `ConfigError` where the format cannot hold what is kept."""
    kept, overlay = read_kept(store, head), read_overlay(store, head)
    found = Gathered()
    copies = copies_of(head, options.augmented)
    for part in [*in_order(store, head.tables["records"].parts), *copies]:
        rows = overlay.over(store, part_rows(store, part.path))
        look(rows, part.path, (kept, sink.places, options), found)
    refuse_misfits(found, options)
    if not found.row:
        raise ConfigError("no image is kept, so there is nothing to export; look at `selection`")
    facts = _facts(found, sink, options)
    chunks = tuple(chunks_of(found, options))
    n_chunks = Counter(chunk.split for chunk in chunks)
    facts = replace(facts, n_chunks={split: n_chunks[split] for split in facts.split_folders})
    sink.check(facts)
    n_bytes = int(found.sizes().sum())
    return ExportPlan(
        chunks, facts, kept, overlay, found.n_records, found.n_unreadable, n_bytes, found.misfits
    )


def _facts(found: Gathered, sink: Sink, options: PlanOptions) -> Facts:
    places = sink.places
    if places.needs_boxes and not found.has_boxes:
        raise ConfigError(
            "no image has boxes, and this format holds nothing else; "
            "for labels of images choose --format imagefolder, parquet or webdataset"
        )
    labels = {name for name in found.labels if name is not None} if places.label else set()
    objects = {name for name in found.objects if name is not None} if places.boxes else set()
    if options.unlabeled and places.needs_label and found.labels[None]:
        labels.add(options.unlabeled)
    if options.unlabeled and found.objects[None]:
        objects.add(options.unlabeled)
    splits = sorted(found.splits, key=lambda split: (split is None, split or ""))
    names = folder_names(UNSPLIT if split is None else split for split in splits)
    folders = {s: names[UNSPLIT if s is None else s] for s in splits}
    return Facts(
        labels=_in_order(labels, options.classes, is_first=not places.boxes),
        objects=_in_order(objects, options.classes, is_first=places.boxes),
        folders=folder_names(labels),
        split_folders={None: ""} if splits == [None] else folders,
        has_boxes=found.has_boxes and places.boxes,
        has_masks=found.has_masks and places.masks,
    )


def _in_order(found: set[str], given: tuple[str, ...], *, is_first: bool) -> tuple[str, ...]:
    """The classes by name, or as the operator orders them."""
    missing = sorted(found - set(given))
    if not given or (missing and not is_first):
        return tuple(sorted(found))
    if missing:
        raise ConfigError(f"--classes lacks {', '.join(map(repr, missing[:10]))}, which occur")
    return tuple(dict.fromkeys(given))
