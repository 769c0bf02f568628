"""What is to be done for an index: which rows, which kind, and what of the old one stays."""

from dataclasses import asdict, dataclass

import numpy as np

from cvdata.errors import ConfigError, WorkspaceError
from cvdata.index.choice import Choice, Prefer, choose
from cvdata.index.kept import Card
from cvdata.index.trained import U8, Template, codes_of, emptied
from cvdata.kernels.neighbors import I64
from cvdata.keys import key_columns, locate
from cvdata.runs.index_files import is_current, open_index, read_card
from cvdata.runs.index_rows import Rows, dimension_of, live_rows
from cvdata.workspace import Change

MOVED_ROWS = 65_536
RETRAIN_GROWTH = 2
"""An index is trained anew once there are twice, or half, the rows that it was trained for."""


@dataclass(frozen=True)
class IndexSettings:
    """What is asked of an index; another answer to any of these builds it anew."""

    factory: str = ""
    memory_bytes: int = 4_000_000_000
    prefer: Prefer = "updates"
    target_recall: float = 0.95
    k: int = 10
    n_queries: int = 1000
    threshold: float = 0.9


@dataclass
class Held:
    """The rows of the committed index that stay: its training, their codes, their new numbers."""

    template: Template
    codes: U8
    old: I64
    new: I64
    card: Card

    def move_into(self, codes: U8) -> None:
        """Put the codes where they go, and let go of the old ones: large indexes fill memory."""
        for start in range(0, len(self.new), MOVED_ROWS):
            some = slice(start, start + MOVED_ROWS)
            codes[self.new[some]] = self.codes[self.old[some]]
        self.codes = np.empty((0, 0), np.uint8)


@dataclass(frozen=True)
class Planned:
    """What a run would do: rows in the order of the index, and how they get there."""

    table: str
    rows: Rows
    dimension: int
    choice: Choice
    held: Held | None
    n_removed: int
    notes: tuple[str, ...]

    @property
    def n_added(self) -> int:
        """Vectors that the index lacks."""
        return len(self.rows) - (len(self.held.new) if self.held else 0)

    def lines(self) -> list[str]:
        """The plan, for `--dry-run`."""
        how = "change" if self.held else "build"
        return [
            *self.notes,
            f"plan: {how} {self.choice.factory} of {len(self.rows):,} vectors of "
            f"{self.dimension:,} numbers of {self.table}",
            f"  {self.choice.why}",
            f"  {self.n_added:,} to add, {self.n_removed:,} to take out; about "
            f"{self.choice.size_bytes / 1e9:,.3f} GB in memory, twice that while it is built",
        ]


def plan(
    change: Change, model: str, settings: IndexSettings, *, is_rebuild: bool
) -> Planned | None:
    """What is to be done; None where the committed index is of these very vectors."""
    head, store = change.base, change.store
    table = f"embeddings/{model}"
    dimension = dimension_of(store, head, table)
    notes: list[str] = []
    card: Card | None = None
    try:
        card = read_card(store, head, model)
    except (WorkspaceError, FileNotFoundError) as error:
        notes.append(f"the committed index is not used: {error}")
    is_asked = card is not None and dict(card.settings) == asdict(settings) and not is_rebuild
    if card is not None and is_asked and is_current(head, card):
        return None
    rows = live_rows(store, head, table)
    if not len(rows):
        raise ConfigError(f"{table} has no vector of an image that is there: nothing to index")
    n = len(rows)
    choice = (
        Choice(settings.factory, "as asked for", 4 * dimension * n)
        if settings.factory
        else choose(n, dimension, settings.memory_bytes, settings.prefer)
    )
    held = None
    if card is not None and is_asked and _is_kept(card, change, choice, n):
        choice = Choice(card.factory, card.why, choice.size_bytes)
        held = _held(change, card, rows, notes)
    n_removed = card.n - len(held.old) if card is not None and held else 0
    return Planned(table, rows, dimension, choice, held, n_removed, tuple(notes))


def _is_kept(card: Card, change: Change, choice: Choice, n: int) -> bool:
    """Whether what the old index was trained to be still suits."""
    if card.fingerprint != change.base.tables[card.table].fingerprint:
        return False
    if not card.trained_rows:
        return card.factory == choice.factory
    return card.trained_rows / RETRAIN_GROWTH <= n <= card.trained_rows * RETRAIN_GROWTH


def _held(change: Change, card: Card, rows: Rows, notes: list[str]) -> Held | None:
    """The old index's rows that are still there; None where it must be built anew."""
    try:
        opened = open_index(change.store, change.base, card)
    except WorkspaceError as error:
        notes.append(f"the committed index is not used: {error}")
        return None
    index = opened.searcher.index
    template = Template(card.factory, index)
    if not template.is_coded:
        return None
    codes = codes_of(template, index)
    template = emptied(card.factory, index)
    high, low = key_columns(opened.keys["image_id"], opened.keys["revision"])
    order = np.lexsort((low, high))
    wanted = key_columns(rows.keys["image_id"], rows.keys["revision"])
    at = locate(high[order], low[order], *wanted)
    new = np.flatnonzero(at >= 0)
    return Held(template, codes, order[at[new]], new, card)
