"""What formats cannot hold, hostile names, augmented copies, sinks from outside."""

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import pyarrow as pa
import pytest

from cvdata import Workspace
from cvdata.errors import ConfigError
from cvdata.schema_augmented import AUGMENTED
from cvdata.sinks import SINKS, Facts, Outgoing, Output, Places, Sink, open_sink, sink_options
from cvdata.sinks.base import ChunkPlace, Lines
from tests.jobs.exporting import export, ingest, select, told, tree
from tests.jobs.flows import make_photos


@pytest.fixture
def plain(tmp_path: Path) -> Path:
    """A workspace of three images of which nothing is known."""
    make_photos(tmp_path / "photos", range(3))
    ingest(tmp_path / "photos", tmp_path / "w")
    return tmp_path / "w"


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("imagefolder", "3 images have no label"),
        ("coco", "no image has boxes"),
        ("yolo", "no image has boxes"),
        ("voc", "no image has boxes"),
        ("fiftyone", "no image has a label or boxes"),
        ("coca", "did you mean coco?"),
        ("no.such:Thing", "cannot be imported"),
    ],
)
def test_what_cannot_be_held_is_said_before_work(
    kind: str, message: str, plain: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert export(plain, tmp_path / "out", kind) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_misfits_are_named_or_skipped(plain: Path, tmp_path: Path) -> None:
    assert export(plain, tmp_path / "a", "imagefolder", "--unlabeled", "unknown") == 0
    assert len(list((tmp_path / "a" / "unknown").iterdir())) == 3
    make_photos(tmp_path / "photos" / "cat", range(3, 5))
    ingest(tmp_path / "photos", tmp_path / "w", "--label-from-folder")
    assert export(plain, tmp_path / "b", "imagefolder", "--misfits", "skip") == 0
    assert [p.name for p in sorted((tmp_path / "b").iterdir()) if p.is_dir()] == ["cat"]
    assert told(tmp_path / "b")["misfits"] == {"have no label": 3}


def test_hostile_keys_and_labels_stay_inside(tmp_path: Path) -> None:
    """Names from a manifest that would leave the folder, collide, or be cut."""
    make_photos(tmp_path / "photos", range(8))
    keys = ["../../x", "/etc/x", "a/x", "A/X", "b\nc", "z" * 300, "", "~"]
    labels = ["../up", "/", "a/b", "a%2Fb", "CON", ".hidden", "x" * 400, "\u202e"]
    lines = [
        json.dumps({"uri": f"{n:05d}.jpg", "id": key or None, "label": label})
        for n, (key, label) in enumerate(zip(keys, labels, strict=True))
    ]
    (tmp_path / "photos" / "list.jsonl").write_text("\n".join(lines))
    ingest(tmp_path / "photos" / "list.jsonl", tmp_path / "w", "--source-options", "id=id")
    before = {p for p in tmp_path.rglob("*") if "out" not in p.parts}
    for kind in ("imagefolder", "webdataset", "parquet", "huggingface"):
        for names in ("name", "path"):
            to = tmp_path / f"out-{kind}-{names}"
            assert export(tmp_path / "w", to, kind, "--names", names) == 0
            assert told(to)["n_images"] == 8
    after = {
        p for p in tmp_path.rglob("*") if not p.relative_to(tmp_path).parts[0].startswith("out")
    }
    assert after == before, "nothing was written elsewhere"
    images = list((tmp_path / "out-imagefolder-path").rglob("*.jpg"))
    assert len(images) == 8
    assert all(len(part.encode()) <= 255 for p in images for part in p.parts)
    (again,) = {p.name for p in (tmp_path / "out-imagefolder-name" / "a%2Fb").iterdir()}
    assert again == "x.jpg"


def test_names_that_would_collide_bear_their_id(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        make_photos(tmp_path / "photos" / folder, range(2))
    make_photos(tmp_path / "photos" / "c", range(7, 8))
    rows = ingest(tmp_path / "photos", tmp_path / "w")
    assert export(tmp_path / "w", tmp_path / "out", "webdataset") == 0
    lines = (tmp_path / "out" / "provenance.jsonl").read_text().splitlines()
    names = {line["key"]: line["name"] for line in map(json.loads, lines)}
    ids = {row["key"].decode(): row["image_id"].hex() for row in rows}
    assert names["c/00007.jpg"] == "00007.jpg"
    assert names["a/00000.jpg"] == f"00000~{ids['a/00000.jpg']}.jpg"
    assert len(set(names.values())) == 5


def test_copies_go_where_their_parents_go(tmp_path: Path) -> None:
    make_photos(tmp_path / "photos" / "train" / "cat", range(2))
    rows = ingest(tmp_path / "photos", tmp_path / "w", "--label-from-folder")
    make_photos(tmp_path / "made", range(20, 23))
    made = [
        {
            "image_id": bytes([n]) * 16,
            "revision": "r",
            "parent_id": rows[n % 2]["image_id"],
            "parent_revision": rows[n % 2]["revision"],
            "variant": n,
            "policy": "light",
            "seed": 0,
            "partners": [],
            "uri": str(tmp_path / "made" / f"{20 + n:05d}.jpg"),
            "split": "train",
            "label": "cat",
            "labels": [{"label": "cat", "weight": 1.0}]
            if n < 2
            else [{"label": "cat", "weight": 0.75}, {"label": "dog", "weight": 0.25}],
        }
        for n in range(3)
    ]
    workspace = Workspace(str(tmp_path / "w"))
    with workspace.change("augment", {}) as change:
        table = pa.Table.from_pylist(made, AUGMENTED)
        change.replace("augmented/light", [table], AUGMENTED)
    words = ("--augmented", "light")
    to = tmp_path / "out"
    assert export(tmp_path / "w", to, "imagefolder", *words) == 2, "a mixed label is no folder"
    assert export(tmp_path / "w", to, "imagefolder", *words, "--misfits", "skip") == 0
    names = {p.name for p in (to / "train" / "cat").iterdir()}
    copies = {f"{rows[n]['image_id'].hex()}-{n}.jpg" for n in range(2)}
    assert names == {"00000.jpg", "00001.jpg"} | copies
    select(tmp_path / "w", {rows[1]["key"].decode(): ["user"]}, {})
    assert export(tmp_path / "w", tmp_path / "parquet", "parquet", *words) == 0
    found = pa.parquet.read_table(tmp_path / "parquet" / "train-000000.parquet").to_pylist()
    assert len(found) == 3, "one parent and its two copies"
    (mixed,) = [row for row in found if row["labels"]]
    assert [(p["label"], p["weight"]) for p in mixed["labels"]] == [("cat", 0.75), ("dog", 0.25)]
    assert export(tmp_path / "w", tmp_path / "no", "parquet", "--augmented", "heavy") == 2


@dataclass(frozen=True)
class Names:
    """A sink from outside: one text file."""

    version: ClassVar[int] = 1
    places: ClassVar[Places] = Places(label=True)

    def check(self, facts: Facts) -> None:
        """Nothing."""

    def write(
        self, facts: Facts, at: ChunkPlace, images: Iterable[Outgoing], out: Output
    ) -> Iterator[str]:
        for image in images:
            yield f"{image.name} {len(image.data)}"

    def assemble(self, facts: Facts, lines: Lines, out: Output) -> Sequence[str]:
        text = "\n".join(line for split in facts.split_folders for line in lines(split))
        out.put("names.txt", text.encode())
        return []


def test_a_sink_from_outside(plain: Path, tmp_path: Path) -> None:
    kind = "tests.jobs.test_export_limits:Names"
    assert isinstance(open_sink(kind), Sink)
    assert export(plain, tmp_path / "out", kind) == 0
    lines = (tmp_path / "out" / "names.txt").read_text().split("\n")
    assert [line.split()[0] for line in lines] == ["00000.jpg", "00001.jpg", "00002.jpg"]


def test_options_of_formats() -> None:
    for name, kind in SINKS.items():
        assert isinstance(open_sink(name), Sink)
        assert all(sink_options(kind).values()), "every option says what it does"
    with pytest.raises(ConfigError, match="did you mean 'one_based'"):
        open_sink("voc", {"one_base": "1"})
    with pytest.raises(ConfigError, match="kind"):
        open_sink("list", {"kind": "xml"})


@pytest.mark.parametrize("kind", ["jsonl", "csv"])
def test_a_list_comes_back(kind: str, tmp_path: Path) -> None:
    make_photos(tmp_path / "photos" / "train" / "100% cat", range(3))
    before = ingest(tmp_path / "photos", tmp_path / "w", "--label-from-folder")
    assert export(tmp_path / "w", tmp_path / "out", "list", "--sink-options", f"kind={kind}") == 0
    assert {p for p in tree(tmp_path / "out") if p.endswith(".jpg")} == set()
    words = ("--source-options", f"roots={tmp_path}", "--source-options", "id=id")
    after = ingest(tmp_path / "out" / f"images.{kind}", tmp_path / "again", *words)
    for name in ("key", "uri", "split", "label", "revision"):
        assert [row[name] for row in after] == [row[name] for row in before]
