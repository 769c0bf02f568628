"""Groups, pools, missing columns, nothing to read, bounded memory."""

import json
import pickle

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from cvdata.eda import Groups, Summarize, plan_groups, summarize
from cvdata.eda.counting import TOP_VALUES
from cvdata.eda.facts import is_readable
from cvdata.eda.fields import (
    BOX_FIELDS,
    CATEGORIES,
    IMAGE_FIELDS,
    PROFILE_MEASURES,
    WIDE_CATEGORIES,
)
from cvdata.eda.groups import MAX_LABELS
from cvdata.measures import MEASURES
from tests.eda.wide import DERIVED, wide


def picked(rows: pa.Table, **where: str) -> pa.Table:
    for name, value in where.items():
        rows = rows.filter(pc.equal(rows[name], value))
    return rows


def readable(table: pa.Table) -> pa.Table:
    return table.filter(is_readable(table))


def test_rare_labels_are_pooled() -> None:
    n = MAX_LABELS + 50
    labels = [f"label{i:04d}" for i in range(n) for _ in range(2 + (i < MAX_LABELS))]
    data = pa.table({"label": labels, "brightness_mean": np.linspace(0, 1, len(labels))})
    groups = plan_groups([data.slice(i, 37) for i in range(0, len(labels), 37)][::-1])
    assert groups.labels == tuple(sorted(set(labels))[:MAX_LABELS])
    assert groups == plan_groups([data])
    out = summarize(data)
    rows = picked(out.summary, scope="label", field="brightness_mean", statistic="count")
    counted = dict(zip(rows["group"].to_pylist(), rows["value"].to_pylist(), strict=True))
    assert len(counted) == MAX_LABELS + 1
    assert counted["(other)"] == 100
    # All labels are still counted one by one: the balance needs them.
    assert out.answers["questions"][6]["numbers"]["n_classes"] == n
    assert f"Of {n} labels the {MAX_LABELS} most frequent" in out.answers["notes"][1]


def test_every_label_is_counted_and_wide_fields_are_pooled() -> None:
    n = TOP_VALUES + 500
    names = [f"v{i:05d}" for i in range(n)]
    out = summarize(pa.table({"label": [*names, "v00000"], "exif_model": [*names, "v00000"]}))
    balance = out.answers["questions"][6]["numbers"]
    assert (balance["n_classes"], balance["largest"]) == (n, ["v00000", 2])
    models = picked(out.counts, scope="all", field="exif_model").to_pylist()
    assert len(models) == TOP_VALUES + 1
    assert (models[0]["n"], models[-1]["value"], models[-1]["n"]) == (2, "(other)", 500)


def test_scopes_are_those_of_the_dataset() -> None:
    assert [s.name for s in Groups().scopes()] == ["all"]
    assert [s.name for s in Groups(sources=("one",)).scopes()] == ["all"]
    many = Groups(("a",), ("train",), ("one", "two"))
    assert [s.name for s in many.scopes()] == ["all", "split", "label", "source"]


SETS = {m.name: {f.name for f in m.fields} for m in MEASURES} | {
    name: {name} for name in ("error", "label", "split", "source", "boxes", "width", "is_gray")
}


@pytest.mark.parametrize(
    "missing", sorted(k for k, v in SETS.items() if v & {*wide(1).column_names})
)
def test_any_column_may_be_missing(missing: str) -> None:
    data = wide(80, seed=4)
    out = summarize(data.drop_columns([c for c in data.column_names if c in SETS[missing]]))
    json.dumps(out.answers, allow_nan=False)
    assert [q["number"] for q in out.answers["questions"]] == list(range(1, 11))
    assert all(q["answer"] for q in out.answers["questions"])


def test_a_column_may_be_missing_in_one_part() -> None:
    data = wide(100, seed=5)
    fold = Summarize(plan_groups([data]))
    acc = fold.update(fold.zero(), data.slice(0, 50))
    acc = fold.update(acc, data.slice(50).drop_columns(["brightness_mean"]))
    out = fold.finalize(acc)
    rows = picked(out.summary, scope="all", field="brightness_mean")
    stats = dict(zip(rows["statistic"].to_pylist(), rows["value"].to_pylist(), strict=True))
    assert stats["count"] + stats["n_null"] == readable(data).num_rows


@pytest.mark.parametrize("rows", ["none", "all_errors"])
def test_nothing_readable(rows: str) -> None:
    data = wide(30)
    if rows == "none":
        data = data.slice(0, 0)
    else:
        errors = pa.array(["empty"] * 30)
        data = data.set_column(data.schema.get_field_index("error"), "error", errors)
    out = summarize(data)
    assert out.answers["n_errors"] == data.num_rows
    assert len(out.answers["questions"]) == 10
    json.dumps(out.answers, allow_nan=False)


def test_named_fields_are_measured() -> None:
    """What the summary says to add to the scan is a measure, and gives that column."""
    columns = {m.name: {f.name for f in m.fields} for m in MEASURES}
    wanted = {f.name: f.measure for f in (*IMAGE_FIELDS, *BOX_FIELDS)} | CATEGORIES
    wanted |= WIDE_CATEGORIES | PROFILE_MEASURES
    derived = {*DERIVED, "size", "aspect", "orientation", "dominant_color", "exif_month"}
    for field, measure in wanted.items():
        if measure != "records":
            assert measure in columns, field
            assert field in columns[measure] or field in derived, field


def test_a_hundred_thousand_rows_in_bounded_memory() -> None:
    data = wide(20_000, seed=8)
    fold = Summarize(plan_groups([data]))
    acc = fold.zero()
    sizes = []
    for _ in range(5):
        acc = fold.update(acc, data)
        sizes.append(len(pickle.dumps(acc)))
    assert fold.finalize(acc).answers["n_images"] == 100_000
    # Once the sketches are full, they grow with the logarithm of the rows.
    assert sizes[-1] < 1.2 * sizes[1]
