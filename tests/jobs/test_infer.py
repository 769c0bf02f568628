"""infer end to end: a plain loop's numbers, only what is new costs, bad rows stay alone."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

from cvdata import Workspace
from cvdata.cli import main
from cvdata.image import open_image
from cvdata.models import MODELS, Task
from cvdata.models.batching import Runner
from cvdata.sample import make_sample
from cvdata.sources.uris import decode_path
from tests.jobs.flows import cvdata, make_photos
from tests.models.conftest import default_model
from tests.tables.flows import part_digests, rows_digest

FEW = ("--measures", "file,geometry,pixel_digest,phash")
DEFAULT, TILES = "embeddings/default", "embeddings/tests.jobs.odd_models-Tiles"
N = 40


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """photos (one of them broken), and w: ingested and embedded by the default model."""
    default_model(Task.EMBED)
    folder = tmp_path_factory.mktemp("infer")
    make_photos(folder / "photos", range(N))
    data = (folder / "photos" / "00000.jpg").read_bytes()
    (folder / "photos" / "broken.jpg").write_bytes(data[:500])
    cvdata("ingest", folder / "photos", "--workspace", folder / "w")
    relaxed = ("--warn-error-rate", "0.5")
    assert cvdata("infer", "--workspace", folder / "w", *relaxed) == 0
    return folder


def _decoded(workspace: Path) -> int:
    return int(Workspace(str(workspace)).commits()[-1].stats["n_read"])


def _vectors(where: Path, table: str = DEFAULT) -> dict[bytes, list[float] | None]:
    """Embedding by key."""
    workspace = Workspace(str(where))
    keys = workspace.read("records", ["image_id", "key"])["key"].to_pylist()
    rows = workspace.read(table)
    assert len(rows) == len(keys), "every record has its row"
    return dict(zip(keys, rows["embedding"].to_pylist(), strict=True))


def _errors(where: Path, table: str = DEFAULT) -> dict[bytes, str]:
    workspace = Workspace(str(where))
    keys = workspace.read("records", ["image_id", "key"])["key"].to_pylist()
    codes = workspace.read(table)["error"].to_pylist()
    return {k: c for k, c in zip(keys, codes, strict=True) if c is not None}


def _assert_same(a: Path, b: Path, table: str = DEFAULT) -> None:
    """The same rows; vectors within what the size of a batch moves."""
    mine, theirs = _vectors(a, table), _vectors(b, table)
    assert mine.keys() == theirs.keys()
    assert _errors(a, table) == _errors(b, table)
    good = [k for k, v in mine.items() if v is not None]
    assert good == [k for k, v in theirs.items() if v is not None]
    ours, others = (np.array([v[k] for k in good]) for v in (mine, theirs))
    np.testing.assert_allclose(ours, others, atol=1e-5)


def test_embeddings_are_those_of_a_plain_loop(made: Path) -> None:
    rows = Workspace(str(made / "w")).read(DEFAULT)
    names = ["image_id", "revision", "error", "error_detail", "embedding"]
    assert rows.column_names == names
    assert rows.schema.field("embedding").type == pa.list_(pa.float32(), 1280)
    found = _vectors(made / "w")
    assert _errors(made / "w") == {b"broken.jpg": "truncated"}
    assert found.pop(b"broken.jpg") is None
    runner = Runner(default_model(Task.EMBED), "cpu", batch_size=8)
    runner.setup()
    keys = sorted(found)
    images = [open_image((made / "photos" / k.decode()).read_bytes()).rgb for k in keys]
    direct = np.stack(runner.predict(images))
    ours = np.array([found[k] for k in keys], np.float32)
    np.testing.assert_allclose(np.linalg.norm(ours, axis=1), 1, atol=1e-6)
    assert (ours * direct).sum(axis=1).min() >= 0.9999
    assert (ours @ ours.T)[np.triu_indices(N, 1)].max() < 0.9999, "rows are told apart"
    assert Workspace(str(made / "w")).verify() == []


def test_only_what_is_new_is_decoded(tmp_path: Path) -> None:
    default_model(Task.EMBED)
    photos, where = tmp_path / "photos", tmp_path / "w"
    make_photos(photos, range(12))
    cvdata("ingest", photos, "--workspace", where)
    assert cvdata("infer", "--workspace", where, "--task", "classify", "--top-k", "3") == 0
    assert _decoded(where) == 12
    make_photos(photos, range(12, 15))
    (photos / "00000.jpg").write_bytes((photos / "00001.jpg").read_bytes())
    cvdata("ingest", photos, "--workspace", where)
    assert cvdata("infer", "--workspace", where, "--task", "classify", "--top-k", "3") == 0
    assert _decoded(where) == 4
    n_commits = len(Workspace(str(where)).commits())
    assert cvdata("infer", "--workspace", where, "--task", "classify", "--top-k", "3") == 0
    assert len(Workspace(str(where)).commits()) == n_commits, "nothing to do, nothing done"
    refresh = ("--task", "classify", "--top-k", "3", "--refresh")
    assert cvdata("infer", "--workspace", where, *refresh) == 0
    assert _decoded(where) == 15


def test_another_question_never_takes_the_place_of_the_first(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    default_model(Task.EMBED)
    where = tmp_path / "w"
    make_photos(tmp_path / "photos", range(6))
    cvdata("ingest", tmp_path / "photos", "--workspace", where)
    ask = ("infer", "--workspace", where, "--task", "classify")
    assert cvdata(*ask, "--top-k", "3") == 0
    assert cvdata(*ask, "--top-k", "2") == 2
    told = capsys.readouterr().err
    assert "top_k 3; now top_k 2" in told
    assert "--table NAME" in told

    def answers(name: str) -> set[int]:
        rows = Workspace(str(where)).read(f"predictions/{name}")
        return {len(labels) for labels in rows["labels"].to_pylist()}

    assert answers("default") == {3}, "nothing was lost"
    assert cvdata(*ask, "--top-k", "2", "--table", "top two") == 0
    assert (answers("default"), answers("top-two")) == ({3}, {2}), "both stand"
    assert cvdata(*ask, "--top-k", "2", "--replace") == 0
    assert _decoded(where) == 6, "another parameter is another fingerprint"
    assert answers("default") == {2}


def test_classes_of_real_images_are_those_of_a_direct_call(
    tmp_path: Path, shared_data: Path
) -> None:
    folder, where = tmp_path / "photos", tmp_path / "w"
    folder.mkdir()
    files = sorted((shared_data / "imagenet_sample").glob("*.JPEG"))[:40:2]
    for path in files:
        (folder / path.name).write_bytes(path.read_bytes())
    model = default_model(Task.CLASSIFY)
    cvdata("ingest", folder, "--workspace", where)
    assert cvdata("infer", "--workspace", where, "--task", "classify") == 0
    workspace = Workspace(str(where))
    keys = workspace.read("records", ["image_id", "key"])["key"].to_pylist()
    rows = dict(zip(keys, workspace.read("predictions/default").to_pylist(), strict=True))
    runner = Runner(model, "cpu", batch_size=4)
    runner.setup()
    direct = runner.predict([open_image(path.read_bytes()).rgb for path in files])
    n_right = 0
    for i, (path, one) in enumerate(zip(files, direct, strict=True)):
        row = rows[path.name.encode()]
        assert row["error"] is None
        assert row["label_ids"][0] == one.label_ids[0]
        np.testing.assert_allclose(row["scores"], one.scores, atol=1e-4)
        assert row["scores"] == sorted(row["scores"], reverse=True)
        assert row["labels"] == [runner.model.labels[n] for n in row["label_ids"]]
        # The files lie in the order of every other class; these are every other file.
        n_right += 4 * i in row["label_ids"]
    assert n_right >= 18


def test_scan_with_a_model_gives_the_rows_of_both_from_one_decode(
    made: Path, tmp_path: Path
) -> None:
    apart, both = tmp_path / "apart", tmp_path / "both"
    for where in (apart, both):
        cvdata("ingest", made / "photos", "--workspace", where)
    relaxed = (*FEW, "--warn-error-rate", "0.5")
    assert cvdata("scan", "--workspace", both, *relaxed, "--model", "default") == 0
    assert _decoded(both) == N + 1
    _assert_same(made / "w", both)
    assert cvdata("scan", "--workspace", apart, *relaxed) == 0
    plain, joined = (Workspace(str(w)).read("measures") for w in (apart, both))
    assert rows_digest(plain) == rows_digest(joined), "a model moves no measure"
    (name,) = (n for n in Workspace(str(apart)).head.tables if n.startswith("measures/"))
    before = part_digests(Workspace(str(apart)), name)
    assert cvdata("scan", "--workspace", apart, *relaxed, "--model", "default") == 0
    assert part_digests(Workspace(str(apart)), name) == before, "only what is missing"
    _assert_same(made / "w", apart)
    n_commits = len(Workspace(str(both)).commits())
    assert cvdata("infer", "--workspace", both, "--warn-error-rate", "0.5") == 0
    assert len(Workspace(str(both)).commits()) == n_commits, "infer finds the work done"


@pytest.mark.usefixtures("ray_up")
def test_ray_gives_the_same(made: Path, tmp_path: Path) -> None:
    cvdata("ingest", made / "photos", "--workspace", tmp_path / "w")
    options = ("--workers", "2", "--chunk-rows", "11", "--warn-error-rate", "0.5")
    assert cvdata("infer", "--workspace", tmp_path / "w", *options, engine="ray") == 0
    _assert_same(made / "w", tmp_path / "w")


@pytest.fixture
def poisoned(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    make_photos(folder, range(30))
    for name, colour in (("red", (255, 0, 0)), ("green", (0, 255, 0)), ("blue", (0, 0, 255))):
        picture = Image.new("RGB", (64, 48), colour)
        picture.save(folder / f"00010-{name}.jpg", quality=95)
    return folder


TILES_FLAGS = ("--model", "tests.jobs.odd_models:Tiles", "--max-error-rate", "0.5")


@pytest.mark.parametrize("engine", ["serial", "ray"])
@pytest.mark.usefixtures("ray_up")
def test_a_poison_image_costs_its_own_row(poisoned: Path, tmp_path: Path, engine: str) -> None:
    cvdata("ingest", poisoned, "--workspace", tmp_path / "w")
    assert cvdata("infer", "--workspace", tmp_path / "w", *TILES_FLAGS, engine=engine) == 3
    assert _errors(tmp_path / "w", TILES) == {
        b"00010-red.jpg": "model_failed",
        b"00010-green.jpg": "decoder_crashed",
        b"00010-blue.jpg": "model_failed",
    }
    details = Workspace(str(tmp_path / "w")).read(TILES)["error_detail"].to_pylist()
    assert any("planted in the model" in (d or "") for d in details)
    assert any("planted in prepare" in (d or "") for d in details)
    for path in poisoned.glob("*-*.jpg"):
        path.unlink()
    cvdata("ingest", poisoned, "--workspace", tmp_path / "clean")
    assert cvdata("infer", "--workspace", tmp_path / "clean", *TILES_FLAGS) == 0
    clean, found = _vectors(tmp_path / "clean", TILES), _vectors(tmp_path / "w", TILES)
    assert {k: found[k] for k in clean} == clean, "neighbours are bit-identical"


@pytest.mark.usefixtures("ray_up")
def test_a_killed_worker_loses_no_row(tmp_path: Path) -> None:
    make_photos(tmp_path / "photos", range(60))
    config = tmp_path / "infer.yaml"
    mark = tmp_path / "killed"
    config.write_text(f"parameters: {{kill_once: '{mark}'}}\n")
    for name in ("clean", "w"):
        cvdata("ingest", tmp_path / "photos", "--workspace", tmp_path / name)
    assert cvdata("infer", "--workspace", tmp_path / "clean", *TILES_FLAGS) == 0
    options = ("--config", config, "--workers", "2", "--chunk-rows", "15")
    where = ("--workspace", tmp_path / "w")
    assert cvdata("infer", *where, *TILES_FLAGS, *options, engine="ray") == 0
    assert mark.exists(), "a worker was killed"
    _assert_same(tmp_path / "clean", tmp_path / "w", TILES)
    assert _errors(tmp_path / "w", TILES) == {}
    assert Workspace(str(tmp_path / "w")).verify() == []


def test_too_many_errors_commit_nothing_and_a_dry_run_changes_nothing(
    poisoned: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    where = tmp_path / "w"
    cvdata("ingest", poisoned, "--workspace", where)
    before = sorted(p for p in where.rglob("*") if p.is_file())
    assert cvdata("infer", "--workspace", where, *TILES_FLAGS, "--dry-run") == 0
    assert sorted(p for p in where.rglob("*") if p.is_file()) == before
    out = capsys.readouterr().out
    assert f"table: {TILES}" in out
    assert "plan: 33 of 33 images pending" in out
    strict = ("--model", "tests.jobs.odd_models:Tiles", "--max-error-rate", "0.02")
    assert cvdata("infer", "--workspace", where, *strict) == 6
    assert TILES not in Workspace(str(where)).tables()


def test_a_request_that_cannot_be_met_says_what_to_change(
    poisoned: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    where = tmp_path / "w"
    cvdata("ingest", poisoned, "--workspace", where)
    assert cvdata("infer", "--workspace", where, "--model", "mobilenet_v3") == 2
    assert "mobilenet_v2" in capsys.readouterr().err
    assert cvdata("infer", "--workspace", where, "--task", "detect") == 2
    assert "embed or classify" in capsys.readouterr().err


def test_models_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models"]) == 0
    out = capsys.readouterr().out
    for entry in MODELS:
        assert entry.name in out
        assert entry.licence in out
    assert "1,280" in out


def test_embeddings_find_planted_copies_that_hashes_miss(tmp_path: Path) -> None:
    default_model(Task.EMBED)
    truth = make_sample(tmp_path / "photos")
    where = tmp_path / "w"
    cvdata("ingest", tmp_path / "photos", "--workspace", where)
    relaxed = ("--max-error-rate", "0.3", "--warn-error-rate", "0.3")
    assert cvdata("scan", "--workspace", where, *FEW, *relaxed, "--model", "default") == 0
    crops = {
        decode_path(copy.path)
        for group in truth.duplicates
        for copy in group.copies
        if copy.edit.startswith("cropped")
    }
    assert len(crops) >= 3
    hashes = ["exact_sha256", "exact_pixels", "perceptual", "dihedral"]
    methods = ",".join([*hashes, "semantic"])
    flags = ("--methods", methods, "--embeddings", "default")
    assert cvdata("dedup", "--workspace", where, *flags) == 0
    by_hash = _grouped(where, hashes) & crops
    by_any = _grouped(where, ["any"]) & crops
    assert by_hash < by_any, "semantic finds crops that no hash does"
    assert len(by_any) >= len(crops) / 2


def _grouped(where: Path, methods: list[str]) -> set[bytes]:
    """Keys of the images that these methods put into groups."""
    workspace = Workspace(str(where))
    rows = workspace.read("records", ["image_id", "key"])
    names = dict(zip(rows["image_id"].to_pylist(), rows["key"].to_pylist(), strict=True))
    duplicates = workspace.read("duplicates").to_pylist()
    return {names[r["image_id"]] for r in duplicates if r["method"] in methods}
