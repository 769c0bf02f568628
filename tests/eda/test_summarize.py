"""The summary against NumPy, and any merge order against one pass."""

import json
import pickle
from collections import Counter
from itertools import combinations_with_replacement, pairwise

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cvdata.eda import Summarize, SummaryTables, plan_groups, summarize
from cvdata.eda.facts import Facts, is_readable
from cvdata.eda.fields import (
    IMAGE_FIELDS,
    IMAGE_PAIRS,
)
from cvdata.eda.numbers import STATISTICS
from cvdata.schema import (
    CLASS_PROFILE,
    COOCCURRENCE,
    COUNTS,
    HISTOGRAMS,
    JOINT,
    SUMMARY,
)
from tests.eda.wide import LABELS, fixed, wide

SCHEMAS = {
    "summary": SUMMARY,
    "counts": COUNTS,
    "histograms": HISTOGRAMS,
    "joint": JOINT,
    "cooccurrence": COOCCURRENCE,
    "class_profile": CLASS_PROFILE,
}
EXACT = ("counts", "histograms", "joint", "cooccurrence")


@pytest.fixture(scope="module")
def table() -> pa.Table:
    return wide(3000)


@pytest.fixture(scope="module")
def found(table: pa.Table) -> SummaryTables:
    return summarize(table)


def picked(rows: pa.Table, **where: str) -> pa.Table:
    for name, value in where.items():
        rows = rows.filter(pc.equal(rows[name], value))
    return rows


def readable(table: pa.Table, scope: str = "all", group: str = "") -> pa.Table:
    kept = table.filter(is_readable(table))
    return kept if scope == "all" else kept.filter(pc.equal(kept[scope], group).fill_null(False))


def same(a: SummaryTables, b: SummaryTables) -> None:
    """Equal: counts to the last bit, floats to rounding."""
    for name in EXACT:
        assert getattr(a, name).equals(getattr(b, name)), name
    for name, value in (("summary", ["value"]), ("class_profile", ["value", "spread", "likeness"])):
        x, y = getattr(a, name), getattr(b, name)
        assert x.drop_columns(value).equals(y.drop_columns(value))
        for column in value:
            assert x[column].is_null().equals(y[column].is_null())
            one, other = (t[column].drop_null().to_numpy() for t in (x, y))
            np.testing.assert_allclose(one, other, rtol=1e-6, atol=1e-9)


@settings(deadline=None, max_examples=8)
@given(st.lists(st.integers(0, 200), max_size=4), st.randoms(use_true_random=False))
def test_any_merge_order_is_one_pass(cuts: list[int], random: object) -> None:
    data = wide(200, seed=11)
    fold = Summarize(plan_groups([data]))
    whole = fold.finalize(fold.update(fold.zero(), data))
    bounds = [0, *sorted(cuts), 200]
    states = [
        fold.update(fold.zero(), data.slice(low, high - low)) for low, high in pairwise(bounds)
    ]
    states.append(fold.zero())
    while len(states) > 1:
        random.shuffle(states)  # type: ignore[attr-defined]
        a, b = states.pop(), states.pop()
        states.append(fold.merge(a, pickle.loads(pickle.dumps(b))))  # noqa: S301
    same(fold.finalize(states[0]), whole)


def test_slices_of_rows_change_nothing(table: pa.Table) -> None:
    """`update` takes a large table in slices: their size is not seen in the result."""
    data = table.slice(0, 500)
    groups = plan_groups([data])
    results = []
    for rows in (64, 499, 500):
        fold = Summarize(groups, batch_rows=rows)
        results.append(fold.finalize(fold.update(fold.zero(), data)))
    same(results[0], results[2])
    same(results[1], results[2])


def test_schemas(found: SummaryTables) -> None:
    for name, schema in SCHEMAS.items():
        assert getattr(found, name).schema == schema
        assert getattr(found, name).num_rows


@pytest.mark.parametrize(
    ("scope", "group"), [("all", ""), ("split", "val"), ("label", "tram"), ("source", "b")]
)
def test_summary_is_numpys(table: pa.Table, found: SummaryTables, scope: str, group: str) -> None:
    rows = readable(table, scope, group)
    facts = Facts(rows)
    for field in IMAGE_FIELDS:
        column = facts.number(field.name)
        assert column is not None
        x = column[~np.isnan(column)]
        mine = picked(found.summary, scope=scope, group=group, field=field.name)
        values = dict(zip(mine["statistic"].to_pylist(), mine["value"].to_pylist(), strict=True))
        assert tuple(values) == STATISTICS
        assert (values["count"], values["n_null"]) == (len(x), rows.num_rows - len(x))
        assert (values["min"], values["max"]) == (x.min(), x.max())
        assert values["mean"] == pytest.approx(x.mean(), rel=1e-9)
        assert values["std"] == pytest.approx(x.std(), rel=1e-9)
        for p in (1, 5, 25, 50, 75, 95, 99):
            low, high = np.mean(x < values[f"p{p}"]), np.mean(x <= values[f"p{p}"])
            # Exact below the sketch's size; a label's sketch is smaller (rank error 1.1 %).
            slack = 0.03 if scope == "label" else 1e-12
            assert low - slack <= p / 100 <= high + slack


def test_histograms_are_numpys(table: pa.Table, found: SummaryTables) -> None:
    facts = Facts(readable(table))
    for field in IMAGE_FIELDS:
        column = facts.number(field.name)
        assert column is not None
        edges = np.array(field.edges)
        x = np.clip(column[~np.isnan(column)], edges[0], np.nextafter(edges[-1], 0))
        expected = np.bincount(np.searchsorted(edges, x, "right") - 1, minlength=len(edges) - 1)
        mine = picked(found.histograms, scope="all", field=field.name)
        first = int(np.flatnonzero(expected)[0])
        n = mine["n"].to_numpy()
        np.testing.assert_array_equal(n, expected[first : first + len(n)])
        assert n.sum() == len(x)
        np.testing.assert_array_equal(mine["low"], edges[first : first + len(n)])
        np.testing.assert_array_equal(mine["high"], edges[first + 1 : first + len(n) + 1])
        assert n[0]
        assert n[-1]


def test_counts_are_counters(table: pa.Table, found: SummaryTables) -> None:
    for scope, group in (("all", ""), ("split", "train"), ("label", "heron"), ("source", "a")):
        rows = readable(table, scope, group)
        for field in ("format", "mode", "exif_orientation", "has_gps"):
            values = rows[field].cast(pa.string()).to_pylist()
            expected = Counter("(none)" if v is None else v for v in values)
            mine = picked(found.counts, scope=scope, group=group, field=field)
            assert (
                dict(zip(mine["value"].to_pylist(), mine["n"].to_pylist(), strict=True)) == expected
            )
    labels = Counter(v or "(none)" for v in readable(table, "split", "val")["label"].to_pylist())
    mine = picked(found.counts, scope="split", group="val", field="label")
    assert dict(zip(mine["value"].to_pylist(), mine["n"].to_pylist(), strict=True)) == labels


def test_errors_are_counted_and_conserved(table: pa.Table, found: SummaryTables) -> None:
    failed = table.num_rows - readable(table).num_rows
    assert found.answers["n_errors"] == failed > 0
    assert found.answers["n_images"] == table.num_rows
    mine = picked(found.counts, scope="all", field="error")
    assert pc.sum(mine["n"]).as_py() == table.num_rows
    assert dict(zip(mine["value"].to_pylist(), mine["n"].to_pylist(), strict=True)) == {
        "ok": table.num_rows - failed,
        "truncated": failed,
    }


def test_joint_is_numpys(table: pa.Table, found: SummaryTables) -> None:
    facts = Facts(readable(table))
    for pair in IMAGE_PAIRS:
        x, y = facts.number(pair.x.name), facts.number(pair.y.name)
        assert x is not None
        assert y is not None
        good = ~np.isnan(x) & ~np.isnan(y)
        edges = np.array(pair.x.edges), np.array(pair.y.edges)
        clipped = [
            np.clip(v[good], e[0], np.nextafter(e[-1], 0))
            for v, e in zip((x, y), edges, strict=True)
        ]
        expected, _, _ = np.histogram2d(*clipped, bins=edges)
        mine = picked(found.joint, scope="all", field_x=pair.x.name, field_y=pair.y.name)
        grid = np.zeros_like(expected)
        i = np.searchsorted(edges[0], mine["x_low"].to_numpy())
        j = np.searchsorted(edges[1], mine["y_low"].to_numpy())
        grid[i, j] = mine["n"].to_numpy()
        np.testing.assert_array_equal(grid, expected)


def test_boxes_and_cooccurrence(table: pa.Table, found: SummaryTables) -> None:
    rows = readable(table).to_pylist()
    together: Counter[tuple[str, str]] = Counter()
    sides, areas, objects = [], [], Counter()
    for row in rows:
        labels = {b["label"] or "(none)" for b in row["boxes"] or []}
        together.update(combinations_with_replacement(sorted(labels), 2))
        for item in row["boxes"] or []:
            objects[item["label"] or "(none)"] += 1
            w, h = (np.float64(item["xyxy"][k + 2]) - item["xyxy"][k] for k in (0, 1))
            if w > 0 and h > 0:
                sides.append(np.sqrt(w * h))
                areas.append(w * h / (row["width"] * row["height"]))
    mine = found.cooccurrence.to_pylist()
    assert {(r["a"], r["b"]): r["n"] for r in mine} == together
    counted = picked(found.counts, scope="all", field="object").to_pylist()
    assert {r["value"]: r["n"] for r in counted} == objects
    for name, values in (("box_side", sides), ("box_area", areas)):
        stats = {
            r["statistic"]: r["value"]
            for r in picked(found.summary, scope="all", field=name).to_pylist()
        }
        assert stats["count"] == len(values)
        assert stats["mean"] == pytest.approx(np.mean(values), rel=1e-9)


def test_class_profile_is_the_ratio_of_variances(table: pa.Table, found: SummaryTables) -> None:
    rows = readable(table)
    labels = np.array(rows["label"].to_pylist(), dtype=object)
    background = np.array(rows["background_lab"].to_pylist())
    light = rows["brightness_mean"].to_numpy()
    for label in LABELS:
        mine = {r["field"]: r for r in picked(found.class_profile, label=label).to_pylist()}
        inside = background[labels == label]
        expected = 1 - inside.var(axis=0, ddof=1).sum() / background.var(axis=0, ddof=1).sum()
        assert mine["background_lab"]["likeness"] == pytest.approx(expected, rel=1e-6)
        assert mine["background_lab"]["value"] is None
        rms = np.sqrt(((inside - inside.mean(axis=0)) ** 2).sum(axis=1).mean())
        assert mine["background_lab"]["spread"] == pytest.approx(rms, rel=1e-6)
        x = light[labels == label]
        assert mine["brightness_mean"]["value"] == pytest.approx(np.nanmean(x), rel=1e-6)
        expected = 1 - np.nanvar(x, ddof=1) / np.nanvar(light, ddof=1)
        assert mine["brightness_mean"]["likeness"] == pytest.approx(expected, abs=1e-6)
        assert mine["background_lab"]["likeness"] > 0.95 > 0.2 > mine["lbp_hist"]["likeness"]


def test_small_classes_have_no_likeness() -> None:
    data = wide(60, seed=3)
    label = pa.array(["big"] * 51 + ["small"] * 9)
    data = data.set_column(data.schema.get_field_index("label"), "label", label)
    data = data.set_column(data.schema.get_field_index("error"), "error", pa.nulls(60, pa.string()))
    out = summarize(data)
    assert picked(out.class_profile, label="small")["likeness"].null_count == len(
        picked(out.class_profile, label="small")
    )
    assert picked(out.class_profile, label="big")["likeness"].null_count == 0
    assert "small" not in json.dumps(out.answers["questions"][9]["numbers"])


def test_pooled_colours_are_those_of_all_pixels() -> None:
    """Per-image means, deviations and histograms pool to the exact ones over all the pixels."""
    rng = np.random.default_rng(2)
    images = [
        rng.integers(0, rng.integers(2, 257), (h, w, 3)).astype(np.uint8)
        for h, w in rng.integers(1, 90, (40, 2))
    ]
    columns: dict[str, pa.Array] = {
        "width": pa.array([i.shape[1] for i in images], pa.int32()),
        "height": pa.array([i.shape[0] for i in images], pa.int32()),
    }
    for c, name in enumerate("rgb"):
        columns[f"mean_{name}"] = pa.array([i[..., c].mean() for i in images], pa.float32())
        columns[f"std_{name}"] = pa.array([i[..., c].std() for i in images], pa.float32())
        hists = np.array([np.bincount(i[..., c].ravel() // 16, minlength=16) for i in images])
        columns[f"hist_{name}"] = fixed(hists / hists.sum(axis=1, keepdims=True), np.float32)
    out = summarize(pa.table(columns))
    pixels = np.concatenate([i.reshape(-1, 3) for i in images])
    answer = out.answers["questions"][2]["numbers"]
    assert answer["n_pixels"] == len(pixels)
    np.testing.assert_allclose(answer["mean_255"], pixels.mean(axis=0), rtol=1e-6)
    np.testing.assert_allclose(answer["std_255"], pixels.std(axis=0), rtol=1e-6)
    np.testing.assert_allclose(answer["mean"], pixels.mean(axis=0) / 255, rtol=1e-6)
    np.testing.assert_allclose(answer["std"], pixels.std(axis=0) / 255, rtol=1e-6)
    for c, name in enumerate("rgb"):
        mine = picked(out.histograms, scope="all", field=f"hist_{name}")
        np.testing.assert_array_equal(mine["n"], np.bincount(pixels[:, c] // 16, minlength=16))
