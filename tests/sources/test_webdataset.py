"""Tar shards: indexed like Python's tarfile reads them, fetched by range, never extracted."""

import io
import json
import tarfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cvdata.errors import ConfigError
from cvdata.sources.tar_index import BrokenTar, members

from .trees import fetch, png, records, tar_of, write, write_memory


def index(data: bytes) -> list[tuple[bytes, int, int, str | None]]:
    return [tuple(member) for member in members(io.BytesIO(data), len(data))]


def entry(name: str, kind: bytes, **fields: Any) -> bytes:
    info = tarfile.TarInfo(name)
    info.type = kind
    for field, value in fields.items():
        setattr(info, field, value)
    return info.tobuf(tarfile.GNU_FORMAT)


FORMATS = st.sampled_from([tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
NAMES = st.text(
    st.characters(blacklist_categories=["Cs"], blacklist_characters="\0"), min_size=1, max_size=90
).filter(lambda name: name.strip("/") == name)


@given(st.lists(st.tuples(NAMES, st.binary(max_size=1500)), max_size=6), FORMATS, st.integers(1, 3))
@settings(deadline=None)
def test_names_and_data_as_tarfile_reads_them(
    contents: list[tuple[str, bytes]], form: int, repeat: int
) -> None:
    contents = [((name + "/") * (repeat - 1) + name, data) for name, data in contents]
    try:
        data = tar_of(contents, format=form)
    except ValueError:  # ustar cannot hold every name
        return
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        expected = [(m.name.encode("utf-8", "surrogateescape"), m.offset_data, m.size) for m in tar]
    got = index(data)
    assert [member[:3] for member in got] == expected
    assert all(member[3] is None for member in got)
    assert [data[at : at + n] for _, at, n, _ in got] == [content for _, content in contents]


@given(st.binary(max_size=3000), st.integers(0, 5000), st.integers(0, 255))
@settings(deadline=None, max_examples=200)
def test_damage_ends_in_broken_tar_and_nothing_else(noise: bytes, at: int, value: int) -> None:
    whole = bytearray(tar_of([("a.jpg", b"a" * 700), ("b" * 120 + ".jpg", b"b"), ("c.cls", b"1")]))
    whole[at % len(whole)] = value
    for data in (noise, bytes(whole), bytes(whole[: at % len(whole)])):
        found = members(io.BytesIO(data), len(data))
        broken: BrokenTar | None = None
        while broken is None:
            try:
                member = next(found, None)
            except BrokenTar as error:
                broken = error
                continue
            if member is None:
                break
            assert member.denied is not None or member.offset + member.length <= len(data)
        assert broken is None or 0 <= broken.offset <= len(data)


def test_hostile_headers() -> None:
    endless = entry("x.jpg", tarfile.REGTYPE)
    base256 = bytearray(endless)
    base256[124:136] = b"\xff" * 12  # a size of -1
    base256[148:156] = b"%06o\0 " % (sum(base256) - sum(base256[148:156]) + 8 * 32)
    huge_meta = entry("././@LongLink", tarfile.GNUTYPE_LONGNAME, size=10**9)
    digits = b"9" * 5000
    pax = tarfile.TarInfo("p")
    pax.type, pax.size = tarfile.XHDTYPE, len(digits) + 10
    numbers = pax.tobuf() + (digits + b" size=1\n").ljust(5120, b"\0") + endless
    for data, message in (
        (bytes(base256) + bytes(1024), "impossible size"),
        (huge_meta + bytes(1024), "extended header of 1000000000 bytes"),
        (b"\x01" * 512, "checksum"),
    ):
        with pytest.raises(BrokenTar, match=message):
            index(data)
    assert index(numbers + bytes(1024))[0][0] == b"x.jpg"
    nested = entry("././@LongLink", tarfile.GNUTYPE_LONGNAME, size=5) + b"name\0".ljust(512, b"\0")
    assert index(nested * 3000 + endless + bytes(1024)) == [(b"name", 3000 * 1024 + 512, 0, None)]


SHARD = [
    ("train/a.jpg", b"image a"),
    ("train/a.cls", b"3\n"),
    ("train/a.txt", "ein Bild \u00e9".encode()),
    ("train/b.json", json.dumps({"label": "dog", "split": "val", "n": [1]}).encode()),
    ("train/b.png", b"image b"),
    ("c.seg.png", b"mask c"),
    ("c.jpg", b"image c"),
    ("d.txt", b"no image here"),
    ("../../etc/e.jpg", b"image e"),
    ("/abs/f.jpg", b"image f"),
    ("g.json", json.dumps({"boxes": [{"label": "x", "xyxy": [0, 1, 2, 3]}]}).encode()),
    ("g.webp", b"image g"),
]


def test_siblings_give_label_split_boxes_and_extra(tmp_path: Path) -> None:
    write(tmp_path, {"s/shard-000.tar": tar_of(SHARD)})
    rows, problems = records(tmp_path)
    assert problems == []
    found = {row["key"].removeprefix(b"s/shard-000.tar!").decode(): row for row in rows}
    assert list(found) == ["train/a.jpg", "train/b.png", "c.seg.png", "c.jpg", "../../etc/e.jpg",
                           "/abs/f.jpg", "g.webp"]  # fmt: skip
    assert found["train/a.jpg"]["label"] == "3"
    assert json.loads(found["train/a.jpg"]["extra"]) == {"txt": "ein Bild \u00e9"}
    assert (found["train/b.png"]["label"], found["train/b.png"]["split"]) == ("dog", "val")
    assert json.loads(found["train/b.png"]["extra"])["json"]["n"] == [1]
    assert found["g.webp"]["boxes"] == [{"label": "x", "xyxy": [0, 1, 2, 3]}]
    assert found["c.jpg"]["label"] is None
    contents = dict(SHARD)
    assert fetch(rows) == [contents[name] for name in found]
    for row in rows:
        assert row["uri"] == f"{tmp_path}/s/shard-000.tar"
        assert row["revision"].endswith(f":{row['offset']}+{row['length']}")
        assert row["size_bytes"] == row["length"]
    assert sorted(p.name for p in tmp_path.rglob("*")) == ["s", "shard-000.tar"]


def test_the_same_from_memory_and_from_one_file(tmp_path: Path) -> None:
    files = {"val-000.tar": tar_of(SHARD), "val-001.tar": tar_of(SHARD[:2])}
    local, _ = records(write(tmp_path, files))
    remote, _ = records(write_memory("shards", files))
    assert [r["image_id"] for r in remote] == [r["image_id"] for r in local]
    assert {r["split"] for r in local} == {"val"}
    assert fetch(remote) == fetch(local)
    one, _ = records(tmp_path / "val-001.tar")
    assert [r["image_id"] for r in one] == [r["image_id"] for r in local[7:]]


def test_repacking_moves_no_id(tmp_path: Path) -> None:
    first, _ = records(write(tmp_path, {"s.tar": tar_of([("a.jpg", b"a"), ("b.jpg", b"b")])}))
    write(tmp_path, {"s.tar": tar_of([("new.jpg", b"n"), ("b.jpg", b"b"), ("a.jpg", b"a")])})
    second, _ = records(tmp_path)
    assert {r["image_id"] for r in first} < {r["image_id"] for r in second}


def test_a_name_twice_is_a_row_of_its_own(tmp_path: Path) -> None:
    shard = tar_of([("a.jpg", b"1"), ("b.jpg", b"2"), ("a.jpg", b"3"), ("a.jpg", b"4")])
    rows, _ = records(write(tmp_path, {"s.tar": shard}))
    assert [(r["key"], r["error"]) for r in rows] == [
        (b"s.tar!a.jpg", None), (b"s.tar!b.jpg", None),
        (b"s.tar!a.jpg#2", "duplicate_key"), (b"s.tar!a.jpg#3", "duplicate_key"),
    ]  # fmt: skip
    assert fetch(rows) == [b"1", b"2", "duplicate_key", "duplicate_key"]


def test_links_devices_and_sparse_files_are_denied(tmp_path: Path) -> None:
    kinds = {
        "hard.jpg": tarfile.LNKTYPE, "soft.jpg": tarfile.SYMTYPE, "char.jpg": tarfile.CHRTYPE,
        "block.jpg": tarfile.BLKTYPE, "fifo.jpg": tarfile.FIFOTYPE, "odd.jpg": b"Z",
    }  # fmt: skip
    data = b"".join(entry(n, k, linkname="/etc/passwd") for n, k in kinds.items())
    data += entry("folder.jpg", tarfile.DIRTYPE) + tar_of([("ok.jpg", b"ok")])
    rows, _ = records(write(tmp_path, {"s.tar": data}))
    assert fetch(rows) == ["archive_denied"] * len(kinds) + [b"ok"]
    assert [r["key"] for r in rows[:-1]] == [b"s.tar!" + name.encode() for name in kinds]


def test_a_truncated_shard_gives_what_can_be_indexed(tmp_path: Path) -> None:
    whole = tar_of([("a.jpg", b"a" * 600), ("b.jpg", b"b" * 600), ("c.jpg", b"c" * 600)])
    rows, problems = records(write(tmp_path, {"s.tar": whole[: 512 + 1024 + 512 + 100]}))
    assert [(r["key"], r["error"]) for r in rows] == [
        (b"s.tar!a.jpg", None),
        (b"s.tar!b.jpg", "archive_denied"),
        (b"s.tar!@1536", "archive_denied"),
    ]
    assert problems == ["s.tar: byte 1536: the archive ends inside a member"]
    assert fetch(rows)[0] == b"a" * 600
    rows, problems = records(write(tmp_path, {"s.tar": b"no tar at all" * 100}))
    assert [r["error"] for r in rows] == ["archive_denied"]
    assert problems == ["s.tar: byte 0: not a tar header: its checksum is wrong"]


def test_malformed_siblings_are_named_and_the_image_stays(tmp_path: Path) -> None:
    contents = [
        ("a.jpg", b"a"), ("a.json", b'{\n"label": }'),
        ("b.jpg", b"b"), ("b.cls", b"\xff\xfe"),
        ("c.jpg", b"c"), ("c.json", b'{"label": [1], "boxes": [{"xyxy": [1, 2]}]}'),
        ("d.jpg", b"d"), ("d.json", b"[" * 100_000),
        ("e.jpg", b"e"), ("e.txt", b" " * (4 * 1024 * 1024 + 1)),
    ]  # fmt: skip
    rows, problems = records(write(tmp_path, {"s.tar": tar_of(contents)}))
    assert fetch(rows) == [b"a", b"b", b"c", b"d", b"e"]
    assert [problem.split(": ")[0] for problem in problems] == [
        "s.tar!a.json:2", "s.tar!b.cls", "s.tar!c.json", "s.tar!c.json", "s.tar!d.json",
        "s.tar!e.txt",
    ]  # fmt: skip


def test_compressed_shards_are_refused_with_what_to_do(tmp_path: Path) -> None:
    import gzip

    squeezed = gzip.compress(tar_of([("a.jpg", b"a")]))
    with pytest.raises(ConfigError, match="decompress the shards first"):
        records(write(tmp_path / "one", {"s.tar.gz": squeezed}))
    rows, problems = records(write(tmp_path / "two", {"s.tar": squeezed}))
    assert [r["error"] for r in rows] == ["archive_denied"]
    assert "compressed with gzip" in problems[0]
    with pytest.raises(ConfigError, match=r"no \.tar files"):
        records(write(tmp_path / "three", {"a.jpg": b"a"}), format="webdataset")


def test_split_options(tmp_path: Path) -> None:
    write(tmp_path, {"train/x.tar": tar_of([("a.jpg", png(1))]), "y.tar": tar_of([("b.jpg", b"")])})
    assert {r["key"]: r["split"] for r in records(tmp_path)[0]} == {
        b"train/x.tar!a.jpg": "train", b"y.tar!b.jpg": None,
    }  # fmt: skip
    rows, _ = records(tmp_path, options={"split": "test", "all_files": True})
    assert {r["split"] for r in rows} == {"test"}
