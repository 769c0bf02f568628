"""Names from anybody's keys and labels: safe, told apart, always the same."""

import re
import unicodedata
from pathlib import PurePosixPath, PureWindowsPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cvdata.sinks.names import (
    MAX_NAME_BYTES,
    extension_of,
    folded,
    folder_names,
    safe_name,
    stem_of,
    told_apart,
)

HOSTILE = [
    b"../../etc/passwd",
    b"..",
    b".",
    b"",
    b"/",
    b"//",
    b"/etc/passwd.jpg",
    b"..\\..\\windows.png",
    b"C:\\x.png",
    b"-rf.jpg",
    b".hidden.jpg",
    b"a\0b.jpg",
    b"a\nb.jpg",
    b"\xff\xfe.jpg",
    b"nul.jpg",
    b"COM1",
    b"con.tar.png",
    b"x" * 5000 + b".jpg",
    ("é" * 300).encode() + b".jpg",
    b"a.jpg/../b.jpg",
    "a\u202egpj.exe".encode(),
    b"a~0123456789abcdef0123456789abcdef.jpg",
    b"%2e%2e.jpg",
    b"trailing. .jpg",
    b"__pycache__",
    b"shard.tar!../../x.jpg",
]
KEYS = st.one_of(st.sampled_from(HOSTILE), st.binary(max_size=300))


def _is_safe(name: str) -> bool:
    return (
        0 < len(name.encode()) <= MAX_NAME_BYTES + 3
        and PurePosixPath(name).name == name
        and PureWindowsPath(name).name == name
        and not PureWindowsPath(name).is_reserved()
        and name.isprintable()
        and name[0] not in ".- "
        and name[-1] not in ". "
        and not set('\\/:*?"<>|~\0') & set(name)
    )


@given(KEYS)
def test_a_name_is_safe_everywhere(raw: bytes) -> None:
    name, _ = safe_name(raw)
    assert _is_safe(name)


@given(st.text(max_size=300))
def test_a_label_is_a_safe_folder(label: str) -> None:
    name, _ = safe_name(label)
    assert _is_safe(name)


@given(st.binary(max_size=40), st.binary(max_size=40))
def test_two_names_never_become_one(a: bytes, b: bytes) -> None:
    (safe_a, cut_a), (safe_b, cut_b) = safe_name(a), safe_name(b)
    if a != b and not (cut_a or cut_b):
        assert safe_a != safe_b


@given(st.binary(max_size=60))
def test_a_name_that_was_not_cut_can_be_undone(raw: bytes) -> None:
    safe, was_cut = safe_name(raw)
    if raw and not was_cut:
        encoded = re.sub(rb"%([0-9A-F]{2})", lambda m: bytes.fromhex(m[1].decode()), safe.encode())
        assert encoded == raw


@given(KEYS, st.sampled_from(["name", "path"]), st.booleans(), st.sampled_from(["", ".", " "]))
def test_a_stem_stays_inside_the_target(
    key: bytes, style: str, is_member: bool, unsafe: str
) -> None:
    stem, _ = stem_of(key, style, is_member=is_member, unsafe=unsafe)
    parts = stem.split("/")
    assert all(_is_safe(part) for part in parts)
    assert style == "path" or len(parts) == 1
    assert not unsafe or unsafe not in stem
    assert stem_of(key, style, is_member=is_member, unsafe=unsafe)[0] == stem
    assert len(f"{told_apart(parts[-1], bytes(16))}.jpeg".encode()) <= 255


@given(st.sets(KEYS, max_size=30))
def test_what_needs_no_id_is_never_what_has_one(keys: set[bytes]) -> None:
    """A hostile key cannot take the name that another image's id gives."""
    for key in keys:
        stem, _ = stem_of(key, "name", is_member=False)
        assert "~" not in stem


@given(st.sets(st.text(max_size=40), max_size=20))
def test_labels_have_folders_of_their_own(labels: set[str]) -> None:
    found = folder_names(labels)
    assert set(found) == labels
    lowered = [unicodedata.normalize("NFC", name).casefold() for name in found.values()]
    assert len(set(lowered)) == len(labels)
    assert folder_names(sorted(labels, reverse=True)) == found


def test_plain_names_stay() -> None:
    assert stem_of(b"train/n01_12.JPEG", "name", is_member=False) == ("n01_12", False)
    assert stem_of(b"a/b c/d.v2.png", "path", is_member=False) == ("a/b c/d.v2", False)
    assert stem_of(b"s-000.tar!x/01.jpg", "name", is_member=True) == ("01", False)
    assert stem_of("ж/ü.png".encode(), "path", is_member=False) == ("ж/ü", False)
    assert extension_of(b"a/b.JPEG") == "JPEG"
    assert extension_of(b"row#7") == ""
    assert folder_names(["cat", "tabby cat"]) == {"cat": "cat", "tabby cat": "tabby cat"}


@pytest.mark.parametrize(("a", "b"), [("Cat", "cat"), ("straße", "STRASSE"), ("e\u0301", "\u00e9")])
def test_labels_that_a_file_system_takes_for_one_are_told_apart(a: str, b: str) -> None:
    assert folded(a) == folded(b)
    found = folder_names([a, b])
    assert folded(found[a]) != folded(found[b])
    assert all("~" in name for name in found.values())


def test_a_folder_is_never_called_like_a_file() -> None:
    """Keys `a.jpg` and `a.jpg/b.png` may stand beside each other in a source, not in a folder."""
    file, _ = stem_of(b"a.jpg", "path", is_member=False)
    inside, _ = stem_of(b"a.jpg/b.png", "path", is_member=False)
    assert f"{file}.jpg" not in inside
