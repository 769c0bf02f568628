"""decide --explain tells the planted story: one test for each kind of planting in truth.json."""

import re
import shutil
from collections import Counter
from dataclasses import fields
from os import fsdecode
from pathlib import Path
from typing import Any

import pytest

from cvdata import Workspace
from cvdata.runs.decide_explain import explain
from cvdata.sample import Truth, make_sample
from cvdata.sources.uris import decode_path
from tests.jobs.flows import cvdata

Done = tuple[Path, Truth]
KINDS = ("errors", "issues", "expected_flags", "duplicates", "leaks", "label_errors", "box_errors")
"""What truth.json holds of findings; each has its test below."""
BY_CONTENT = ("byte_copy", "resaved", "commented")
"""Copies that no setting misses."""


def story(workspace: Workspace, name: str) -> str:
    return "\n".join(explain(workspace, fsdecode(decode_path(name))))


@pytest.fixture(scope="module")
def told(decided: Done) -> tuple[Workspace, Truth]:
    return Workspace(str(decided[0] / "w")), decided[1]


def test_these_are_all_kinds_of_planting() -> None:
    facts = {"seed", "size", "pillow", "files", "skipped"}
    assert {field.name for field in fields(Truth)} - facts == set(KINDS)


def test_what_cannot_be_read(told: tuple[Workspace, Truth]) -> None:
    workspace, truth = told
    assert truth.errors
    for name, code in truth.errors.items():
        text = story(workspace, name)
        assert "DROPPED:" in text
        assert f"it cannot be read: {code}" in text


def test_every_planted_issue_is_named_with_its_severity(told: tuple[Workspace, Truth]) -> None:
    workspace, truth = told
    seen = Counter()
    for issue, names in truth.issues.items():
        for name in names if issue != "mismatched_label" else ():
            text = story(workspace, name)
            assert f"\n  {issue}: flagged, severity " in text, (issue, name)
            reason = f"issue:{issue}: severity "
            if issue in ("blurry", "low_information"):  # the rules of this selection drop them
                assert text.partition("DROPPED:")[2].lstrip().startswith("issue:"), name
                assert reason in text
            elif name in truth.errors:
                assert f"issue:{issue}: it cannot be read: {truth.errors[name]}" in text
            elif issue == "dark":  # and ignore these
                assert reason not in text
            else:
                assert reason in text
            seen[issue] += 1
    assert len(seen) >= 8


def test_flags_by_definition_and_no_others(told: tuple[Workspace, Truth]) -> None:
    """Each image that has an issue by its definition, planted or by the way, is told of it."""
    workspace, truth = told
    for issue, names in truth.expected_flags.items():
        for name in names[:6]:
            assert f"\n  {issue}: flagged, severity " in story(workspace, name), (issue, name)


def test_each_copy_is_told_of_its_group(told: tuple[Workspace, Truth]) -> None:
    """A copy of bytes or pixels names one of its own group; any other names no stranger."""
    workspace, truth = told
    n_named: Counter[str] = Counter()
    for group in truth.duplicates:
        family = {group.base, *(copy.path for copy in group.copies)}
        names = {Path(fsdecode(decode_path(name))).name for name in family}
        for copy in group.copies:
            text = story(workspace, copy.path)
            mine = Path(fsdecode(decode_path(copy.path))).name
            named = any(name in text for name in names - {mine})
            assert named or not copy.edit.startswith(BY_CONTENT), copy
            if "a copy of " in text:
                keeper = text.partition("a copy of ")[2].partition(" (")[0]
                assert Path(keeper).name in names
            n_named[copy.edit.partition("_")[0]] += named
    assert n_named["byte"] > 0
    assert sum(n_named.values()) > 0.5 * sum(len(g.copies) for g in truth.duplicates)


def test_a_copy_under_another_label_is_told_where_the_other_lies(
    told: tuple[Workspace, Truth],
) -> None:
    workspace, truth = told
    family = {
        copy.path: {group.base, *(other.path for other in group.copies)}
        for group in truth.duplicates
        for copy in group.copies
    }
    names = [n for n in truth.issues["mismatched_label"] if n in family]
    assert names
    for name in names:
        text = story(workspace, name)
        mine = truth.files[name].label
        assert f"label {mine}" in text
        others = {n for n in family[name] if truth.files[n].label != mine}
        assert any(f"/{fsdecode(decode_path(other))}" in text for other in others), name


def test_each_leak_that_was_found_names_the_image_in_the_other_split(
    told: tuple[Workspace, Truth],
) -> None:
    workspace, truth = told
    records = workspace.read("records", ["image_id", "key"])
    ids = dict(zip(records["key"].to_pylist(), records["image_id"].to_pylist(), strict=True))
    seen = {frozenset((r["id_a"], r["id_b"])) for r in workspace.read("leaks").to_pylist()}
    pairs = [p for p in truth.leaks if frozenset(ids[decode_path(end)] for end in p) in seen]
    assert len(pairs) >= 5
    for pair in pairs:
        for mine, other in (pair, pair[::-1]):
            text = story(workspace, mine)
            assert f"in {mine.split('/')[0]}, its copy " in text
            assert Path(fsdecode(decode_path(other))).name in text


def test_a_wrong_label_is_doubted_and_the_right_one_named(embedded: Done, tmp_path: Path) -> None:
    folder, truth = embedded
    shutil.copytree(folder / "w", tmp_path / "w")
    assert cvdata("labels", "--workspace", tmp_path / "w") == 0
    (tmp_path / "rules.yaml").write_text("label_issues: {consensus: drop}\n")
    flags = ("--workspace", tmp_path / "w", "--config", tmp_path / "rules.yaml")
    assert cvdata("decide", *flags) == 0
    workspace = Workspace(str(tmp_path / "w"))
    doubted = _doubted(workspace)
    n_told = 0
    for name, labels in truth.label_errors.items():
        text = story(workspace, name)
        is_doubted = decode_path(name) in doubted
        assert ("label_issue: its label is doubted" in text) == is_doubted
        if is_doubted:
            assert re.search(r"\n  \w+: flagged, doubt ", text)
            n_told += f"looks like {labels['true']}" in text
    assert n_told >= 0.6 * len(truth.label_errors) > 0


def _doubted(workspace: Workspace) -> set[bytes]:
    records = workspace.read("records", ["image_id", "key"])
    keys = dict(zip(records["image_id"].to_pylist(), records["key"].to_pylist(), strict=True))
    rows: list[dict[str, Any]] = workspace.read("label_issues").to_pylist()
    return {keys[r["image_id"]] for r in rows if r["is_flagged"]}


def test_a_bad_box_is_told(tmp_path: Path) -> None:
    truth = make_sample(tmp_path / "photos", size="small")
    where = tmp_path / "w"
    boxes = ("--format", "coco", "--source-options", "annotations=boxes/coins.json")
    assert cvdata("ingest", tmp_path / "photos", "--workspace", where, *boxes) == 0
    assert cvdata("scan", "--workspace", where) == 0
    assert cvdata("eda", "--workspace", where) == 0
    assert cvdata("decide", "--workspace", where) == 0
    workspace = Workspace(str(where))
    assert len(truth.box_errors) == 4
    for flaw, names in truth.box_errors.items():
        for name in names:
            text = story(workspace, name)
            assert f"\n  {flaw}: flagged, severity " in text
            assert f"issue:{flaw}: severity " in text
