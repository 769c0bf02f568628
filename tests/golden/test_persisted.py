"""What lies in workspaces of others: ids, schemas, names of parts. A change here needs a version.

A new value is right only where FORMAT_VERSION, DECODE_VERSION or a measure's version moved too.
"""

import pyarrow as pa

from cvdata import schema
from cvdata.commits import Commit, CommitLog, TableState
from cvdata.measures import DEFAULT_MEASURES
from cvdata.parts import Part, PartSpec
from cvdata.runs.eda import EDA_VERSION
from cvdata.schema import FORMAT_VERSION, RECORDS, image_id
from cvdata.stages.scan import MeasureSet, MeasureSpec
from cvdata.storage import digest
from cvdata.tables import chunk_rows_for

IDS = {"a": "62146bf411fcf5b1709467c4394017c9", "b": "6abae805a0a0a79e63b93d7cebb3e691"}
PART = "lengths/abababab/part-3692e8cb9a08de9a524acaabbecabf7d.parquet"
SCHEMAS = {
    "RECORDS": "f22af9fd037a4154",
    "ISSUES": "b210ce416141432d",
    "PAIRS": "e59a80d984305d76",
    "DUPLICATES": "7702413196eba82f",
    "LEAKS": "ce79b701e5bf16ac",
    "SUMMARY": "d3f693d088137abe",
    "COUNTS": "2a856763823dd647",
}
DEFAULT_SET = "measures/fcca7cdc"


def test_versions() -> None:
    assert (FORMAT_VERSION, EDA_VERSION) == (1, 1)


def test_ids() -> None:
    assert image_id("default", b"a.jpg").hex() == IDS["a"]
    assert image_id("default", b"shard-0.tar!b.jpg").hex() == IDS["b"]
    assert image_id("defaul", b"ta.jpg").hex() != IDS["a"], "name and key do not run together"


def test_names_of_parts() -> None:
    rows = pa.table(
        {
            "image_id": pa.array([image_id("s", b"1"), image_id("s", b"2")], pa.binary(16)),
            "revision": ["1-2", "3-4"],
        }
    )
    spec = PartSpec("lengths", "ab" * 32, RECORDS)
    assert spec.path_of_keys(rows) == PART
    assert CommitLog.path(7) == "_commits/00000000000000000007.json"


def test_schemas() -> None:
    names = ("RECORDS", "ISSUES", "PAIRS", "DUPLICATES", "LEAKS", "SUMMARY", "COUNTS")
    found = {n: digest(str(getattr(schema, n)).encode())[:16] for n in names}
    assert found == SCHEMAS


def test_the_default_set() -> None:
    names = sorted(DEFAULT_MEASURES)
    assert MeasureSet(tuple(MeasureSpec(n) for n in names)).table == DEFAULT_SET


def test_chunks_are_cut_by_the_size_of_the_table_alone() -> None:
    sizes = (1, 500, 2_048, 10_000, 40_000, 10**8)
    assert [chunk_rows_for(n) for n in sizes] == [64, 64, 64, 256, 1024, 1024]


def test_a_commit_reads_back() -> None:
    part = Part("t/ab/part-1.parquet", 3, 10, "cd", {"corrupt": 1})
    commit = Commit(3, "p", "r", "scan", "now", {"a": 1}, {}, {"t": TableState("ab", (part,))})
    assert Commit.decode(commit.encode()) == commit
