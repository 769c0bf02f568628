"""A shared report tells nothing of the machine it was made on."""

import dataclasses
import re

import pyarrow as pa
import pytest
from conftest import ROOT
from hypothesis import given
from hypothesis import strategies as st

from cvdata.report import ReportInput, render
from cvdata.report.sharing import relative

SEGMENT = st.text(alphabet="abcXYZ019_-.", min_size=1, max_size=8).filter(lambda s: s.strip("."))
PATHS = (
    "/home/someone/My Photos/a.jpg",
    "file:///home/someone/a.jpg",
    "s3://bucket/private/a.jpg",
    "gs://bucket/a.jpg",
    "https://user:secret@host/private/a.jpg",
    "C:\\Users\\someone\\a.jpg",
    "\\\\server\\share\\a.jpg",
    "~/private/a.jpg",
)
SECRETS = ("someone", "bucket", "server", "private", "secret", "host", "Photos")


def test_no_root_is_left(data: ReportInput, page: str) -> None:
    loud = dataclasses.replace(
        data,
        title=f"{ROOT}",
        error_rows=details(data.error_rows, f"cannot open '{ROOT}/tram/cut.jpg': broken"),
        statistics={"source": ROOT, "seconds": 3.0},
        answers={
            "questions": [{**q, "answer": f"See {ROOT}/a."} for q in data.answers["questions"]]
        },
    )
    assert ROOT in render(loud)
    shared = render(loud, share=True)
    assert "/srv" not in shared
    assert "private" not in shared
    assert "tram/cut.jpg" in shared


def details(rows: pa.Table, text: str) -> pa.Table:
    at = rows.schema.get_field_index("error_detail")
    return rows.set_column(at, rows.schema.field(at), pa.array([text] * rows.num_rows))


def test_keys_that_are_paths_are_cut(data: ReportInput) -> None:
    at = data.records.schema.get_field_index("key")
    keys = pa.array([b"/home/someone/x\xff/" + k for k in data.records["key"].to_pylist()])
    absolute = data.records.set_column(at, data.records.schema.field(at), keys)
    shared = render(dataclasses.replace(data, records=absolute, tables={}), share=True)
    assert "someone" not in shared
    assert "IMG_0005.jpg" in shared


def test_without_sharing_nothing_changes(data: ReportInput, page: str) -> None:
    """Keys are relative already: a shared report of a folder names the same files."""
    shared = render(data, share=True)
    assert re.findall(r'class="file" title="([^"]*)"', shared) == re.findall(
        r'class="file" title="([^"]*)"', page
    )


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("text", ["cannot open '{}'", 'in "{}": broken'])
def test_quoted_paths_are_cut(path: str, text: str) -> None:
    cut = relative(text.format(path))
    assert not [secret for secret in SECRETS if secret in cut]
    assert cut == text.format("a.jpg")


@pytest.mark.parametrize("path", [path for path in PATHS if " " not in path])
@pytest.mark.parametrize("text", ["{}", "({})", "read {}, then stopped"])
def test_bare_paths_are_cut(path: str, text: str) -> None:
    """A bare path with a space has no end that could be found: only its root, where known, goes."""
    assert relative(text.format(path)) == text.format("a.jpg")


@given(st.lists(SEGMENT, min_size=2, max_size=5))
def test_any_absolute_path_is_cut_to_its_last_name(parts: list[str]) -> None:
    assert relative(f"read /{'/'.join(parts)} twice") == f"read {parts[-1]} twice"


@given(st.text(alphabet="abc 0123456789,.%()=", max_size=60))
def test_other_text_is_left_alone(text: str) -> None:
    assert relative(text) == text


def test_relative_keys_are_left_alone() -> None:
    for key in ("train/cat/1.jpg", "shard-000.tar!0001.jpg", "a b/c d.png", "1/2", "w/h"):
        assert relative(key) == key
