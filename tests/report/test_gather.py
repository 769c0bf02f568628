"""From a real workspace to the report's input: every number by itself, no row too many."""

from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from PIL import Image
from reading import Page

from cvdata.cli import main
from cvdata.issues import ISSUES
from cvdata.report import ReportInput, gallery, render, shown_images
from cvdata.runs.report import gather, source_names
from cvdata.schema import RECORDS, image_id
from cvdata.workspace import Workspace

N_GRAY = gallery.SHOWN + 6


def photo(path: Path, seed: int, *, gray: bool = False) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    cells = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    cells = np.repeat(cells[..., :1], 3, 2) if gray else cells
    picture = Image.fromarray(cells).resize((96, 72), Image.Resampling.BICUBIC)
    picture.save(path, quality=90)
    return path


def cvdata(*words: object) -> int:
    return main([*map(str, words), "--engine", "serial"])


def make_photos(root: Path) -> None:
    """Grey pictures more than a gallery holds; copies in both splits, one under another label."""
    for i in range(N_GRAY):
        photo(root / f"train/tram/gray{i:02d}.jpg", 100 + i, gray=True)
    for i in range(4):
        photo(root / f"train/tram/{i}.jpg", i)
        photo(root / f"test/heron/{i + 10}.jpg", i + 10)
    first = (root / "train/tram/0.jpg").read_bytes()
    for copy in ("train/tram/0-again.jpg", "test/tram/0-leak.jpg", "test/heron/0-wrong.jpg"):
        (root / copy).parent.mkdir(parents=True, exist_ok=True)
        (root / copy).write_bytes(first)
    with Image.open(root / "train/tram/1.jpg") as one:
        one.transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(root / "train/tram/1-mirror.jpg")
    (root / "train/tram/empty.jpg").write_bytes(b"")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("gather")
    make_photos(folder / "coast photos")
    place = ("--workspace", folder / "w")
    flags = ("--label-from-folder", "--split-from-folder")
    assert cvdata("ingest", folder / "coast photos", *place, *flags) == 0
    assert cvdata("scan", *place, "--warn-error-rate", "0.5", "--max-error-rate", "0.5") == 0
    assert cvdata("eda", *place) == 0
    assert cvdata("dedup", *place) == 0
    return folder


@pytest.fixture(scope="module")
def workspace(folder: Path) -> Workspace:
    return Workspace(str(folder / "w"))


@pytest.fixture(scope="module")
def gathered(workspace: Workspace) -> ReportInput:
    return gather(workspace, "", 48, 200)


def test_each_term_of_the_law_is_counted_by_itself(
    workspace: Workspace, gathered: ReportInput
) -> None:
    errors = workspace.read("measures", ["error"])["error"].to_pylist()
    assert gathered.n_ok == errors.count(None)
    assert gathered.errors == Counter(e for e in errors if e is not None) == {"empty": 1}
    assert gathered.n_records == gathered.n_ok + 1 == N_GRAY + 13


def test_flagged_images_are_counted_once(workspace: Workspace, gathered: ReportInput) -> None:
    rows = workspace.read("issues").to_pylist()
    in_pictures = {i.name for i in ISSUES if i.columns != ("error",) and i.name != "empty"}
    flagged = [r["image_id"] for r in rows if r["is_flagged"] and r["issue"] in in_pictures]
    assert gathered.n_flagged == len(set(flagged)) < len(flagged)


def test_only_pictures_with_a_place_are_fetched(gathered: ReportInput) -> None:
    assert gathered.issue_counts["grayscale"] == N_GRAY > gallery.SHOWN
    assert set(gathered.thumbs) == set(shown_images(gathered))
    rows = gathered.issues.filter(pc.equal(gathered.issues["issue"], "grayscale"))
    assert rows.num_rows == N_GRAY, "the list may be longer than the gallery"


def test_doubted_labels_are_not_called_looked_for_without_the_labels_job(
    workspace: Workspace, gathered: ReportInput
) -> None:
    assert "label_issues" not in workspace.tables()
    names = {note.name for note in gathered.issue_notes}
    assert "dark" in names
    assert "mismatched_label" not in names


def test_groups_are_those_of_the_table(workspace: Workspace, gathered: ReportInput) -> None:
    told = gathered.duplicates
    assert told is not None
    rows = workspace.read("duplicates").to_pylist()
    sizes = Counter(r["group_id"] for r in rows if r["method"] == "any")
    assert told.sizes == Counter(sizes.values()) == {4: 1, 2: 1}
    shown = told.groups.to_pylist()
    assert [r["size"] for r in shown] == [4, 4, 4, 4, 2, 2]
    assert [r["is_keeper"] for r in shown] == [True, False, False, False, True, False]
    assert {r["method"] for r in shown[:4]} == {"exact_sha256", "any"}
    assert shown[5]["method"] == "dihedral"
    total = next(m for m in told.methods if m.name == "any")
    assert (total.n_groups, total.n_copies) == (2, 4)
    assert told.n_images == gathered.n_ok
    assert told.is_current


def test_leaks_are_counted_by_split_whichever_way_round(gathered: ReportInput) -> None:
    told = gathered.duplicates
    assert told is not None
    assert told.leak_counts == {("test", "train"): 4}
    assert told.leaking == {"test": 2, "train": 2}
    assert told.splits == {"test": 6, "train": N_GRAY + 7}
    assert told.leaks.num_rows == 4
    assert set(told.leaks["method"].to_pylist()) == {"exact_sha256"}


def test_conflicts_name_the_majority_first(gathered: ReportInput) -> None:
    told = gathered.duplicates
    assert told is not None
    assert told.conflict_counts == {"label": 1}
    assert told.n_conflicting == 4
    assert told.conflicts["value"].to_pylist() == ["tram", "tram", "tram", "heron"]
    assert set(told.conflicts["majority"].to_pylist()) == {"tram"}


def test_the_page_is_named_after_the_source(workspace: Workspace, gathered: ReportInput) -> None:
    assert gathered.title == "coast photos"
    assert gather(workspace, "Mine", 0, 0).title == "Mine"


def test_every_image_that_is_shown_has_its_name(gathered: ReportInput) -> None:
    page = Page.of(render(gathered))
    names = {row["image_id"]: row["key"].decode() for row in gathered.records.to_pylist()}
    told = {e.attributes["alt"] for e in page.all("img")} - {""}
    assert told == {names[i] for i in shown_images(gathered)}
    assert "test/tram/0-leak.jpg" in told


def test_what_was_never_scanned_breaks_the_law_and_shows(folder: Path) -> None:
    """Last of its file: it changes the workspace. Its tables are stale then, and that is told."""
    photo(folder / "coast photos/train/tram/late.jpg", 999)
    place = ("--workspace", folder / "w")
    flags = ("--label-from-folder", "--split-from-folder")
    assert cvdata("ingest", folder / "coast photos", *place, *flags) == 0
    late = gather(Workspace(str(folder / "w")), "", 0, 0)
    assert late.n_records - late.n_ok - sum(late.errors.values()) == 1
    assert late.duplicates is not None
    assert not late.duplicates.is_current
    assert "do not add up: 1 of" in " ".join(Page.of(render(late)).text.split())


def ingested(url: Path, sources: Mapping[str, str]) -> Workspace:
    """A workspace with one record of each source."""
    workspace = Workspace(str(url))
    for name, source in sources.items():
        key = f"{name}.jpg".encode()
        row = {"image_id": image_id(name, key), "revision": "r", "source": name, "key": key}
        rows = pa.Table.from_pylist([{**row, "uri": "/x"}], schema=RECORDS)
        with workspace.change("ingest", {"source": source, "source_name": name}) as change:
            change.replace("records", [rows], RECORDS, keep=lambda p, n=name: p.tag != n, tag=name)
    return workspace


@pytest.mark.parametrize(
    ("source", "title"),
    [
        ("/data/Coast Photos/", "Coast Photos"),
        ("photos", "photos"),
        ("s3://bucket/sets/birds/", "birds"),
        ("s3://bucket", "bucket"),
        ("https://user:secret@host/a/list%20one.csv?token=secret", "list one.csv"),
        (".", "results"),
        ("..", "results"),
    ],
)
def test_a_source_is_called_by_its_last_name(tmp_path: Path, source: str, title: str) -> None:
    assert source_names(ingested(tmp_path / "results", {"default": source})) == title


def test_several_sources_are_named_and_then_counted(tmp_path: Path) -> None:
    two = ingested(tmp_path / "two", {"b": "/data/x", "a": "/data/y"})
    assert source_names(two) == "y, x"
    five = ingested(tmp_path / "five", {name: f"/data/{name}" for name in "abcde"})
    assert source_names(five) == "a, b, c and 2 more"


def test_nothing_ingested_is_named_after_the_workspace(tmp_path: Path) -> None:
    assert source_names(Workspace(str(tmp_path / "empty")).prepare()) == "empty"
