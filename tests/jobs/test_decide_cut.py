"""Tables cut by ranges: the rows that the workspace gives, whatever the parts and the ranges."""

import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cvdata import Workspace
from cvdata.engine.session import EngineConfig, Session
from cvdata.reading import IdRange, read_columns
from cvdata.runs import decide_cut
from cvdata.runs.decide_cut import cut_tables, range_numbers
from cvdata.runs.decide_spill import spill
from cvdata.sample import Truth
from cvdata.schema import ID
from tests.tables.flows import ingest

EDGE = st.one_of(
    st.binary(min_size=16, max_size=16),
    st.integers(0, 255).map(lambda n: bytes(8) + bytes([n]) * 8),
)


@given(st.sets(EDGE, max_size=6), st.lists(EDGE, min_size=1, max_size=20))
def test_an_id_lies_in_the_range_that_holds_it(edges: set[bytes], ids: list[bytes]) -> None:
    starts = sorted({bytes(16), *edges})
    ranges: list[IdRange] = list(zip(starts, [*starts[1:], None], strict=True))
    numbers = range_numbers(pa.chunked_array([ids[:3], ids[3:]], ID), ranges)
    for one, number in zip(ids, numbers.tolist(), strict=True):
        low, high = ranges[number]
        assert low <= one
        assert high is None or one < high


@pytest.mark.parametrize("group_rows", [1, 150, 1 << 19])
def test_a_cut_reads_as_the_workspace_does(
    group_rows: int, decided: tuple[Path, Truth], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every row of every range, of tables with one key and with several."""
    workspace = Workspace(str(decided[0] / "w"))
    monkeypatch.setattr(decide_cut, "GROUP_ROWS", group_rows)
    ranges = workspace.ranges(40)
    assert len(ranges) > 5
    wanted = {
        "records": ("image_id", "revision", "label", "boxes"),
        "measures": ("error", "width", "phash"),
        "issues": None,
        "duplicates": ("method", "group_id"),
    }
    with Session(EngineConfig("serial")) as session, spill(workspace.store) as store:
        cut = cut_tables(session, workspace, store, ranges, wanted)
        for name, columns in wanted.items():
            asked = None if columns is None else [*columns]
            for id_range in ranges:
                expected = workspace.read(name, asked, id_range=id_range)
                assert cut.read(name, asked, id_range=id_range).equals(expected)


def test_each_part_is_read_once(
    decided: tuple[Path, Truth], monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many ranges there are: the cost of a pass over them grows with the rows alone."""
    workspace = Workspace(str(decided[0] / "w"))
    read: list[str] = []

    def counted(store: object, parts: list[object], *args: object) -> pa.Table:
        read.extend(part.path for part in parts)  # type: ignore[attr-defined]
        return read_columns(store, parts, *args)  # type: ignore[arg-type]

    monkeypatch.setattr(decide_cut, "read_columns", counted)
    wanted = {"records": ("label",), "issues": None}
    n_read = set()
    for rows in (200, 20):
        ranges = workspace.ranges(rows)
        read.clear()
        with Session(EngineConfig("serial")) as session, spill(workspace.store) as store:
            cut = cut_tables(session, workspace, store, ranges, wanted)
            found = [cut.read("issues", id_range=id_range) for id_range in ranges]
        assert sum(map(len, found)) == len(workspace.read("issues"))
        assert np.unique(read).size == len(read), "no part twice"
        n_read.add(len(read))
    assert len(n_read) == 1


def test_one_range_needs_no_cut(decided: tuple[Path, Truth]) -> None:
    workspace = Workspace(str(decided[0] / "w"))
    with Session(EngineConfig("serial")) as session, spill(workspace.store) as store:
        cut = cut_tables(session, workspace, store, workspace.ranges(), {"records": None})
        assert not cut.groups
        assert not list(workspace.store.list(store.folder))
        rows = cut.read("records", ["label"], id_range=workspace.ranges()[0])
    assert rows.equals(workspace.read("records", ["label"]))


def test_a_workspace_made_anew_at_the_same_place_is_read_anew(tmp_path: Path) -> None:
    """In one process, as in a notebook: its commits have the numbers of the old one's."""
    for keys in (["a", "b"], ["c", "d", "e"]):
        shutil.rmtree(tmp_path / "w", ignore_errors=True)
        workspace = Workspace(str(tmp_path / "w"))
        ingest(workspace, keys)
        with Session(EngineConfig("serial")) as session, spill(workspace.store) as store:
            cut = cut_tables(session, workspace, store, workspace.ranges(), {"records": None})
            rows = cut.read("records", ["key"], id_range=workspace.ranges()[0])
        assert rows.equals(workspace.read("records", ["key"]))
