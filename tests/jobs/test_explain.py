"""decide --explain on the sample tells the planted story of each image."""

from os import fsdecode
from pathlib import Path

import pyarrow as pa
import pytest

from cvdata import Workspace, schema
from cvdata.sample import Truth
from cvdata.sources.uris import decode_path
from tests.jobs.decided import copied, decide
from tests.jobs.flows import cvdata

Done = tuple[Path, Truth]


def told(folder: Path, name: str, capsys: pytest.CaptureFixture[str]) -> str:
    capsys.readouterr()
    assert cvdata("decide", "--workspace", folder / "w", "--explain", name) == 0
    return capsys.readouterr().out


def plain(name: str) -> str:
    return fsdecode(decode_path(name))


def test_a_blurry_image(decided: Done, capsys: pytest.CaptureFixture[str]) -> None:
    folder, truth = decided
    for name in truth.issues["blurry"]:
        text = told(folder, plain(name), capsys)
        assert "DROPPED:" in text
        assert "issue:blurry: severity 0." in text
        assert "flagged above 0.71" in text
        assert "width " in text


def test_an_unreadable_image(decided: Done, capsys: pytest.CaptureFixture[str]) -> None:
    folder, truth = decided
    for name, code in truth.errors.items():
        text = told(folder, plain(name), capsys)
        assert "DROPPED:" in text
        assert f"it cannot be read: {code}" in text


def test_a_copy_and_its_keeper(decided: Done, capsys: pytest.CaptureFixture[str]) -> None:
    """A byte copy: one of the two is kept, the other names it as its keeper or leaks."""
    folder, truth = decided
    exact = [
        (g.base, c.path)
        for g in truth.duplicates
        for c in g.copies
        if c.edit == "byte_copy" and not c.is_cross_split
    ]
    assert exact
    for base, copy in exact:
        one, other = (told(folder, plain(n), capsys) for n in (base, copy))
        assert "exact_sha256: " in one
        assert Path(plain(copy)).name in one, "each is told of the other"
        assert Path(plain(base)).name in other
        dropped = [t for t in (one, other) if "DROPPED" in t]
        assert any("a copy of" in t or "leak:" in t for t in dropped)


def test_a_leak(decided: Done, capsys: pytest.CaptureFixture[str]) -> None:
    folder, truth = decided
    workspace = Workspace(str(folder / "w"))
    records = workspace.read("records", ["image_id", "key"])
    ids = dict(zip(records["key"].to_pylist(), records["image_id"].to_pylist(), strict=True))
    seen = {frozenset((r["id_a"], r["id_b"])) for r in workspace.read("leaks").to_pylist()}
    pairs = [p for p in truth.leaks if frozenset(ids[decode_path(end)] for end in p) in seen]
    assert len(pairs) >= 5
    for pair in pairs[:3]:
        a, b = sorted(pair, key=lambda name: ("test", "val", "train").index(name.split("/")[0]))
        text = told(folder, plain(b), capsys)
        assert f"leak:{a.split('/')[0]}: shows what an image in {a.split('/')[0]} shows" in text
        assert "leaks:" in text
        assert Path(plain(a)).name in text


def test_a_clean_image_and_ways_to_name_it(
    decided: Done,
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder, _ = decided
    workspace = Workspace(str(folder / "w"))
    rows = workspace.read("selection").to_pylist()
    clean = next(r for r in rows if r["keep"] and not r["reasons"])
    records = workspace.read("records").to_pylist()
    record = next(r for r in records if r["image_id"] == clean["image_id"])
    texts = {
        told(folder, name, capsys)
        for name in (
            record["uri"],
            fsdecode(record["key"]),
            record["image_id"].hex(),
            fsdecode(record["key"]).partition("/")[2],
        )
    }
    assert len(texts) == 1
    (text,) = texts
    assert "KEPT, weight 1: nothing speaks against it" in text
    assert f"label {record['label']}" in text
    assert f"split {record['split']}" in text


def test_names_that_fit_none_or_several(
    decided: Done,
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder, _ = decided
    assert cvdata("decide", "--workspace", folder / "w", "--explain", "no.jpg") == 2
    assert "no image" in capsys.readouterr().err
    assert cvdata("decide", "--workspace", folder / "w", "--explain", "00" * 16) == 2
    keys = [fsdecode(k) for k in Workspace(str(folder / "w")).read("records")["key"].to_pylist()]
    tails = [k.rpartition("/")[2] for k in keys]
    twice = next((t for t in tails if tails.count(t) > 1), None)
    if twice is not None:
        assert cvdata("decide", "--workspace", folder / "w", "--explain", twice) == 2
        assert "write more of it" in capsys.readouterr().err


def test_why_an_image_is_kept_against_its_reasons(
    decided: Done,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder = copied(decided, tmp_path)
    blurry = plain(decided[1].issues["blurry"][0])
    label = blurry.split("/")[1]
    (tmp_path / "keep").write_text(blurry)
    assert decide(folder, "--keep-list", tmp_path / "keep") == 0
    text = told(folder, blurry, capsys)
    assert "user: your list names it" in text
    assert "(but you keep it)" in text
    assert decide(folder, "--floors", f"{label}=1000") == 0
    text = told(folder, blurry, capsys)
    assert "KEPT" in text
    assert "(but the floor of its class keeps it)" in text
    rule = "sql: [{name: big, where: 'width > 0'}]\nfloors: {}\n"
    (folder / "rules.yaml").write_text(rule)
    assert decide(folder) == 0
    assert "user: your sql rule 'big'" in told(folder, blurry, capsys)


def test_before_anything_is_decided(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from tests.jobs.flows import make_photos

    make_photos(tmp_path / "photos", range(2))
    assert cvdata("ingest", tmp_path / "photos", "--workspace", tmp_path / "w") == 0
    text = told(tmp_path, "00001.jpg", capsys)
    assert "not decided yet" in text
    assert "not used, not there: duplicates, leaks, pairs (`cvdata dedup` makes them)" in text


def test_the_balance_is_that_of_the_assigned_split(
    decided: Done,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Of two images that the source has in val, the one that `split` moved to train is told."""
    folder = copied(decided, tmp_path)
    workspace = Workspace(str(folder / "w"))
    records = workspace.read("records").to_pylist()
    kept = {r["image_id"] for r in workspace.read("selection").to_pylist() if r["keep"]}
    moved, other = [r for r in records if r["split"] == "val" and r["image_id"] in kept][:2]
    rows = [{**r, "split": "train"} if r is moved else r for r in records]
    with workspace.change("split", {}) as change:
        change.replace("splits", [pa.Table.from_pylist(rows, schema.SPLITS)], schema.SPLITS)
    assert decide(folder, "--balance.oversample", "augment") == 0
    line = f"balance: {moved['label']} goes from"
    assert line in told(folder, moved["image_id"].hex(), capsys)
    assert "balance:" not in told(folder, other["image_id"].hex(), capsys)
