"""Paths as uris and back: exact for any bytes, in the order of the bytes shown."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cvdata.errors import ConfigError
from cvdata.sources import open_source
from cvdata.sources.uris import ParquetRow, decode_path, encode_path, scheme_of

NAMES = st.binary(min_size=1, max_size=255).map(lambda b: b.replace(b"\0", b"_"))


@given(NAMES)
def test_any_path_comes_back_to_the_byte(path: bytes) -> None:
    path = b"/" + path
    uri = encode_path(path)
    assert decode_path(uri) == path
    assert uri.encode().isascii() or uri.encode("utf-8")  # valid text, no lone surrogates


@given(st.text().filter(lambda t: "%" not in t and "\0" not in t))
def test_utf8_paths_stay_as_they_are(text: str) -> None:
    try:
        raw = ("/" + text).encode()
    except UnicodeEncodeError:
        return
    assert encode_path(raw) == "/" + text


@given(NAMES, NAMES)
def test_two_paths_never_share_a_uri(a: bytes, b: bytes) -> None:
    assert (encode_path(a) == encode_path(b)) == (a == b)


def test_the_encoding_is_percent() -> None:
    assert encode_path(b"/a\xff/50%.jpg") == "/a%FF/50%25.jpg"
    assert encode_path("/é\n\u202e.jpg".encode()) == "/é\n\u202e.jpg"


@given(st.text(min_size=1).filter(lambda t: t.isprintable()), st.text(min_size=1))
def test_parquet_rows_keep_file_and_column(file: str, column: str) -> None:
    try:
        column.encode()
    except UnicodeEncodeError:
        return
    row = ParquetRow(file, column)
    assert ParquetRow.parse(row.uri) == row
    assert ParquetRow.parse("/plain/parquet.jpg") is None


@pytest.mark.parametrize(
    "url",
    ["https://example.com/x", "http://example.com/x", "ftp://h/x", "ssh://h/x", "github://a:b@/x",
     "filecache::s3://b/x", "simplecache::https://h/x", "zip://a::file:///b.zip", "jar://x",
     "data://x", "reference://x", "smb://h/x", "gopher://x"],
)  # fmt: skip
def test_other_schemes_are_refused_before_anything_is_opened(url: str) -> None:
    with pytest.raises(ConfigError, match="is not allowed"):
        open_source(url)


@pytest.mark.parametrize(
    ("url", "scheme"),
    [("/a/b", "file"), ("a:b/c", "file"), ("s3://b/k", "s3"), ("S3://b/k", "s3"),
     ("file:///x", "file"), ("/a/http://x", "file"), ("a::s3://b", "a::"), ("a::b", "file")],
)  # fmt: skip
def test_schemes(url: str, scheme: str) -> None:
    assert scheme_of(url) == scheme
