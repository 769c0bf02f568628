"""What a search for copies will take, told before it starts: what a shuffle writes, and memory."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import psutil

from cvdata.commits import Commit
from cvdata.engine.capacity import refuse_full_disk
from cvdata.reading import stored_schema
from cvdata.runs.dedup_options import DedupOptions, settings_of
from cvdata.runs.dedup_tables import is_current
from cvdata.runs.hash_search import HashSearch, shuffle_bytes
from cvdata.workspace import Workspace

BASE_BYTES, IMAGE_BYTES = 400_000_000, 600
"""The process that compares, and what it holds of an image: measured, 0.1 to 1.5 million images."""
VECTOR_COPIES = 3
"""Embeddings as they are read, in the order of the images, and of unit length."""


@dataclass(frozen=True)
class DedupPlan:
    """Images to compare, bytes that each shuffled method writes, memory of the one process."""

    options: DedupOptions
    n_images: int
    shuffled: Mapping[str, int]
    memory_bytes: int
    more: tuple[str, ...] = ()

    @property
    def told(self) -> tuple[tuple[str, ...], dict[str, object]]:
        """For a person, and for a machine."""
        return self.lines(), self.numbers

    @property
    def numbers(self) -> dict[str, object]:
        """For a machine."""
        return {
            "images": self.n_images,
            "shuffle_bytes": dict(self.shuffled),
            "memory_bytes": self.memory_bytes,
        }

    def lines(self) -> tuple[str, ...]:
        """For a person."""
        options, has = self.options, psutil.virtual_memory().total
        look = "with a second look" if options.is_verified else "without a second look"
        shuffled = "nothing is shuffled: hashes are compared in one process"
        if any(self.shuffled.values()):
            told = ", ".join(f"{m} {n / 1e9:,.3f} GB" for m, n in self.shuffled.items())
            shuffled = f"shuffles through _tmp/ of the workspace, one after the other: {told}"
        short = f": more than the {has / 1e9:,.1f} GB of this machine" * (self.memory_bytes > has)
        return (
            f"plan: compare {self.n_images:,} images by {', '.join(options.methods)}, {look}",
            f"  radius {options.radius} bits",
            f"  {shuffled}",
            f"  about {self.memory_bytes / 1e9:,.1f} GB of memory in one process{short}",
            *options.notes,
            *self.more,
        )


def _outlook(head: Commit, options: DedupOptions, against: Sequence[str]) -> tuple[str, ...]:
    """What else the run would do: look into evaluation sets, or nothing at all."""
    if against:
        return tuple(
            f"  and against {url}: what is no workspace is measured first" for url in against
        )
    if not options.is_fresh and is_current(head, settings_of(head, options, {})):
        return ("  nothing to do: the last run was of these tables and settings",)
    return ()


def plan(workspace: Workspace, options: DedupOptions, against: Sequence[str] = ()) -> DedupPlan:
    """What the run will take; `ConfigError` where its largest shuffle has no room."""
    n_images = workspace.head.tables["records"].rows
    columns = {"perceptual": options.hash_column, "dihedral": "phash"}
    sizes = {}
    for method in (m for m in columns if m in options.methods):
        search = HashSearch(columns[method], options.radius, options.search)
        sizes[method] = shuffle_bytes(workspace, search, n_images, method)
    if any(sizes.values()):
        refuse_full_disk(workspace.store, max(sizes.values()), "the largest shuffle")
    memory = BASE_BYTES + IMAGE_BYTES * n_images
    if options.table:
        state = workspace.head.tables[options.table]
        vector = stored_schema(workspace.store, state).field("embedding").type
        memory += VECTOR_COPIES * 4 * vector.list_size * state.rows
    more = _outlook(workspace.head, options, against)
    return DedupPlan(options, n_images, sizes, memory, more)
