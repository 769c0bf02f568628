"""Tables cut by ranges of ids, once: passes over the ranges then read no part a second time.

Ids are digests, so that every part holds some of every range. To read the parts anew for each range
would cost the square of the table's size.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from cvdata import reading
from cvdata.commits import Commit
from cvdata.engine.session import Session
from cvdata.keys import id_words
from cvdata.parts import Part, read_columns
from cvdata.reading import IdRange, stored_schema
from cvdata.runs.decide_spill import Spill
from cvdata.schema import ID
from cvdata.storage import Store
from cvdata.tables import KEY_COLUMNS
from cvdata.workspace import Workspace

GROUP_ROWS = 1 << 19
"""Rows that are cut at once: what a worker holds."""
KIND = "cut"

Columns = Mapping[str, Sequence[str] | None]
"""Columns by table, `measures` as one; None: all of them."""


@dataclass(frozen=True)
class Cut:
    """Reads ranges of tables as `Workspace.read` does. Small; it travels.

    `groups` are how many files hold a table's rows, by the folder of its parts; of a folder that is
    not in it the parts themselves are read.
    """

    spill: Spill
    seq: int
    ranges: tuple[IdRange, ...]
    groups: Mapping[str, int]

    def read(self, name: str, columns: list[str] | None = None, *, id_range: IdRange) -> pa.Table:
        """The live rows of one of the ranges, sorted by image_id."""
        head = _head(self.spill, self.seq)
        return reading.read(self.spill.store, head, name, columns, id_range, self._rows)

    @cached_property
    def _numbers(self) -> Mapping[IdRange, int]:
        return {id_range: number for number, id_range in enumerate(self.ranges)}

    def _rows(
        self,
        store: Store,
        parts: Sequence[Part],
        schema: pa.Schema,
        columns: list[str] | None = None,
        id_range: IdRange | None = None,
    ) -> pa.Table:
        """What `read_columns` gives."""
        folder = _folder(parts)
        if folder not in self.groups or id_range is None:
            return read_columns(store, parts, schema, columns, id_range)
        names = schema.names if columns is None else columns
        number = self._numbers[id_range]
        rows = _batches(self.spill, folder, self.groups[folder], number).select(names)
        return rows.cast(pa.schema([schema.field(name) for name in names]))


def cut_tables(
    session: Session, workspace: Workspace, spill: Spill, ranges: list[IdRange], wanted: Columns
) -> Cut:
    """Cut these tables, each part read once; where there is one range, nothing is to be done."""
    items: list[tuple[int, _Group]] = []
    groups: dict[str, int] = {}
    for name, columns in wanted.items() if len(ranges) > 1 else ():
        for state in reading.states(workspace.head, name):
            if not state.parts:
                continue
            schema = stored_schema(workspace.store, state)
            asked = {*KEY_COLUMNS, *(schema.names if columns is None else columns)}
            schema = pa.schema([field for field in schema if field.name in asked])
            made = [_Group(tuple(parts), schema) for parts in _grouped(state.parts)]
            items += enumerate(made)
            groups[_folder(state.parts)] = len(made)
    for _ in session.run(_CutGroup(spill, tuple(ranges)), items):
        pass
    return Cut(spill, workspace.head.seq, tuple(ranges), groups)


def _folder(parts: Sequence[Part]) -> str:
    return parts[0].path.rpartition("/")[0] if parts else ""


def _grouped(parts: Sequence[Part]) -> Iterator[list[Part]]:
    """Parts of about `GROUP_ROWS` rows together."""
    held: list[Part] = []
    for part in parts:
        if held and sum(p.rows for p in held) + part.rows > GROUP_ROWS:
            yield held
            held = []
        held.append(part)
    if held:
        yield held


@dataclass(frozen=True)
class _Group:
    """Parts that are cut together, and the columns that are kept."""

    parts: tuple[Part, ...]
    schema: pa.Schema


@dataclass(frozen=True)
class _CutGroup:
    """A numbered group -> one Arrow file with a batch for each range."""

    spill: Spill
    ranges: tuple[IdRange, ...]

    def __call__(self, item: tuple[int, _Group]) -> None:
        place, group = item
        rows = read_columns(self.spill.store, group.parts, group.schema).combine_chunks()
        number = range_numbers(rows["image_id"], self.ranges)
        order = np.argsort(number, kind="stable")
        sizes = np.bincount(number, minlength=len(self.ranges))
        kind = f"{KIND}/{_folder(group.parts)}"
        self.spill.put_batches(kind, place, rows.take(pa.array(order)), sizes.tolist())


def range_numbers(ids: pa.ChunkedArray, ranges: Sequence[IdRange]) -> npt.NDArray[np.int64]:
    """(N,) the range that each id lies in; ranges are in order and leave nothing out."""
    high, low = id_words(ids).T
    starts, ends = id_words(pa.array([start for start, _ in ranges], ID)).T
    number = np.searchsorted(starts, high, side="right") - 1
    # where an id and a start share the first half of their bytes, the second half decides
    for at in np.flatnonzero(starts[number] == high).tolist():
        while starts[number[at]] == high[at] and low[at] < ends[number[at]]:
            number[at] -= 1
    return np.asarray(number, np.int64)


@lru_cache(maxsize=2)
def _head(spill: Spill, seq: int) -> Commit:
    """By the run's own folder: a workspace made anew at the same URL counts its commits anew."""
    return Workspace(spill.store.url, store=spill.store).pin(seq).head


@lru_cache(maxsize=2)
def _batches(spill: Spill, folder: str, n_groups: int, number: int) -> pa.Table:
    """The rows of one range. The keys of `records` are asked for with every table: two are kept."""
    found = [spill.batch(f"{KIND}/{folder}", place, number) for place in range(n_groups)]
    return pa.Table.from_batches(found)
