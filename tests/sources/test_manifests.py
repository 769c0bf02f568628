"""CSV and JSON Lines: rows to records, bad rows by file and line, nothing out of bounds."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cvdata.errors import ConfigError

from .trees import fetch, records, write, write_memory

FILES: dict[str, bytes | str] = {
    "i/b.jpg": b"b",
    "i/a.jpg": b"a",
    "c, d.png": b"c",
    "m/a.png": b"m",
}
ROWS: list[dict[str, Any]] = [
    {"path": "i/b.jpg", "label": "dog", "split": "val", "id": "1", "mask": "m/a.png", "n": "x"},
    {"path": "./i/a.jpg", "label": "cat", "split": "", "id": "2", "mask": "", "n": "y\nz"},
    {"path": "c, d.png", "label": "", "split": "", "id": "3", "mask": "", "n": ""},
]


def as_csv(rows: list[dict[str, Any]]) -> str:
    def quoted(value: Any) -> str:
        return '"' + str(value).replace('"', '""') + '"'

    names = list(rows[0])
    return "\r\n".join(
        ",".join(map(quoted, line)) for line in [names, *([r[n] for n in names] for r in rows)]
    )


def as_jsonl(rows: list[dict[str, Any]]) -> str:
    return "\n".join(json.dumps(row) for row in rows)


@pytest.mark.parametrize(("name", "text"), [("m.csv", as_csv(ROWS)), ("m.jsonl", as_jsonl(ROWS))])
def test_rows_become_records(tmp_path: Path, name: str, text: str) -> None:
    write(tmp_path, {**FILES, name: text})
    options = {"mask": "mask", "extra": "n", "split": "train"}
    rows, problems = records(tmp_path / name, options=options)
    assert problems == []
    facts = {r["key"].decode(): (r["label"], r["split"], r["mask_uri"]) for r in rows}
    assert facts == {
        "i/b.jpg": ("dog", "val", f"{tmp_path}/m/a.png"),
        "i/a.jpg": ("cat", "train", None),
        "c, d.png": (None, "train", None),
    }
    extras = {row["key"]: json.loads(row["extra"])["n"] for row in rows}
    assert extras[b"i/a.jpg"] == "y\nz"
    assert fetch(rows) == [FILES[row["key"].decode()] for row in rows]
    url = write_memory(f"manifest-{name}", {**FILES, name: text})
    remote, _ = records(f"{url}/{name}", options=options)
    assert [(r["key"], r["label"], r["split"]) for r in remote] == [
        (r["key"], r["label"], r["split"]) for r in rows
    ]
    assert fetch(remote) == fetch(rows)
    named, _ = records(tmp_path / name, options={"id": "id"})
    assert {row["key"] for row in named} == {b"1", b"2", b"3"}
    folder, _ = records(tmp_path / "i")
    assert len({r["image_id"] for r in rows} | {r["image_id"] for r in folder}) == 5


def test_the_same_file_has_the_same_id_as_in_its_folder(tmp_path: Path) -> None:
    write(tmp_path, {"i/a.jpg": b"a", "m.csv": "path\ni/a.jpg\n"})
    assert records(tmp_path, format="folder")[0] == records(tmp_path / "m.csv")[0]


def test_malformed_csv_rows_by_line(tmp_path: Path) -> None:
    text = (
        "path,label,boxes\n"  # 1
        "a.jpg,x,\n"
        ",y,\n"  # 3: no path
        "b.jpg\n"  # 4: too few columns
        '"c\n.jpg",z,\n'  # 5, 6: over two lines
        "none.jpg,q,\n"  # 7: not there
        'd.jpg,w,"[{""xyxy"": [1, 2, NaN, 4]}, {""xyxy"": [0, 0, 2, 2]}]"\n'  # 8
        "d.jpg,again,not json\n"  # 9: malformed, and a key twice
        "e.jpg,v,,too,many\n"  # 10
        "bad\0name.jpg,,\n"  # 11
        'f.jpg,"open'  # 12: a quote that never closes
    )
    names = ["a.jpg", "b.jpg", "c\n.jpg", "d.jpg", "e.jpg"]
    write(tmp_path, {"m.csv": text, **{name: name.encode() for name in names}})
    rows, problems = records(tmp_path / "m.csv", options={"boxes": "boxes"})
    assert [(p.split(": ")[0], p.split(": ", 1)[1][:24]) for p in problems] == [
        ("m.csv:3", "column 'path': no value"),
        ("m.csv:4", "1 columns where 3 were n"),
        ("m.csv:7", f"{tmp_path}/none.jpg"[:24]),
        ("m.csv:8", "box 1: a number that is "),
        ("m.csv:9", "boxes are not JSON: Expe"),
        ("m.csv:10", "5 columns where 3 were n"),
        ("m.csv:11", "column 'path': a NUL byt"),
        ("m.csv:12", "unexpected end of data"),
    ]
    got = {row["key"].decode(): row["error"] for row in rows}
    assert got == dict.fromkeys(names) | {"none.jpg": "not_found", "d.jpg#2": "duplicate_key"}
    boxes = {row["key"]: row["boxes"] for row in rows}
    assert boxes[b"d.jpg"] == [{"label": None, "xyxy": [0, 0, 2, 2]}]


def test_malformed_json_lines_by_line(tmp_path: Path) -> None:
    lines = [
        '{"path": "a.jpg", "label": 3}',
        '{"path": "b.jpg", "label": ',
        "[1]",
        '{"path": 7}',
        "",
        '{"path": "c.jpg", "label": [1], "split": true, "boxes": {"no": "list"}}',
        '{"label": "no path"}',
        '{"path": "d.jpg", "label": NaN}',
        "[" * 100_000,
        '{"path": "\\ud800.jpg"}',
        '{"path": "e.jpg", "boxes": [{"label": 5, "xyxy": [3, 0, 1, 1]}, 9]}',
    ]
    write(tmp_path, {"m.jsonl": "\n".join(lines), **{f"{n}.jpg": n for n in "abcde"}})
    rows, problems = records(tmp_path / "m.jsonl")
    assert [(r["key"], r["label"]) for r in rows] == [
        (b"a.jpg", "3"), (b"c.jpg", None), (b"d.jpg", None), (b"e.jpg", None),
    ]  # fmt: skip
    assert rows[3]["boxes"] == [{"label": "5", "xyxy": [3, 0, 1, 1]}]
    assert [problem.split(": ")[0] for problem in problems] == [
        f"m.jsonl:{n}" for n in (2, 3, 4, 6, 6, 7, 8, 9, 10, 11, 11)
    ]


def test_a_manifest_cannot_lead_out_of_its_folder(tmp_path: Path) -> None:
    root = write(tmp_path / "root", {"in.jpg": b"in", "sub/x.jpg": b"x"})
    out = write(tmp_path / "root-not", {"secret.jpg": b"secret"})
    (root / "link").symlink_to(out)
    (root / "file.jpg").symlink_to(out / "secret.jpg")
    (root / "alias.jpg").symlink_to(root / "in.jpg")
    (root / "folder.jpg").mkdir()
    lines = {
        "in.jpg": None, "sub/../in.jpg?": "not_found", f"{root}/sub/x.jpg": None,
        f"file://{root}/sub/%78.jpg#": "not_found", "../root-not/secret.jpg": "path_denied",
        f"{out}/secret.jpg": "duplicate_key", f"file://{out}/secret.jpg": "duplicate_key",
        "link/secret.jpg": "path_denied", "file.jpg": "path_denied", "alias.jpg": None,
        "/etc/passwd": "path_denied", "s3://bucket/x.jpg": "path_denied",
        "http://169.254.169.254/x": "path_denied", "folder.jpg": "path_denied",
        "x.jpg/" + "y" * 300: "not_found",
    }  # fmt: skip
    write(root, {"m.csv": "path\n" + "\n".join(lines)})
    rows, _ = records(root / "m.csv")
    assert len(rows) == len(lines)
    assert sorted(str(r["error"]) for r in rows) == sorted(map(str, lines.values()))
    for row, got in zip(rows, fetch(rows), strict=True):
        assert got == row["error"] or got in (b"in", b"x")
    allowed, _ = records(root / "m.csv", options={"roots": [str(out)]})
    assert sum(got == b"secret" for got in fetch(allowed)) == 3


def test_a_manifest_that_lies_apart_from_its_images_says_what_to_do(tmp_path: Path) -> None:
    write(tmp_path / "images", {"a.jpg": b"a", "b.jpg": b"b"})
    text = f"path\n{tmp_path}/images/b.jpg\n{tmp_path}/images/a.jpg\n"
    write(tmp_path / "lists", {"m.csv": text})
    with pytest.raises(ConfigError, match="name where they lie in the option roots"):
        records(tmp_path / "lists/m.csv")
    rows, _ = records(tmp_path / "lists/m.csv", options={"roots": f"{tmp_path}/images"})
    assert fetch(rows) == [b"a", b"b"]


def test_remote_manifests_stay_in_their_folder_too() -> None:
    lines = ["a.jpg", "../other/s.jpg", "memory:///other/t.jpg", "/etc/passwd", "sub/../a.jpg",
             "file:///etc/shadow", "memory:///jail/../other/x.jpg::file:///etc/passwd"]  # fmt: skip
    text = "path\n" + "\n".join(lines)
    url = write_memory("jail", {"m.csv": text, "a.jpg": b"a"})
    write_memory("other", {"s.jpg": b"s"})
    rows, _ = records(f"{url}/m.csv")
    errors = ["None", "duplicate_key", *["path_denied"] * 5]
    assert sorted(str(r["error"]) for r in rows) == errors
    rows, _ = records(f"{url}/m.csv", options={"roots": "memory:///other"})
    assert sum(got == b"s" for got in fetch(rows)) == 1
    assert sum(got == b"a" for got in fetch(rows)) == 1


@pytest.mark.parametrize(
    ("name", "text", "options", "message"),
    [
        ("m.csv", "", {}, "header is missing"),
        ("m.csv", "a,b,a\n1,2,3\n", {}, "names columns twice"),
        ("m.csv", "foo,bar\n1,2\n", {}, "which column names the images"),
        ("m.csv", "path,bar\n1,2\n", {"label": "class"}, "no column 'class'"),
        ("m.csv", "path,bar\n1,2\n", {"id": "key"}, "no column 'key'"),
        ("m.jsonl", '{"a": 1}\n', {}, "which field names the images"),
    ],
)
def test_columns_that_cannot_be_meant(
    tmp_path: Path, name: str, text: str, options: dict[str, Any], message: str
) -> None:
    write(tmp_path, {name: text})
    with pytest.raises(ConfigError, match=message):
        records(tmp_path / name, options=options)


NAMES = st.text(
    st.characters(blacklist_categories=["Cs"], blacklist_characters="\0/"), min_size=1, max_size=40
).filter(lambda name: name not in (".", "..") and "://" not in name)


@given(st.lists(NAMES, min_size=1, max_size=5, unique=True))
@settings(
    deadline=None, max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_any_path_round_trips_through_both(tmp_path: Path, names: list[str]) -> None:
    rows = [{"path": name} for name in names]
    for manifest, text in (("m.csv", as_csv(rows)), ("m.jsonl", as_jsonl(rows))):
        write(tmp_path / "d", {name: name for name in names})
        write(tmp_path / "d", {manifest: text})
        found, _ = records(tmp_path / "d" / manifest)
        assert {row["key"].decode() for row in found} == set(names)
        assert all(row["error"] is None for row in found)


def test_paths_that_are_not_utf8(tmp_path: Path) -> None:
    name = b"caf\xe9.jpg"
    with open(bytes(tmp_path) + b"/" + name, "wb") as file:  # noqa: PTH123  raw bytes
        file.write(b"x")
    (tmp_path / "m.csv").write_bytes(b"path,label\n" + name + b",caf\xe9\n")
    (tmp_path / "m.jsonl").write_bytes(b'{"path": "' + name + b'"}')
    for manifest in ("m.csv", "m.jsonl"):
        rows, _ = records(tmp_path / manifest)
        assert rows[0]["key"] == name
        assert fetch(rows) == [b"x"]
    assert records(tmp_path / "m.csv")[0][0]["label"] == "caf\\xe9"


def test_tsv_and_delimiters(tmp_path: Path) -> None:
    write(tmp_path, {"a,b.jpg": b"x", "m.tsv": "path\tlabel\na,b.jpg\tq\n",
                     "m.csv": "path;label\na,b.jpg;q\n"})  # fmt: skip
    assert records(tmp_path / "m.tsv")[0][0]["label"] == "q"
    assert records(tmp_path / "m.csv", options={"delimiter": ";"})[0][0]["label"] == "q"
    write(tmp_path, {"t.csv": "path\tlabel\na,b.jpg\tt\n"})
    assert records(tmp_path / "t.csv", options={"delimiter": "tab"})[0][0]["label"] == "t"
    with pytest.raises(ConfigError, match="one character"):
        records(tmp_path / "m.csv", options={"delimiter": ";;"})
