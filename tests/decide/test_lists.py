"""A user's lists: ids, keys, uris, paths; a line that names nothing is an error."""

from pathlib import Path

import pyarrow as pa
import pytest

from cvdata.decide.lists import NameList, refuse_unmatched
from cvdata.errors import ConfigError
from cvdata.schema import RECORDS, image_id

KEYS = [b"a/1.jpg", b"b/2.jpg", b"c/\xff.jpg", b"d e.png"]


def records(root: Path) -> pa.Table:
    uris = [f"{root}/a/1.jpg", "s3://bucket/b/2.jpg", f"{root}/c/%FF.jpg", f"{root}/d e.png"]
    return pa.table(
        {
            "image_id": pa.array([image_id("s", k) for k in KEYS], RECORDS.field("image_id").type),
            "key": pa.array(KEYS, pa.binary()),
            "uri": pa.array(uris),
        }
    )


def names(path: Path, *lines: str) -> NameList:
    path.write_text("\n".join(lines))
    return NameList.read(str(path))


def test_each_way_to_name_an_image(tmp_path: Path) -> None:
    rows = records(tmp_path)
    ways = {
        image_id("s", KEYS[0]).hex(): 0,
        image_id("s", KEYS[2]).hex().upper(): 2,
        "a/1.jpg": 0,
        f"{tmp_path}/a/1.jpg": 0,
        f"file://{tmp_path}/d e.png": 3,
        "s3://bucket/b/2.jpg": 1,
        "d e.png": 3,
    }
    for line, row in ways.items():
        named, used = names(tmp_path / "list", line).match(rows)
        assert named.nonzero()[0].tolist() == [row], line
        assert used == {0}


def test_a_relative_path_of_this_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "1.jpg").touch()
    monkeypatch.chdir(tmp_path / "a")
    named, _ = names(tmp_path / "list", "1.jpg").match(records(tmp_path))
    assert named.tolist() == [True, False, False, False]


def test_comments_and_doubles_do_not_count(tmp_path: Path) -> None:
    lines = names(tmp_path / "list", "# mine", "", " a/1.jpg ", "a/1.jpg", "b/2.jpg")
    assert lines.lines == ("a/1.jpg", "b/2.jpg")
    assert NameList.read(None).lines == ()


def test_a_list_that_names_nothing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="names no image"):
        names(tmp_path / "list", "# nothing")
    with pytest.raises(ConfigError, match="cannot read"):
        NameList.read(str(tmp_path / "absent"))
    lines = names(tmp_path / "list", "a/1.jpg", "a/l.jpg")
    _, used = lines.match(records(tmp_path))
    with pytest.raises(ConfigError, match=r"1 lines .* a/l\.jpg"):
        refuse_unmatched(lines, used)
