"""How a path is written as a uri and found again, and which schemes may be read at all.

A local uri is the absolute path as text. Bytes that are not UTF-8, and the percent sign itself,
are percent-encoded, so the way back to the exact bytes is unambiguous. A remote uri is the URL as
fsspec writes it, never encoded. A row of a Parquet file is `parquet:<uri of the file>#<column>`
with the row number in `offset`.
"""

import os
import re
import urllib.parse
from dataclasses import dataclass
from typing import Any

import fsspec

from cvdata.errors import ConfigError
from cvdata.sources.https import public_https

SCHEMES = frozenset({"file", "s3", "s3a", "gs", "gcs", "abfs", "abfss", "az", "memory"})
"""What may be read without asking. `memory` is this process's own; `https` has to be asked for."""

_SCHEME = re.compile(r"^([A-Za-z][A-Za-z0-9+.-]*)://")
_ESCAPE = re.compile(rb"%([0-9A-Fa-f]{2})")
_PARQUET = "parquet:"
_AT = re.compile(r"at:([0-9]+)(?:\+([0-9]+))?:")


def scheme_of(url: str) -> str:
    """The lower-case scheme of `url`; `file` where there is none. Chained `a::b` is `a::`."""
    if "://" in url and "::" in url.split("://", 1)[0]:
        return url.split("::", 1)[0].lower() + "::"
    match = _SCHEME.match(url)
    return match[1].lower() if match else "file"


def encode_path(path: bytes) -> str:
    """Raw path bytes as text: UTF-8 stays, other bytes and `%` become `%XX`."""
    path = path.replace(b"%", b"%25")
    try:
        return path.decode()
    except UnicodeDecodeError:
        text = path.decode("utf-8", "surrogateescape")
        return "".join(f"%{ord(c) - 0xDC00:02X}" if "\udc80" <= c <= "\udcff" else c for c in text)


def decode_path(uri: str) -> bytes:
    """The inverse of `encode_path`; a leading `file://` is dropped."""
    raw = uri.removeprefix("file://").encode()
    if b"%" not in raw:
        return raw
    return _ESCAPE.sub(lambda match: bytes.fromhex(match[1].decode()), raw)


def local_path(url: str | os.PathLike[str]) -> bytes:
    """The absolute raw path of a local URL given by the operator: taken as it is, not decoded."""
    path = os.fspath(url)
    if scheme_of(path) == "file":
        path = path.removeprefix("file://")
    return os.path.abspath(os.fsencode(path))  # noqa: PTH100  pathlib cannot hold raw bytes


@dataclass(frozen=True)
class ParquetRow:
    """Where the bytes of a Parquet row lie: `file` is a uri, `column` a dotted column path."""

    file: str
    column: str

    @property
    def uri(self) -> str:
        """The uri that `parse` reads."""
        return f"{_PARQUET}{self.file}#{urllib.parse.quote(self.column, safe='')}"

    @staticmethod
    def parse(uri: str) -> "ParquetRow | None":
        """The reference in `uri`, or None where it is that of a plain file."""
        if not uri.startswith(_PARQUET):
            return None
        file, _, column = uri.removeprefix(_PARQUET).rpartition("#")
        return ParquetRow(file, urllib.parse.unquote(column))


@dataclass(frozen=True)
class Inside:
    """Where bytes lie that have no `offset` of their own, as those of masks.

    `uri` is that of the file or Parquet column; `offset` and `length` as records have them.
    """

    uri: str
    offset: int
    length: int | None = None

    @property
    def text(self) -> str:
        """The uri that `parse` reads."""
        length = "" if self.length is None else f"+{self.length}"
        return f"at:{self.offset}{length}:{self.uri}"

    @staticmethod
    def parse(uri: str) -> "Inside | None":
        """The reference in `uri`, or None where it is that of a whole file."""
        found = _AT.match(uri) if uri.startswith("at:") else None
        if found is None:
            return None
        length = None if found[2] is None else int(found[2])
        return Inside(uri[found.end() :], int(found[1]), length)


def check_scheme(url: str, schemes: frozenset[str] = SCHEMES) -> None:
    """Raise `ConfigError` where the scheme of `url` is not to be read."""
    scheme = scheme_of(url)
    if scheme not in schemes:
        hint = "; https has to be asked for (schemes)" if scheme == "https" else ""
        raise ConfigError(f"scheme {scheme!r} is not allowed, only {sorted(schemes)}{hint}")


def filesystem(url: str) -> tuple[Any, str]:
    """The fsspec filesystem of a remote `url`, without a listing cache, and the path in it."""
    if scheme_of(url) == "https":
        return public_https(), url
    try:
        # not fsspec's own parsing of URLs, which would open what `a::b` chains name
        kind = fsspec.get_filesystem_class(scheme_of(url))
        fs = kind(**kind._get_kwargs_from_urls(url), use_listings_cache=False)
    except ImportError as error:
        raise ConfigError(f"{url} needs a package that is not installed: {error}") from error
    return fs, str(fs._strip_protocol(url))


def remote_uri(fs: Any, path: str) -> str:
    """The uri of a path that `fs` listed."""
    return str(fs.unstrip_protocol(path))
