"""Laws over every issue, and the rules of what is stored."""

import dataclasses
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cvdata.errors import ErrorCode
from cvdata.issues import ISSUES, Columns, Context, Issue, IssueSettings, context, find_issues
from cvdata.issues.docs import refreshed, table
from cvdata.issues.file import (
    CORRUPT_CODES,
    REFUSED_CODES,
    TRUNCATED_CODES,
    UNREACHABLE_CODES,
    OddSize,
)
from cvdata.measures import MEASURES
from cvdata.schema import BOX, ID, arrow_type
from cvdata.schema import ISSUES as SCHEMA

DTYPES = {f.name: f.dtype for m in MEASURES for f in m.fields} | {"label_doubt": "float64"}
CONTEXT = Context(400.0, 500.0)
RANGES = {
    "entropy": (0, 9.585),
    "width": (1, 5000),
    "height": (1, 5000),
    "jpeg_quality": (1, 100),
    "jpeg_blockiness": (-1, 1),
    "exif_orientation": (1, 8),
    "noise_sigma": (0, 90),
    "blur_edge_std": (0, 120),
    "blur_histogram_std": (0, 300),
}


def rows(n: int, seed: int = 0, nulls: float = 0.1) -> pa.Table:
    """Random facts in every column that an issue reads; some rows are errors."""
    rng = np.random.default_rng(seed)
    failed = rng.random(n) < nulls
    codes = [str(code) for code in ErrorCode]
    columns = {
        "image_id": pa.array([rng.bytes(16) for _ in range(n)], ID),
        "revision": pa.array(["r"] * n),
        "error": pa.array([codes[i % len(codes)] if f else None for i, f in enumerate(failed)]),
    }
    for name in sorted({c for issue in ISSUES for c in issue.columns} - {"boxes", "error"}):
        low, high = RANGES.get(name, (0, 1))
        values = rng.uniform(low, high + (DTYPES[name].startswith("int")), n)
        if DTYPES[name] == "bool":
            columns[name] = pa.array(values > 0.5, mask=failed)
        else:
            columns[name] = pa.array(values, mask=failed).cast(arrow_type(DTYPES[name]), safe=False)
    return pa.table(columns)


def records(ids: pa.ChunkedArray, boxes: list[object]) -> pa.Table:
    return pa.table({"image_id": ids, "boxes": pa.array(boxes, pa.list_(BOX))})


def random_boxes(n: int, seed: int = 0) -> list[list[dict[str, object]] | None]:
    rng = np.random.default_rng(seed)
    out: list[list[dict[str, object]] | None] = []
    for _ in range(n):
        k = int(rng.integers(-1, 5))
        corners = rng.uniform(-50, 600, (max(k, 0), 4)).astype(np.float32)
        corners[rng.random(len(corners)) < 0.1] = np.nan
        labels = rng.choice(["a", "b", None], len(corners))
        boxes = [{"label": x, "xyxy": c.tolist()} for x, c in zip(labels, corners, strict=True)]
        out.append(None if k < 0 else boxes)
    return out


def one(measures: dict[str, object], boxes: list[object] | None = None, n: int = 1) -> Columns:
    """Columns of hand-written rows."""
    table = pa.table({k: pa.array(v if isinstance(v, list) else [v]) for k, v in measures.items()})
    return Columns(table, pa.array(boxes, pa.list_(BOX)) if boxes is not None else None)


def box(*xyxy: float, label: str | None = "a") -> dict[str, object]:
    return {"label": label, "xyxy": list(xyxy)}


@pytest.mark.parametrize("issue", ISSUES, ids=lambda issue: issue.name)
class TestLaws:
    def test_severity_is_in_range_or_undefined(self, issue: Issue) -> None:
        data = rows(500)
        columns = Columns(data, pa.array(random_boxes(500), pa.list_(BOX)))
        severity = issue(columns, CONTEXT)
        assert severity.shape == (500,)
        assert severity.dtype == np.float64
        known = severity[~np.isnan(severity)]
        assert len(known) > 100
        assert known.min() >= 0
        assert known.max() <= 1

    def test_undefined_where_a_fact_is_missing(self, issue: Issue) -> None:
        data = rows(200)
        failed = data["error"].is_valid().to_numpy()
        if issue.columns == ("error",):
            severity = issue(Columns(data), CONTEXT)
            assert not np.isnan(severity).any()
            assert severity[~failed].max() == 0
        elif issue.columns[0] != "boxes":
            severity = issue(Columns(data), CONTEXT)
            assert np.isnan(severity[failed]).all()
            assert not np.isnan(severity[~failed]).any()
        bare = data.select(["image_id", "revision"])
        severity = issue(Columns(bare), CONTEXT)
        assert np.isnan(severity).all() or (severity == 0).all()

    def test_rows_are_independent(self, issue: Issue) -> None:
        data, boxes = rows(60), pa.array(random_boxes(60), pa.list_(BOX))
        whole = issue(Columns(data, boxes), CONTEXT)
        order = np.random.default_rng(3).permutation(60)
        shuffled = issue(Columns(data.take(order), boxes.take(pa.array(order))), CONTEXT)
        np.testing.assert_array_equal(shuffled, whole[order])
        halves = [issue(Columns(data.slice(i, 30), boxes[i : i + 30]), CONTEXT) for i in (0, 30)]
        np.testing.assert_array_equal(np.concatenate(halves), whole)

    def test_is_frozen_documented_and_reads_known_columns(self, issue: Issue) -> None:
        assert isinstance(issue, Issue)
        assert dataclasses.is_dataclass(issue)
        with pytest.raises(dataclasses.FrozenInstanceError):
            issue.threshold = 0.1  # type: ignore[misc]
        assert issue.doc.endswith(".")
        assert issue.definition
        assert issue.reason
        assert set(issue.columns) <= {*DTYPES, "boxes", "error"}

    def test_can_be_switched_off_and_moved(self, issue: Issue) -> None:
        off = IssueSettings.model_validate({issue.name: False})
        assert issue.name not in {i.name for i in off.issues()}
        moved = IssueSettings.model_validate({issue.name: {"threshold": 0.25}})
        assert {i.name: i.threshold for i in moved.issues()}[issue.name] == 0.25


def test_names_are_unique() -> None:
    assert len({issue.name for issue in ISSUES}) == len(ISSUES)


def test_every_image_error_is_one_issue() -> None:
    families = (*CORRUPT_CODES, *TRUNCATED_CODES, *REFUSED_CODES, *UNREACHABLE_CODES)
    not_of_the_image = {
        ErrorCode.MODEL_FAILED,
        ErrorCode.MEASURE_FAILED,
        ErrorCode.AUGMENT_FAILED,
    }
    assert sorted(families) == sorted(set(ErrorCode) - not_of_the_image)


def test_an_error_row_has_its_issue_and_no_other() -> None:
    data = rows(300, nulls=1.0)
    out = find_issues(data, None, CONTEXT, IssueSettings(keep=0))
    others = ("model_failed", "measure_failed", "augment_failed")
    reported = [c for c in data["error"].to_pylist() if c not in others]
    assert out.num_rows == len(reported)
    assert out["severity"].unique().to_pylist() == [1.0]
    assert set(out["issue"].to_pylist()) == {"corrupt", "truncated", "refused", "unreachable"}


@pytest.mark.parametrize("keep", [0.0, 0.5, 1.0])
def test_stored_rows_are_those_above_the_floor(keep: float) -> None:
    data, boxes = rows(400, seed=5), random_boxes(400, seed=5)
    given_records = records(data["image_id"], boxes)
    out = find_issues(data, given_records, CONTEXT, IssueSettings(keep=keep))
    assert out.schema == SCHEMA
    found = {(r["image_id"], r["issue"]): r for r in out.to_pylist()}
    assert len(found) == out.num_rows
    assert [*found] == sorted(found)
    columns, n = Columns(data, given_records["boxes"].combine_chunks()), 0
    for issue in ISSUES:
        severity = issue(columns, CONTEXT).astype(np.float32)
        for image, s in zip(data["image_id"].to_pylist(), severity, strict=True):
            row = found.get((image, issue.name))
            expected = s > np.float32(keep * issue.threshold) or s > np.float32(issue.threshold)
            assert (row is not None) == bool(expected)
            if row is not None:
                n += 1
                assert row["severity"] == s
                assert row["is_flagged"] == bool(np.float32(s) > np.float32(issue.threshold))
    assert n == out.num_rows


def test_records_are_joined_by_id() -> None:
    data = rows(5, nulls=0)
    data = data.set_column(data.schema.get_field_index("width"), "width", pa.array([100] * 5))
    boxes = [[box(0, 0, 9, 9), box(0, 0, 9, 9)], [], None, [box(0, 0, 50, 50)], []]
    mixed = records(data["image_id"], boxes).take([4, 2, 0, 3])
    stranger = records(pa.chunked_array([pa.array([bytes(16)], ID)]), [[box(1, 1, 0, 0)]])
    out = find_issues(data, pa.concat_tables([stranger, mixed]), CONTEXT)
    duplicated = out.filter(pa.compute.equal(out["issue"], "box_duplicate"))
    assert duplicated["image_id"].to_pylist() == [data["image_id"][0].as_py()]
    assert "box_empty" not in out["issue"].to_pylist()


def test_box_issues_by_hand() -> None:
    boxes = [
        [box(10, 10, 30, 30), box(10, 10, 30, 31), box(10, 10, 30, 30, label="b")],
        [box(0, 0, 100, 50), box(-1, -1, 101, 51)],
        [box(90, 0, 110, 10)],
        [box(5, 5, 5, 9)],
        [box(5, 5, 9, 9)],
        [],
        None,
    ]
    columns = one({"width": [100] * 7, "height": [50] * 7}, boxes)
    by_name = {issue.name: issue(columns, CONTEXT) for issue in ISSUES}
    nan = float("nan")
    expected = {
        "box_duplicate": [400 / 420, 5000 / 5304, 0, 0, 0, 0, nan],
        "box_outside": [0, 0, 9 / 20, 0, 0, 0, nan],
        "box_empty": [0, 0, 0, 1, 0, 0, nan],
        "tiny_object": [8 / 28, 8 / (8 + 5000**0.5), 8 / (8 + 200**0.5), 0, 8 / 12, 0, nan],
    }
    for name, values in expected.items():
        np.testing.assert_allclose(by_name[name], values, rtol=1e-12, err_msg=name)


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(1, 3000), st.integers(1, 3000)), min_size=1, max_size=40))
def test_context_is_numpys_quartiles_for_any_cut(sizes: list[tuple[int, int]]) -> None:
    width, height = np.array(sizes).T
    data = pa.table({"width": pa.array(width, pa.int32()), "height": pa.array(height, pa.int32())})
    expected = np.percentile(np.sqrt((width * height).astype(float)), [25, 75])
    for step in (1, 7, len(sizes)):
        parts = [data.slice(i, step) for i in range(0, len(sizes), step)]
        found = context(parts[::-1])
        assert [found.size_q1, found.size_q3] == expected.tolist()


def test_context_of_nothing() -> None:
    assert context([]) == Context()
    unread = pa.table({"width": pa.nulls(3, pa.int32()), "height": pa.nulls(3, pa.int32())})
    assert context([unread, pa.table({"image_id": pa.nulls(2)})]) == Context()
    assert np.isnan(OddSize()(Columns(unread), Context())).all()


def test_odd_size_where_all_have_one_size() -> None:
    columns = one({"width": [640, 641, 6400, 1], "height": [480, 480, 4800, 1]})
    same = Context((640 * 480) ** 0.5, (640 * 480) ** 0.5)
    severity = OddSize()(columns, same)
    assert severity[0] == 0
    assert 0.5 < severity[1] < 0.501
    assert severity[2] == 1
    assert severity[3] > 0.99


def test_docs_are_fresh() -> None:
    path = Path(__file__).resolve().parents[2] / "docs" / "issues.md"
    text = path.read_text(encoding="utf-8")
    assert refreshed(text) == text, "run python -m cvdata.issues.docs docs/issues.md"
    assert table() in text
