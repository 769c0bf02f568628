"""dedup's options: which hash, which radius, and what the second look may use."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from cvdata import Workspace
from cvdata.sample import Truth, make_sample
from cvdata.sources.read_local import OpenFile
from cvdata.sources.uris import decode_path
from tests.jobs.flows import cvdata


@pytest.fixture(scope="module")
def scanned(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Truth]:
    folder = tmp_path_factory.mktemp("options")
    truth = make_sample(folder / "photos", size="small")
    cvdata("ingest", folder / "photos", "--workspace", folder / "w")
    more = ("--measures", "file,geometry,pixel_digest,phash,dhash", "--max-error-rate", "0.5")
    assert cvdata("scan", "--workspace", folder / "w", *more) in (0, 3)
    return folder / "w", truth


def _dedup(where: Path, *flags: str) -> Workspace:
    assert cvdata("dedup", "--workspace", where, "--fresh", *flags) == 0
    return Workspace(str(where))


@pytest.mark.parametrize(("column", "radius"), [("dhash", 3), ("phash", 0), ("dhash", 9)])
def test_the_pairs_are_those_of_the_hash_and_radius_asked_for(
    scanned: tuple[Path, Truth], column: str, radius: int
) -> None:
    """The oracle compares every image with every other."""
    chosen = ("--methods", "perceptual", "--hash", column, "--radius", str(radius), "--no-verify")
    workspace = _dedup(scanned[0], *chosen)
    rows = workspace.read("measures", ["image_id", column, f"{column}_bits_set", "error"])
    known = [row for row in rows.to_pylist() if row["error"] is None]
    bits = np.unpackbits(np.array([np.frombuffer(r[column], np.uint8) for r in known]), axis=1)
    near = (bits[:, None] != bits[None]).sum(axis=2) <= radius
    expected = {
        tuple(sorted((known[i]["image_id"], known[j]["image_id"])))
        for i, j in zip(*np.nonzero(np.triu(near, 1)), strict=True)
    }
    pairs = workspace.read_all("pairs").to_pylist()
    found = {tuple(sorted((p["id_a"], p["id_b"]))) for p in pairs if p["method"] == "perceptual"}
    assert found <= expected
    least = max(4, radius // 2 + 1)
    set_bits = f"{column}_bits_set"
    flat = {r["image_id"] for r in known if not least <= r[set_bits] <= 64 - least}
    assert all(set(pair) & flat for pair in expected - found), "only flat images are refused"
    assert found, "the sample has copies"


def test_only_candidates_are_read_and_equal_pixels_once(
    scanned: tuple[Path, Truth], monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: Counter[str] = Counter()
    open_file = OpenFile.open

    def counted(uri: str) -> OpenFile:
        opened[uri] += 1
        return open_file(uri)

    monkeypatch.setattr(OpenFile, "open", staticmethod(counted))
    workspace = _dedup(scanned[0])
    monkeypatch.undo()
    pairs = workspace.read_all("pairs").to_pylist()
    candidates = {pair[end] for pair in pairs for end in ("id_a", "id_b")}
    records = workspace.read("records", ["image_id", "uri"]).to_pylist()
    ids = {row["uri"]: row["image_id"] for row in records}
    digests = workspace.read("measures", ["image_id", "pixel_digest"]).to_pylist()
    pixels = {row["image_id"]: row["pixel_digest"] for row in digests}
    assert 10 < len(opened) < len(candidates) < len(records)
    assert set(opened.values()) == {1}
    assert {ids[uri] for uri in opened} <= candidates
    read = [pixels[ids[uri]] for uri in opened]
    assert len(read) == len(set(read)), "what has the pixels of another one is not decoded again"


def test_features_join_no_two_photographs(scanned: tuple[Path, Truth]) -> None:
    """With ORB and RANSAC candidates are looked at once more, not more loosely."""
    where, truth = scanned
    workspace = _dedup(where, "--features")
    base = {decode_path(g.base): g.base for g in truth.duplicates}
    base |= {decode_path(c.path): g.base for g in truth.duplicates for c in g.copies}
    records = workspace.read("records", ["image_id", "key"]).to_pylist()
    names = {row["image_id"]: row["key"] for row in records}
    groups: dict[bytes, set[str]] = {}
    for row in workspace.read("duplicates").to_pylist():
        if row["method"] == "any":
            key = names[row["image_id"]]
            groups.setdefault(row["group_id"], set()).add(base.get(key, key.decode("latin-1")))
    assert groups
    assert all(len(bases) == 1 for bases in groups.values()), groups
