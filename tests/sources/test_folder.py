"""Folders: every entry is a row, in one order, by its exact bytes; nothing leads out."""
# ruff: noqa: PTH102, PTH118 -- pathlib cannot hold raw bytes

import os
import random
import socket
import tempfile
from pathlib import Path
from typing import Any

import fsspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cvdata.errors import ConfigError
from cvdata.sources import open_source
from cvdata.sources.listing import Entry, Listed, walk
from cvdata.sources.uris import decode_path, encode_path

from .trees import fetch, png, records, write, write_memory

TREE: dict[str, bytes | str] = {
    "a.jpg": b"1",
    "a/b.png": b"22",
    "a/b/c.PNG": b"333",
    "a-b/c.jpeg": b"4",
    "a b/%41.jpg": b"5",
    "é/ü.webp": b"6",
    "notes.txt": b"no image",
    "a/.jpg": b"hidden name, no extension",
    "zz/empty.gif": b"",
}
IMAGES = [name for name in TREE if name not in ("notes.txt", "a/.jpg")]


def test_files_with_image_extensions_by_their_raw_path(tmp_path: Path) -> None:
    rows, problems = records(write(tmp_path, TREE))
    assert {row["key"] for row in rows} == {name.encode() for name in IMAGES}
    for row in rows:
        data = TREE[row["key"].decode()]
        found = (tmp_path / row["key"].decode()).stat()
        assert row["size_bytes"] == len(data)
        assert row["revision"] == f"{found.st_size}-{found.st_mtime_ns}"
        assert row["error"] is None
        assert decode_path(row["uri"]) == os.fsencode(tmp_path) + b"/" + row["key"]
    assert fetch(rows) == [TREE[row["key"].decode()] for row in rows]
    assert problems == []


def test_every_file_where_asked(tmp_path: Path) -> None:
    rows, _ = records(write(tmp_path, TREE), options={"all_files": True})
    assert {row["key"] for row in rows} == {name.encode() for name in TREE}


def test_the_same_rows_from_any_fsspec_url(tmp_path: Path) -> None:
    local, _ = records(write(tmp_path, TREE))
    url = write_memory("folder", TREE)
    remote, _ = records(url)
    assert [r["key"] for r in remote] == [r["key"] for r in local]
    assert [r["image_id"] for r in remote] == [r["image_id"] for r in local]
    assert [r["size_bytes"] for r in remote] == [r["size_bytes"] for r in local]
    assert fetch(remote) == fetch(local)
    assert records(f"file://{tmp_path}")[0] == local


def test_moved_folders_keep_their_ids_and_other_sources_have_others(tmp_path: Path) -> None:
    first, _ = records(write(tmp_path / "one", TREE))
    second, _ = records(write(tmp_path / "two", TREE))
    other, _ = records(tmp_path / "one", source_name="other")
    assert [r["image_id"] for r in first] == [r["image_id"] for r in second]
    assert not {r["image_id"] for r in first} & {r["image_id"] for r in other}
    assert {r["source"] for r in other} == {"other"}


def test_labels_and_splits_from_folders(tmp_path: Path) -> None:
    names = ["train/cat/1.jpg", "train2017/2.jpg", "valid/dog/3.jpg", "test/4.jpg", "5.jpg",
             "training-set/6.jpg", "cat/train/7.jpg"]  # fmt: skip
    write(tmp_path, dict.fromkeys(names, b"x"))
    rows, _ = records(tmp_path, options={"label_from_folder": True})
    facts = {row["key"].decode(): (row["label"], row["split"]) for row in rows}
    assert facts == {
        "train/cat/1.jpg": ("cat", "train"),
        "train2017/2.jpg": (None, "train"),
        "valid/dog/3.jpg": ("dog", "val"),
        "test/4.jpg": (None, "test"),
        "5.jpg": (None, None),
        "training-set/6.jpg": ("training-set", None),
        "cat/train/7.jpg": ("train", None),
    }
    plain, _ = records(tmp_path, options={"split_from_folder": False})
    assert {(row["label"], row["split"]) for row in plain} == {(None, None)}
    told, _ = records(tmp_path, options={"split": "test"})
    assert {row["split"] for row in told} == {"test"}


def test_masks_of_the_same_name(tmp_path: Path) -> None:
    write(tmp_path, {"images/1.jpg": b"1", "images/s/2.jpg": b"2", "images/3.jpg": b"3",
                     "masks/1.png": b"m", "masks/s/2.png": b"n", "masks/9.png": b"o"})  # fmt: skip
    options = {"images": "images", "masks": "masks"}
    rows, problems = records(tmp_path, format="folder", options=options)
    masks = {row["key"].decode(): row["mask_uri"] for row in rows}
    assert masks == {
        "images/1.jpg": f"{tmp_path}/masks/1.png",
        "images/s/2.jpg": f"{tmp_path}/masks/s/2.png",
        "images/3.jpg": None,
    }
    assert problems == [
        "images/3.jpg: no mask of the same name",
        "9: a mask without an image of the same name",
    ]


def test_real_masks(shared_data: Path) -> None:
    options = {"images": "images", "masks": "masks"}
    rows, problems = records(shared_data / "person_masks", options=options)
    assert len(rows) == 100
    assert all(Path(row["mask_uri"]).stem == Path(row["uri"]).stem for row in rows)
    assert problems == []


NAME = st.binary(min_size=1, max_size=200).map(
    lambda b: b.replace(b"\0", b"0").replace(b"/", b"1") + b".jpg"
)


@given(st.lists(NAME, min_size=1, max_size=8, unique=True))
@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_any_name_round_trips(tmp_path: Path, names: list[bytes]) -> None:
    root = os.fsencode(tempfile.mkdtemp(dir=tmp_path))
    folder = names[0].replace(b".jpg", b"_d")
    os.mkdir(os.path.join(root, folder))
    paths = [*names, *(folder + b"/" + name for name in names)]
    for path in paths:
        Path(os.fsdecode(os.path.join(root, path))).write_bytes(path)
    rows, _ = records(os.fsdecode(root), format="folder")
    assert sorted(row["key"] for row in rows) == sorted(paths)
    assert fetch(rows) == [row["key"] for row in rows]


def test_names_of_255_bytes_newlines_and_bidi(tmp_path: Path) -> None:
    names = [b"n" * 251 + b".jpg", b"new\nline.jpg", "\u202egpj.exe.jpg".encode(), b"\xff\xfe.jpg"]
    for name in names:
        Path(os.fsdecode(os.fsencode(tmp_path) + b"/" + name)).write_bytes(name)
    rows, _ = records(tmp_path)
    assert sorted(row["key"] for row in rows) == sorted(names)
    assert fetch(rows) == [row["key"] for row in rows]


class _Shuffled:
    """os.scandir in another order."""

    def __init__(self, entries: Any) -> None:
        self.entries = entries

    def __enter__(self) -> Any:
        found = list(self.entries)
        random.Random(len(found)).shuffle(found)
        return iter(found)

    def __exit__(self, *_: object) -> None:
        self.entries.close()


def test_the_order_of_the_filesystem_does_not_matter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path, {f"{a}/{b}/{c}.jpg": b"" for a in range(4) for b in range(4) for c in range(9)})
    expected, _ = records(tmp_path)
    scandir = os.scandir
    monkeypatch.setattr(os, "scandir", lambda path: _Shuffled(scandir(path)))
    assert records(tmp_path)[0] == expected


@given(st.sets(st.tuples(*[st.sampled_from(["a", "a-", "a.", "b%", "é"])] * 3), max_size=30))
@settings(deadline=None)
def test_the_walk_is_in_the_order_of_uris(names: set[tuple[str, str, str]]) -> None:
    paths = {"/".join(name[: 1 + len(name[2]) % 3]).encode() + b".jpg" for name in names}

    def lister(folder: bytes) -> Listed:
        below = [path[len(folder) :] for path in paths if path.startswith(folder)]
        files = [Entry(folder + name, 0, "r") for name in below if b"/" not in name]
        return Listed(files, list({name.split(b"/")[0] for name in below if b"/" in name}))

    got = [entry.path for entry in walk(lister, threads=2, ahead=2)]
    assert got == sorted(paths, key=lambda path: encode_path(path).encode())


def test_only_a_few_folders_are_listed_ahead() -> None:
    listed: list[bytes] = []

    def lister(folder: bytes) -> Listed:
        listed.append(folder)
        if not folder:
            return Listed([], [b"%03d" % n for n in range(200)])
        return Listed([Entry(folder + b"x.jpg", 0, "r")], [])

    entries = walk(lister, threads=2, ahead=4)
    for n in range(10):
        assert next(entries).path == b"%03d/x.jpg" % n
    assert len(listed) <= 1 + 10 + 4
    entries.close()  # type: ignore[attr-defined]


def test_a_failing_listing_is_the_worlds_fault() -> None:
    def lister(folder: bytes) -> Listed:
        if folder:
            raise OSError(5, "Input/output error")
        return Listed([], [b"a", b"b"])

    with pytest.raises(OSError, match="Input/output"):
        list(walk(lister))


def test_links_are_not_followed_unless_asked(tmp_path: Path) -> None:
    root, out = tmp_path / "root", tmp_path / "out"
    write(root, {"real/a.jpg": b"a"})
    write(out, {"secret.jpg": b"s", "deep/x.jpg": b"x"})
    (root / "in.jpg").symlink_to(root / "real/a.jpg")
    (root / "out.jpg").symlink_to(out / "secret.jpg")
    (root / "outdir").symlink_to(out)
    (root / "indir").symlink_to(root / "real")
    (root / "dead.jpg").symlink_to(root / "none.jpg")
    (root / "note").symlink_to(out / "secret.jpg")

    def codes(**options: Any) -> dict[bytes, str | None]:
        rows, _ = records(root, options=options)
        contents = {
            b"real/a.jpg": b"a",
            b"in.jpg": b"a",
            b"indir/a.jpg": b"a",
            b"out.jpg": b"s",
            b"outdir/secret.jpg": b"s",
            b"outdir/deep/x.jpg": b"x",
        }
        for row, got in zip(rows, fetch(rows), strict=True):
            assert got == (row["error"] or contents[row["key"]])
        return {row["key"]: row["error"] for row in rows}

    denied = "path_denied"
    assert codes() == {
        b"real/a.jpg": None, b"in.jpg": denied, b"out.jpg": denied, b"outdir": denied,
        b"indir": denied, b"dead.jpg": denied,
    }  # fmt: skip
    assert codes(follow_symlinks=True) == {
        b"real/a.jpg": None, b"in.jpg": None, b"out.jpg": denied, b"outdir": denied,
        b"indir/a.jpg": None, b"dead.jpg": "not_found",
    }  # fmt: skip
    assert codes(follow_symlinks=True, roots=[str(out)]) == {
        b"real/a.jpg": None, b"in.jpg": None, b"out.jpg": None, b"indir/a.jpg": None,
        b"outdir/secret.jpg": None, b"outdir/deep/x.jpg": None, b"dead.jpg": "not_found",
    }  # fmt: skip


def test_loops_of_links_end(tmp_path: Path) -> None:
    write(tmp_path, {"a/1.jpg": b"1", "b/2.jpg": b"2"})
    (tmp_path / "a/up").symlink_to(tmp_path)
    (tmp_path / "a/b").symlink_to(tmp_path / "b")
    (tmp_path / "b/a").symlink_to(tmp_path / "a")
    (tmp_path / "self.jpg").symlink_to(tmp_path / "self.jpg")
    rows, _ = records(tmp_path, options={"follow_symlinks": True})
    found = {row["key"]: row["error"] for row in rows}
    assert found == {
        b"a/1.jpg": None, b"a/up": "path_denied", b"a/b/2.jpg": None, b"a/b/a": "path_denied",
        b"b/2.jpg": None, b"b/a/1.jpg": None, b"b/a/up": "path_denied", b"b/a/b": "path_denied",
        b"self.jpg": "path_denied",
    }  # fmt: skip


def test_fifos_sockets_and_folders_named_like_images(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo.jpg")
    write(tmp_path, {"folder.jpg/in.png": b"i"})
    with socket.socket(socket.AF_UNIX) as server:
        here = Path.cwd()
        os.chdir(tmp_path)  # the path of a socket must be short
        try:
            server.bind("s.png")
        finally:
            os.chdir(here)
        rows, _ = records(tmp_path)
    assert {row["key"]: row["error"] for row in rows} == {
        b"fifo.jpg": "path_denied",
        b"folder.jpg/in.png": None,
        b"s.png": "path_denied",
    }


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_unreadable_folders_are_a_row_and_a_problem(tmp_path: Path) -> None:
    write(tmp_path, {"open/1.jpg": b"1", "shut/2.jpg": b"2"})
    (tmp_path / "shut").chmod(0)
    try:
        rows, problems = records(tmp_path)
    finally:
        (tmp_path / "shut").chmod(0o755)
    assert {row["key"]: row["error"] for row in rows} == {
        b"open/1.jpg": None,
        b"shut/": "access_denied",
    }
    assert problems == ["shut/: the folder may not be read"]


def test_a_workspace_inside_the_source_is_left_out(tmp_path: Path) -> None:
    write(tmp_path, {"1.jpg": b"1", "ws/_format.json": "{}", "ws/_commits/0.json": "{}",
                     "ws/report/thumb.jpg": b"t"})  # fmt: skip
    rows, _ = records(tmp_path)
    assert [row["key"] for row in rows] == [b"1.jpg"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"label_from_foldr": True}, "did you mean 'label_from_folder'"),
        ({"all_files": "perhaps"}, "option 'all_files'"),
        ({"place": "x"}, "has no option 'place'"),
        ({"problems": 1}, "has no option 'problems'"),
    ],
)
def test_wrong_options_say_what_to_change(
    tmp_path: Path, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        open_source(str(tmp_path), format="folder", options=options)


def test_what_cannot_be_listed_is_said_before_any_work(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no such file or folder"):
        open_source(str(tmp_path / "none"))
    with pytest.raises(ConfigError, match="no such file or folder"):
        open_source("memory://nowhere/at/all")
    with pytest.raises(ConfigError, match="unknown format 'zip'"):
        open_source(str(tmp_path), format="zip")
    write(tmp_path, {"1.jpg": png(1)})
    with pytest.raises(ConfigError, match="cannot tell what this file is"):
        open_source(str(tmp_path / "1.jpg"))


def test_a_changed_memory_file_has_another_revision() -> None:
    url = write_memory("revisions", {"1.jpg": b"one"})
    before, _ = records(url)
    fsspec.filesystem("memory").pipe_file("/revisions/1.jpg", b"two")
    after, _ = records(url)
    assert before[0]["image_id"] == after[0]["image_id"]
    assert before[0]["revision"] != after[0]["revision"]
