"""What decides about augmentation: splits, selection, budget, merged labels; what mixing takes."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from cvdata import schema
from cvdata.workspace import Workspace
from tests.jobs.augmenting import augment, copies, ingested, pixels, result_digest, rows_of
from tests.jobs.flows import cvdata


def _records(where: Path) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = Workspace(str(where)).read("records").to_pylist()
    return rows


def _write(where: Path, name: str, rows: list[dict[str, Any]], like: pa.Schema) -> None:
    with Workspace(str(where)).change("test", {}) as change:
        change.replace(name, [pa.Table.from_pylist(rows, schema=like)], like)


def _keys(record: dict[str, Any]) -> dict[str, Any]:
    return {"image_id": record["image_id"], "revision": record["revision"]}


def test_only_what_the_selection_keeps(tmp_path: Path) -> None:
    where = ingested(tmp_path)
    records = _records(where)
    train = [r for r in records if r["split"] == "train"]
    chosen = [
        {**_keys(r), "keep": r not in train[:3], "weight": 1.0, "reasons": []} for r in records
    ]
    _write(where, "selection", chosen, schema.SELECTION)
    assert augment(where) == 0
    kept = {r["image_id"] for r in train[3:]}
    assert {row["parent_id"] for row in rows_of(where)} == kept
    for row in chosen:
        row["keep"] = row["image_id"] != train[5]["image_id"]
    _write(where, "selection", chosen, schema.SELECTION)
    assert augment(where) == 0
    assert Workspace(str(where)).head.stats["n_made"] == 3
    parents = {row["parent_id"] for row in rows_of(where)}
    assert parents == {r["image_id"] for r in train} - {train[5]["image_id"]}
    assert Workspace(str(where)).verify() == []


def test_as_many_copies_as_the_budget_says(tmp_path: Path) -> None:
    where = ingested(tmp_path)
    train = [r for r in _records(where) if r["split"] == "train"]
    budget = {train[0]["image_id"]: 5, train[4]["image_id"]: 1}
    rows = [{**_keys(r), "n_copies": budget[r["image_id"]]} for r in (train[0], train[4])]
    _write(where, "budget", rows, schema.BUDGET)
    assert augment(where, "--variants", 9) == 0
    assert Counter(row["parent_id"] for row in rows_of(where)) == budget
    assert augment(where, "--variants", 2, "--no-use-budget") == 0
    assert len(rows_of(where)) == 18


def test_copies_never_leave_their_split(tmp_path: Path) -> None:
    where = ingested(tmp_path, 24)
    given = {r["image_id"]: "val" if i % 3 else "train" for i, r in enumerate(_records(where))}
    rows = [{**_keys(r), "split": given[r["image_id"]]} for r in _records(where)]
    _write(where, "splits", rows, schema.SPLITS)
    assert augment(where, "--policy", "mosaic", "--splits", '["train","val"]') == 0
    found = rows_of(where, "mosaic")
    assert len(found) == 24
    for row in found:
        splits = {given[one] for one in (row["parent_id"], *row["partners"])}
        assert splits == {row["split"]}, "a partner from another split would leak"
        assert len(row["partners"]) == 3
        assert row["parent_id"] not in row["partners"]


@pytest.mark.parametrize("policy", ["mixup", "cutmix", "mosaic"])
def test_labels_are_mixed_as_the_pixels_are(tmp_path: Path, policy: str) -> None:
    where = ingested(tmp_path, 24)
    label = {r["image_id"]: r["label"] for r in _records(where)}
    assert augment(where, "--policy", policy, "--variants", 3) == 0
    mixed = 0
    for row in rows_of(where, policy):
        weights = {w["label"]: w["weight"] for w in row["labels"]}
        assert sum(weights.values()) == pytest.approx(1)
        assert set(weights) <= {label[one] for one in (row["parent_id"], *row["partners"])}
        assert row["label"] == label[row["parent_id"]]
        (drawn,) = [s for s in json.loads(row["params"]) if s["operation"] == policy]
        own = _own_share(drawn, row)
        others = {label[one] for one in row["partners"]}
        if row["label"] not in others:
            mixed += 1
            assert weights[row["label"]] == pytest.approx(own, abs=1e-6)
    assert mixed > 5


def _own_share(drawn: dict[str, Any], row: dict[str, Any]) -> float:
    area = row["width"] * row["height"]
    if drawn["operation"] == "mixup":
        return float(drawn["weight"])
    if drawn["operation"] == "mosaic":
        return drawn["width"] * drawn["height"] / area
    x0, y0, x1, y1 = drawn["rectangle"]
    return 1 - max(0, x1 - x0) * max(0, y1 - y0) / area


def test_a_copy_that_loses_a_partner_is_made_anew(tmp_path: Path) -> None:
    where = ingested(tmp_path, 24)
    augment(where, "--policy", "mixup")
    before = {row["image_id"]: row for row in rows_of(where, "mixup")}
    gone = Counter(p for row in before.values() for p in row["partners"]).most_common(1)[0][0]
    records = _records(where)
    rows = [
        {**_keys(r), "keep": r["image_id"] != gone, "weight": 1.0, "reasons": []} for r in records
    ]
    _write(where, "selection", rows, schema.SELECTION)
    augment(where, "--policy", "mixup")
    after = {row["image_id"]: row for row in rows_of(where, "mixup")}
    assert len(after) == len(before) - 1
    for one, row in after.items():
        if gone in before[one]["partners"]:
            assert gone not in row["partners"]
            assert row["revision"] != before[one]["revision"]
        else:
            assert row == before[one]
    assert Workspace(str(where)).verify() == []


def test_one_image_alone_is_mixed_with_itself(tmp_path: Path) -> None:
    where = ingested(tmp_path, 1)
    assert augment(where, "--policy", "mosaic") == 0
    (row,) = rows_of(where, "mosaic")
    assert row["partners"] == [row["parent_id"]] * 3
    assert row["labels"] == [{"label": "cat", "weight": pytest.approx(1)}]


def test_merged_labels_and_boxes_are_those_that_count(tmp_path: Path) -> None:
    where = ingested(tmp_path)
    first = next(r for r in _records(where) if r["split"] == "train")
    box = {"label": "ear", "xyxy": [4.0, 4.0, 30.0, 30.0]}
    _write(where, "merged", [{**_keys(first), "label": "both", "boxes": [box]}], schema.MERGED)
    assert augment(where) == 0
    rows = {row["parent_id"]: row for row in rows_of(where)}
    mine = rows.pop(first["image_id"])
    assert mine["label"] == "both"
    assert [b["label"] for b in mine["boxes"] + mine["vanished"]] == ["ear"]
    assert {row["label"] for row in rows.values()} <= {"cat", "dog"}
    assert all(row["boxes"] is None for row in rows.values())


def test_no_box_is_lost_without_a_word(shared_data: Path, tmp_path: Path) -> None:
    """Boxes of parent and partners = boxes that survived + boxes that vanished."""
    where = tmp_path / "w"
    cvdata("ingest", shared_data / "coco256", "--workspace", where)
    records = {r["image_id"]: r for r in _records(where)}
    few = sorted(i for i, r in records.items() if r["split"] == "train")[:12]
    rows = [
        {**_keys(r), "keep": i in few, "weight": 1.0, "reasons": []} for i, r in records.items()
    ]
    _write(where, "selection", rows, schema.SELECTION)
    config = tmp_path / "hard.yaml"
    config.write_text(
        "policy: hard\noperations: [mosaic, {crop: {low: 0.4}}, rotate, grid_mask, cutmix]\n"
    )
    assert augment(where, "--config", config, "--variants", 2) == 0
    n_vanished = 0
    for row in rows_of(where, "hard"):
        images = [row["parent_id"], *row["partners"]]
        expected = Counter(
            (one, b["label"], tuple(b["xyxy"])) for one in images for b in records[one]["boxes"]
        )
        gone = Counter((v["image_id"], v["label"], tuple(v["xyxy"])) for v in row["vanished"])
        assert not gone - expected
        left = Counter(b["label"] for b in row["boxes"])
        lost = Counter(v["label"] for v in row["vanished"])
        assert left + lost == Counter(
            label for (_, label, _), n in expected.items() for _ in range(n)
        )
        assert all(v["visible"] < 0.3 for v in row["vanished"])
        n_vanished += len(row["vanished"])
        corners = np.array([b["xyxy"] for b in row["boxes"]]).reshape(-1, 4)
        assert (corners >= 0).all()
        assert (corners <= [row["width"], row["height"]] * 2).all()
    assert n_vanished > 20


def test_a_mask_goes_where_its_image_goes(shared_data: Path, tmp_path: Path) -> None:
    """Binary masks of people: the copy of the mask is the mask of the copy."""
    folder = shared_data / "person_masks"
    masks = {p.stem: p for p in (folder / "masks").iterdir()}
    photos = [p for p in sorted((folder / "images").iterdir()) if p.stem in masks][:6]
    lines = [json.dumps({"uri": str(p), "mask": str(masks[p.stem])}) for p in photos]
    manifest = tmp_path / "list.jsonl"
    manifest.write_text("\n".join(lines))
    where = tmp_path / "w"
    options = ("--source-options", f"mask=mask,roots={shared_data}")
    assert cvdata("ingest", manifest, "--workspace", where, *options) == 0
    config = tmp_path / "flip.yaml"
    config.write_text("policy: flip\noperations:\n- horizontal_flip: {chance: 1}\n")
    assert augment(where, "--config", config, "--format", "png") == 0
    records = {r["image_id"]: r for r in _records(where)}
    sizes = set()
    for row in copies(where, "flip").to_pylist():
        parent = records[row["parent_id"]]
        own, copied = pixels(parent["mask_uri"]), pixels(row["mask_uri"])
        plain = own if own.ndim == 2 else own[..., 0]
        assert copied.shape == (row["height"], row["width"])
        is_equal = plain.shape == copied.shape
        sizes.add(is_equal)
        if is_equal:
            np.testing.assert_array_equal(copied, plain[:, ::-1])
        assert (copied > 0).mean() == pytest.approx((plain > 0).mean(), abs=0.01)
    assert sizes == {True, False}, "some of these masks are smaller than their images"


def test_results_do_not_depend_on_partners_read_twice(tmp_path: Path) -> None:
    """Two variants at once or one after the other: the same copies."""
    first, second = ingested(tmp_path, 12, "a"), ingested(tmp_path, 12, "b")
    augment(first, "--policy", "mosaic", "--variants", 3)
    augment(second, "--policy", "mosaic", "--variants", 1)
    augment(second, "--policy", "mosaic", "--variants", 3)
    assert result_digest(first, "mosaic") == result_digest(second, "mosaic")
