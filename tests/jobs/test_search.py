"""search end to end: planted copies come first; by file, id and words; as table, JSON, page."""

import json
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cvdata import Workspace
from cvdata.cli import main
from cvdata.index.trained import one_thread
from cvdata.models import Task
from cvdata.runs.search import Found, image_vector, search
from cvdata.sample import Truth, make_sample
from cvdata.sources.uris import decode_path
from tests.embedded import clustered, names_of, put_embeddings
from tests.jobs.flows import cvdata
from tests.jobs.worded import COLOURS
from tests.models.conftest import default_model

SURE = ("byte_copy", "resaved_png", "resaved_bmp", "resaved_tif", "reencoded_q90", "resized_75")
"""Edits that the default model must see through, every one of them."""
WORDED = ("--model", "tests.jobs.worded:Colours")


@pytest.fixture(autouse=True, scope="module")
def _one_thread() -> Iterator[None]:
    """Small work is slower on many threads, much slower where others work too."""
    with one_thread():
        yield


@pytest.fixture(scope="module")
def sampled(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Truth]:
    """The sample, embedded by the default model and indexed."""
    default_model(Task.EMBED)
    folder = tmp_path_factory.mktemp("search")
    truth = make_sample(folder / "photos")
    flags = ("--label-from-folder", "--split-from-folder")
    cvdata("ingest", folder / "photos", "--workspace", folder / "w", *flags)
    relaxed = ("--max-error-rate", "0.3", "--warn-error-rate", "0.3")
    assert cvdata("infer", "--workspace", folder / "w", *relaxed) == 0
    assert cvdata("index", "--workspace", folder / "w") == 0
    return folder, truth


def _json(capsys: pytest.CaptureFixture[str], *words: object) -> list[dict[str, object]]:
    capsys.readouterr()
    assert main(["search", *map(str, words), "--json"]) == 0
    found: list[dict[str, object]] = json.loads(capsys.readouterr().out)["neighbors"]
    return found


def test_the_planted_copy_is_first(sampled: tuple[Path, Truth]) -> None:
    folder, truth = sampled
    workspace = Workspace(str(folder / "w"))
    rows = workspace.read("records", ["image_id", "key"]).to_pylist()
    ids = {row["key"]: row["image_id"] for row in rows}
    n = n_first = n_sure = 0
    missed = []
    for group in truth.duplicates:
        paths = {decode_path(p) for p in (group.base, *(c.path for c in group.copies))}
        for copy in group.copies:
            own = ids[decode_path(copy.path)]
            query = image_vector(workspace.store, workspace.head, "embeddings/default", own)
            found = search(workspace, "default", query, 1, own=own)
            n += 1
            is_first = found.neighbors[0].path.encode() in paths
            n_first += is_first
            if copy.edit in SURE:
                n_sure += 1
                missed += [] if is_first else [copy.path]
    assert n_sure > 20
    assert not missed
    assert n > 120
    assert n_first >= 0.9 * n


def test_a_file_from_outside_finds_its_source_first(
    sampled: tuple[Path, Truth], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, truth = sampled
    copied = {g.base for g in truth.duplicates}
    base = next(
        p
        for p in sorted((folder / "photos" / "train").rglob("*_00?.jpg"))
        if p.relative_to(folder / "photos").as_posix() not in copied
    )
    with Image.open(base) as picture:
        picture.convert("RGB").save(tmp_path / "resaved.jpg", quality=80)
    found = _json(capsys, "--workspace", folder / "w", "--image", tmp_path / "resaved.jpg")
    assert len(found) == 10
    assert found[0]["path"] == base.relative_to(folder / "photos").as_posix()
    assert found[0]["label"] == base.parent.name
    assert found[0]["split"] == "train"
    assert [f["rank"] for f in found] == list(range(1, 11))
    scores = [f["score"] for f in found]
    assert scores == sorted(scores, key=lambda s: -float(str(s)))
    high = _json(
        capsys, "--workspace", folder / "w", "--image", tmp_path / "resaved.jpg",
        "--min-score", scores[2], "-k", "7",
    )  # fmt: skip
    assert high == found[:3]
    page = tmp_path / "pages" / "like.html"
    words = ("--workspace", folder / "w", "--image", tmp_path / "resaved.jpg", "--html", page)
    assert main(["search", *map(str, words)]) == 0
    out = capsys.readouterr().out
    assert str(found[0]["path"]) in out
    assert str(found[0]["image_id"]) in out
    assert "recall@10" in out
    _check_page(page, tmp_path, 11)


def test_a_model_of_the_catalogue_without_a_text_tower_says_so(
    sampled: tuple[Path, Truth], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["search", "--workspace", str(sampled[0] / "w"), "--text", "red"]) == 2
    assert "mobilenet_v2 has no text tower" in capsys.readouterr().err


class _Seen(HTMLParser):
    """Every address that a page names."""

    def __init__(self) -> None:
        super().__init__()
        self.addresses: list[str] = []
        self.alts: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        self.addresses += [values[n] or "" for n in ("src", "href") if n in values]
        if tag == "img":
            self.alts.append(values["alt"] or "")


def _check_page(page: Path, folder: Path, n_pictures: int) -> None:
    text = page.read_text(encoding="utf-8")
    seen = _Seen()
    seen.feed(text)
    pictures = [a for a in seen.addresses if a.startswith("data:image/jpeg;base64,")]
    assert len(pictures) == len(seen.alts) == n_pictures
    assert all(a.startswith(("data:image/jpeg", "#")) for a in seen.addresses)
    assert str(folder) not in text, "no path of this machine"
    assert "default-src &#39;none&#39;" in text or "default-src 'none'" in text


def test_by_id_by_index_and_by_every_vector_are_one(
    sampled: tuple[Path, Truth], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, _ = sampled
    where = ("--workspace", folder / "w")
    rows = Workspace(str(folder / "w")).read("embeddings/default", ["image_id", "error"])
    for one in rows.filter(rows["error"].is_null())["image_id"].to_pylist()[:4]:
        by_index = _json(capsys, *where, "--image-id", one.hex())
        exact = _json(capsys, *where, "--image-id", one.hex(), "--exact")
        assert by_index == exact
        assert one.hex() not in {f["image_id"] for f in by_index}
    words = (*where, "--image-id", one.hex(), "--html", tmp_path / "a.html")
    assert main(["search", *map(str, words)]) == 0
    _check_page(tmp_path / "a.html", folder, 11)


def _found(where: Path, vector: np.ndarray, k: int = 10) -> Found:
    return search(Workspace(str(where)), "default", vector[None], k)


def test_without_an_index_every_vector_is_compared_and_it_says_so(tmp_path: Path) -> None:
    vectors = clustered(900, 12)
    put_embeddings(tmp_path / "w", names_of(range(900)), vectors, part_rows=100)
    found = _found(tmp_path / "w", vectors[5])
    assert found.is_exact
    assert found.notes == ("exact search of 900 vectors",)
    order = np.argsort(-(vectors.astype(float) @ vectors[5].astype(float)), kind="stable")[:10]
    assert [n.path for n in found.neighbors] == [k.decode() for k in names_of(order.tolist())]
    assert found.neighbors[0].score == 1
    everything = _found(tmp_path / "w", vectors[5], 5000)
    assert len(everything.neighbors) == 900


@pytest.mark.parametrize("factory", ["Flat", "IVF8,Flat", "IVF8,PQ4x4"])
def test_an_older_index_says_so_and_shows_nothing_that_is_gone(
    tmp_path: Path, factory: str
) -> None:
    vectors, where = clustered(900, 12), tmp_path / "w"
    put_embeddings(where, names_of(range(800)), vectors[:800])
    assert cvdata("index", "--workspace", where, "--factory", factory) in (0, 3)
    assert _found(where, vectors[0]).notes == ()
    gone = vectors @ vectors[0] > 0.8
    gone[:300] = True
    put_embeddings(where, names_of(range(300, 900)), vectors[300:])
    found = _found(where, vectors[0], 20)
    assert "the index is older than embeddings/default" in found.notes[0]
    assert len(found.neighbors) == 20
    paths = [int(n.path[:7]) for n in found.neighbors]
    assert all(300 <= p < 800 for p in paths)
    true = [float(vectors[p] @ vectors[0]) for p in paths]
    np.testing.assert_allclose([n.score for n in found.neighbors], true, atol=1e-5)
    assert true == sorted(true, reverse=True), "exact scores, even of codes"


@pytest.fixture
def coloured(tmp_path: Path) -> Path:
    for name, colour in COLOURS.items():
        (tmp_path / "photos" / name).mkdir(parents=True)
        for i in range(3):
            shade = tuple(int(c * (1 - 0.1 * i)) for c in colour)
            Image.new("RGB", (40, 30), shade).save(tmp_path / "photos" / name / f"{i}.png")
    cvdata("ingest", tmp_path / "photos", "--workspace", tmp_path / "w", "--label-from-folder")
    assert cvdata("infer", "--workspace", tmp_path / "w", *WORDED) == 0
    return tmp_path


@pytest.mark.parametrize("is_indexed", [False, True])
def test_in_words(coloured: Path, is_indexed: bool, capsys: pytest.CaptureFixture[str]) -> None:
    where = ("--workspace", coloured / "w", *WORDED)
    if is_indexed:
        assert cvdata("index", *where) == 0
    for name in COLOURS:
        found = _json(capsys, *where, "--text", name, "--top-k", "3")
        assert {f["label"] for f in found} == {name}
    page = coloured / "words.html"
    assert main(["search", *map(str, where), "--text", "red", "--html", str(page)]) == 0
    assert "“red”" in page.read_text(encoding="utf-8")


def test_a_request_that_cannot_be_met_says_what_to_change(
    coloured: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    where = ("--workspace", coloured / "w")
    tiles = ("--model", "tests.jobs.odd_models:Tiles")
    assert cvdata("infer", *where, *tiles, "--max-error-rate", "0.5") == 3, (
        "pure colours are planted"
    )
    longer = coloured / "longer.yaml"
    longer.write_text("parameters: {lengthen: true}\n")
    (coloured / "bad.jpg").write_bytes(b"no picture")
    cases = (
        ((*tiles, "--text", "red"), "has no text tower"),
        ((*WORDED, "--text", "red", "--image-id", "0" * 32), "give one of --image"),
        (WORDED, "give one of --image"),
        ((*WORDED, "--image-id", "xyz"), "32 hexadecimal digits"),
        ((*WORDED, "--image-id", "0" * 32), "no image 000"),
        ((*WORDED, "--image", coloured / "none.jpg"), "cannot read"),
        ((*WORDED, "--image", coloured / "bad.jpg"), "not_an_image"),
        ((*WORDED, "--text", "red", "--config", longer), "were not made by"),
        (("--image-id", "0" * 32, "--model", "clip"), "cvdata infer --model clip"),
    )
    for words, message in cases:
        capsys.readouterr()
        assert main(["search", *map(str, (*where, *words))]) == 2, words
        assert message in capsys.readouterr().err
    assert cvdata("infer", *where, *WORDED, "--config", longer, "--replace") == 0
    assert main(["search", *map(str, (*where, *WORDED)), "--config", str(longer), "--text", "red"])
    assert "gave an array of (1, 6)" in capsys.readouterr().err
