"""Jobs beside curate with a workspace and a target in a bucket, the network bad: as on a folder."""

import json
from pathlib import Path

import fsspec
import pytest

from cvdata.storage import digest
from cvdata.workspace import Workspace
from tests.jobs.flows import cvdata
from tests.objectstore.buckets import make_photos, upload
from tests.objectstore.server import S3Server

MODEL = "tests.jobs.odd_models:Tiles"
TILES = "tests.jobs.odd_models-Tiles"
Rows = list[tuple[str, ...]]


def _chain(source: str, where: str, out: str) -> None:
    """Every job that reads or writes something else than curate's own."""
    names = ("--source-name", "photos", "--label-from-folder")
    assert cvdata("ingest", source, "--workspace", where, *names) == 0
    measures = ("--measures", "file,geometry,pixel_digest,phash", "--max-error-rate", "0.5")
    assert cvdata("scan", "--workspace", where, *measures, "--chunk-rows", "16") in (0, 3)
    model = ("--model", MODEL, "--max-error-rate", "0.5", "--chunk-rows", "16")
    assert cvdata("infer", "--workspace", where, *model) in (0, 3)
    assert cvdata("dedup", "--workspace", where) == 0
    assert cvdata("index", "--workspace", where, "--model", TILES) in (0, 3)
    assert cvdata("decide", "--workspace", where) == 0
    policy = ("--policy", "light", "--operations", '["horizontal_flip"]')
    assert cvdata("augment", "--workspace", where, *policy, "--max-error-rate", "0.5") in (0, 3)
    for kind in ("imagefolder", "webdataset"):
        to = ("--to", f"{out}/{kind}", "--format", kind, "--shard-rows", "8")
        assert cvdata("export", "--workspace", where, *to) in (0, 3)


def _rows(workspace: Workspace, table: str, *columns: str) -> Rows:
    rows = workspace.read(table, ["image_id", *columns]).to_pylist()
    return sorted(tuple(str(value) for value in row.values()) for row in rows)


def _state(where: str, out: str) -> dict[str, object]:
    workspace = Workspace(where)
    assert workspace.verify() == []
    fs, root = fsspec.core.url_to_fs(out, use_listings_cache=False)
    files = sorted(path for path in fs.find(root) if not _is_told(path))
    return {
        "selection": _rows(workspace, "selection", "keep", "weight", "reasons"),
        "duplicates": _rows(workspace, "duplicates", "method", "group_id", "is_keeper"),
        "embeddings": _rows(workspace, f"embeddings/{TILES}", "embedding", "error"),
        "augmented": _rows(workspace, "augmented/light", "parent_id", "variant", "sha256"),
        "files": {
            path[len(root) :]: digest(_told_alike(path, fs.cat_file(path))) for path in files
        },
        "index": sorted(n for n in workspace.head.artifacts if n.startswith("index")),
    }


def _told_alike(path: str, data: bytes) -> bytes:
    """The bytes of a file, but for revisions, by which a folder and a store tell versions apart."""
    if not path.endswith("/provenance.jsonl"):
        return data
    lines = [json.loads(line) for line in data.splitlines()]
    assert all(line.pop("revision") for line in lines)
    return json.dumps(lines).encode()


def _is_told(path: str) -> bool:
    """Whether a file of an export speaks of its commit, which differs by workspace."""
    return path.rsplit("/", 1)[-1] in ("export.json", "README.md", "SHA256SUMS")


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.usefixtures("quick_retries")
def test_every_job_on_a_bucket_is_every_job_on_a_folder(
    bucket: str, s3_server: S3Server, tmp_path: Path
) -> None:
    photos = make_photos(tmp_path / "photos", n=36)
    upload(photos, "in")
    _chain(str(photos), str(tmp_path / "w"), str(tmp_path / "out"))
    s3_server.faults.rates = dict.fromkeys(("refused", "throttled", "reset", "lost", "slow"), 0.05)
    _chain(f"{bucket}/in", f"{bucket}/w", f"{bucket}/out")
    s3_server.faults.rates = {}
    assert sum(s3_server.faults.seen.values()) > 100
    there = _state(f"{bucket}/w", f"{bucket}/out")
    assert there == _state(str(tmp_path / "w"), str(tmp_path / "out"))
