"""decide end to end on the sample: every reason true, keepers stay, nothing is touched."""

import hashlib
import json
import shutil
from collections import Counter
from os import fsdecode
from pathlib import Path

import pytest

from cvdata import Workspace, schema
from cvdata.decide.findings import KINDS, kind_of
from cvdata.sample import Truth
from cvdata.sources.uris import decode_path
from tests.jobs.decided import chosen, copied, decide
from tests.jobs.flows import cvdata
from tests.tables.flows import rows_digest


def test_every_image_is_decided_once_and_every_drop_has_a_reason(
    decided: tuple[Path, Truth],
) -> None:
    folder, _ = decided
    rows = chosen(folder)
    assert len(rows) == Workspace(str(folder / "w")).tables()["records"]
    assert {kind_of(r) for row in rows.values() for r in row["reasons"]} <= set(KINDS)
    dropping = ("issue:blurry", "issue:low_information", "duplicate", "leak", "user")
    unreadable = ("issue:corrupt", "issue:truncated", "issue:refused")
    for key, row in rows.items():
        if row["keep"]:
            assert row["weight"] == 1
            assert not any(r.startswith(unreadable) for r in row["reasons"]), key
        else:
            assert row["weight"] == 0
            assert row["reasons"], key
            assert row["reasons"][0].startswith((*dropping, *unreadable)), key
    assert not [r for row in rows.values() for r in row["reasons"] if r == "issue:dark"], "ignored"
    assert any("user" in row["reasons"] and row["keep"] for row in rows.values()), "a warning"


def test_the_planted_flaws_drop_for_what_was_planted(decided: tuple[Path, Truth]) -> None:
    folder, truth = decided
    rows = chosen(folder)
    for name, code in truth.errors.items():
        row = rows[fsdecode(decode_path(name))]
        assert not row["keep"], name
        assert row["reasons"][0].split(":")[1] in ("corrupt", "truncated", "refused"), (name, code)
    for issue in ("blurry", "low_information"):
        for name in truth.issues[issue]:
            assert f"issue:{issue}" in rows[fsdecode(decode_path(name))]["reasons"], name
    assert not [k for k, row in rows.items() if "issue:dark" in row["reasons"]]


def test_a_dropped_copy_names_a_keeper_that_stays(decided: tuple[Path, Truth]) -> None:
    folder, _ = decided
    rows = chosen(folder)
    by_id = {row["image_id"]: row for row in rows.values()}
    standing = {
        frozenset((r["id_a"], r["id_b"]))
        for r in Workspace(str(folder / "w")).read("pairs").to_pylist()
        if r["is_verified"] is not False
    }
    n = 0
    for row in rows.values():
        for reason in row["reasons"]:
            if not row["keep"] and reason.startswith("duplicate:any:"):
                keeper = by_id[bytes.fromhex(reason.rpartition(":")[2])]
                assert keeper["keep"]
                assert frozenset((row["image_id"], keeper["image_id"])) in standing
                n += 1
    assert n > 20


def test_no_planted_leak_is_left(decided: tuple[Path, Truth]) -> None:
    """Of two planted ends that dedup can see at most one stays, and evaluation wins."""
    folder, truth = decided
    rows = chosen(folder)
    leaks = Workspace(str(folder / "w")).read("leaks").to_pylist()
    seen = {frozenset((r["id_a"], r["id_b"])) for r in leaks}
    planted = [tuple(rows[fsdecode(decode_path(end))] for end in pair) for pair in truth.leaks]
    found = [p for p in planted if frozenset((p[0]["image_id"], p[1]["image_id"])) in seen]
    assert len(found) >= 5
    for a, b in found:
        assert not (a["keep"] and b["keep"])
        if a["keep"] or b["keep"]:
            kept, gone = (a, b) if a["keep"] else (b, a)
            rank = {"test": 0, "val": 1, "train": 2}
            own = [r for r in gone["reasons"] if r.startswith("issue")]
            assert own or rank[kept["split"]] < rank[gone["split"]]


def test_floors_hold_for_every_class_that_can_be_read(
    decided: tuple[Path, Truth], tmp_path: Path
) -> None:
    folder = copied(decided, tmp_path)
    base = Counter(r["label"] for r in chosen(folder).values() if r["keep"])
    label, n = min(base.items(), key=lambda kv: (kv[1], kv[0]))
    assert decide(folder, "--floors", f"{label}={n + 3},other=0") == 0
    rows = chosen(folder)
    mine = {k: r for k, r in rows.items() if r["label"] == label}
    first = {k: r for k, r in chosen(decided[0]).items() if r["label"] == label}
    back = [k for k in mine if mine[k]["keep"] and not first[k]["keep"]]
    able = [
        k
        for k, r in first.items()
        if not r["keep"]
        and not any(x.startswith(("leak", "user")) for x in r["reasons"])
        and "issue:corrupt" not in r["reasons"]
    ]
    assert len(back) == min(3, len(able))
    assert back, "the sample must let a floor bring something back"
    assert all(mine[k]["keep"] for k, r in first.items() if r["keep"]), "a floor drops nothing"
    figures = json.loads(Workspace(str(folder / "w")).artifact("selection.json"))
    assert figures["floors"] == {label: len(back)}


def test_your_lists_win(decided: tuple[Path, Truth], tmp_path: Path) -> None:
    folder = copied(decided, tmp_path)
    rows = chosen(folder)
    bad = next(fsdecode(decode_path(n)) for n in decided[1].errors)
    blurry = fsdecode(decode_path(decided[1].issues["blurry"][0]))
    fine = next(k for k, r in rows.items() if r["keep"] and not r["reasons"])
    (tmp_path / "keep").write_text(f"{blurry}\n{rows[bad]['image_id'].hex()}\n")
    (tmp_path / "drop").write_text(f"# mine\n{rows[fine]['uri']}\n")
    lists = ("--keep-list", tmp_path / "keep", "--drop-list", tmp_path / "drop")
    assert decide(folder, *lists) == 0
    now = chosen(folder)
    assert now[blurry]["keep"]
    assert {"user", "issue:blurry"} <= set(now[blurry]["reasons"])
    assert not now[bad]["keep"], "what cannot be read is never kept"
    assert (now[fine]["keep"], now[fine]["reasons"]) == (False, ["user"])
    seq = Workspace(str(folder / "w")).head.seq
    assert decide(folder, *lists) == 0
    assert Workspace(str(folder / "w")).head.seq == seq
    (tmp_path / "drop").write_text(f"{blurry}\n")
    assert decide(folder, *lists) == 2, "in both lists"
    (tmp_path / "drop").write_text("no/such/image.jpg\n")
    assert decide(folder, *lists) == 2


@pytest.mark.parametrize("action", ["remove", "keep", "reweight", "ignore"])
def test_what_happens_to_copies(decided: tuple[Path, Truth], tmp_path: Path, action: str) -> None:
    """Where nothing else drops, each action is that of `cvdata.duplicates`."""
    from cvdata.duplicates.tables import selection_of

    folder = copied(decided, tmp_path)
    (folder / "rules.yaml").write_text("leaks: {action: ignore}\n")
    assert decide(folder, "--duplicates.action", action) == 0
    rows = {r["image_id"]: r for r in chosen(folder).values()}
    groups = Workspace(str(folder / "w")).read("duplicates")
    mine = groups.filter(pa_equal(groups["method"], "any"))
    if action == "ignore":
        assert not [r for row in rows.values() for r in row["reasons"] if r.startswith("dup")]
        return
    expected = selection_of(mine, action).to_pylist()
    assert len(expected) > 20
    for row in expected:
        ours = rows[row["image_id"]]
        assert ours["keep"] == row["keep"]
        assert ours["weight"] == pytest.approx(row["weight"])
        if row["reason"]:
            assert row["reason"] in ours["reasons"]


def pa_equal(column: object, value: str) -> object:
    import pyarrow.compute as pc

    return pc.equal(column, value)


def test_merging_gives_keepers_what_their_copies_knew(
    decided: tuple[Path, Truth], tmp_path: Path
) -> None:
    from cvdata.duplicates.merge import merged_records

    folder = copied(decided, tmp_path)
    (folder / "rules.yaml").write_text("leaks: {action: ignore}\n")
    flags = ("--duplicates.action", "merge", "--duplicates.method")
    assert decide(folder, *flags, "any") == 2, "boxes of mirrored copies cannot be carried over"
    assert decide(folder, *flags, "perceptual") == 0
    workspace = Workspace(str(folder / "w"))
    groups = workspace.read("duplicates")
    groups = groups.filter(pa_equal(groups["method"], "perceptual"))
    united = merged_records(
        workspace.read("records"),
        groups,
        workspace.read("measures", ["image_id", "width", "height"]),
    )
    expected = {r["image_id"]: (r["label"], r["boxes"]) for r in united.to_pylist()}
    rows = workspace.read("merged")
    assert rows.schema.equals(schema.MERGED)
    assert len(rows) == sum(r["is_keeper"] for r in groups.to_pylist())
    for row in rows.to_pylist():
        assert (row["label"], row["boxes"]) == expected[row["image_id"]]
    assert decide(folder) == 0
    assert "merged" not in Workspace(str(folder / "w")).tables()


def test_no_source_file_is_touched(decided: tuple[Path, Truth], tmp_path: Path) -> None:
    folder, _ = decided

    def snapshot() -> dict[str, tuple[int, str]]:
        files = (p for p in sorted((folder / "photos").rglob("*")) if p.is_file())
        return {
            str(p): (p.stat().st_mtime_ns, hashlib.sha256(p.read_bytes()).hexdigest())
            for p in files
        }

    before = snapshot()
    assert decide(folder, "--refresh") == 0
    assert snapshot() == before
    assert len(before) > 200
    assert not list((folder / "w" / "_tmp").rglob("*.arrow")), "nothing is left of the passes"


def test_absent_tables_are_told_and_stale_ones_refused(
    decided: tuple[Path, Truth], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    where = tmp_path / "new"
    photos = tmp_path / "photos"
    shutil.copytree(decided[0] / "photos" / "train" / "coins", photos / "coins")
    assert cvdata("decide", "--workspace", where) == 2
    assert "cvdata ingest" in capsys.readouterr().err
    assert cvdata("ingest", photos, "--workspace", where, "--label-from-folder") == 0
    assert cvdata("decide", "--workspace", where) == 0
    out = capsys.readouterr().out
    assert "not scanned" in out
    assert "`cvdata eda` makes them" in out
    assert cvdata("scan", "--workspace", where, "--measures", "file,geometry,exposure") in (0, 3)
    assert cvdata("eda", "--workspace", where) == 0
    assert cvdata("decide", "--workspace", where) == 0
    shutil.copy(decided[0] / "photos" / "train" / "coins" / "coins_000.jpg", photos / "more.jpg")
    assert cvdata("ingest", photos, "--workspace", where, "--label-from-folder") == 0
    assert cvdata("scan", "--workspace", where, "--measures", "file,geometry,exposure") in (0, 3)
    capsys.readouterr()
    assert cvdata("decide", "--workspace", where) == 2
    assert "run `cvdata eda" in capsys.readouterr().err
    assert cvdata("decide", "--workspace", where, "--stale", "use") == 0
    assert "stale: issues" in capsys.readouterr().out


def test_a_dry_run_says_what_a_run_would_and_changes_nothing(
    decided: tuple[Path, Truth], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = copied(decided, tmp_path)
    files = sorted(p for p in (folder / "w").rglob("*") if p.is_file())
    flags = ("--balance.target", "equal", "--balance.oversample", "augment")
    capsys.readouterr()
    assert decide(folder, *flags, "--dry-run") == 0
    said = capsys.readouterr().out.partition("decide: ")[2]
    assert sorted(p for p in (folder / "w").rglob("*") if p.is_file()) == files
    assert decide(folder, *flags) == 0
    assert capsys.readouterr().out.partition("decide: ")[2] == said
    assert "copies to make" in said
    assert decide(folder, *flags) == 0
    assert capsys.readouterr().out.partition("decide: ")[2] == said, "current, and told again"


@pytest.mark.usefixtures("ray_up")
def test_ranges_and_engine_change_nothing(
    decided: tuple[Path, Truth], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The whole in one range on a loop, and in many on Ray."""
    folder = copied(decided, tmp_path)
    flags = ("--balance.target", "equal", "--balance.oversample", "augment")
    flags += ("--balance.undersample", "random", "--balance.weights", "effective")
    tables = ("selection", "budget")
    assert decide(folder, *flags) == 0
    before = {t: rows_digest(Workspace(str(folder / "w")).read(t)) for t in tables}
    ranges = Workspace.ranges
    monkeypatch.setattr(Workspace, "ranges", lambda self, rows=70: ranges(self, min(rows, 70)))
    monkeypatch.setattr("cvdata.runs.eda.SERIAL_BELOW_RANGES", 0)
    assert decide(folder, *flags, "--refresh", engine="ray") == 0
    workspace = Workspace(str(folder / "w"))
    assert len(workspace.head.tables["selection"].parts) > 3
    assert {t: rows_digest(workspace.read(t)) for t in tables} == before
    assert not workspace.verify()
