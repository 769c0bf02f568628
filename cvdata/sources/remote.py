"""Listing a folder of an object store or any other fsspec filesystem."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from cvdata.errors import ErrorCode
from cvdata.retry import Retry
from cvdata.sources.listing import Entry, Listed

_TAGS = ("ETag", "etag", "md5", "md5Hash", "version", "generation")
_TIMES = ("mtime", "LastModified", "last_modified", "updated", "modified", "created")


def remote_revision(info: dict[str, Any]) -> str:
    """The change token in what a store says of a file: its etag, else size and time."""
    for tag in _TAGS:
        if info.get(tag):
            return str(info[tag]).strip('"')
    for name in _TIMES:
        if info.get(name):
            return f"{info.get('size')}-{_microseconds(info[name])}"
    return str(info.get("size"))


def _microseconds(time: Any) -> str:
    """A time as stores give it: the same whether it came as a number or as a datetime."""
    if isinstance(time, datetime):
        time = (time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp()
    return str(round(time * 1e6)) if isinstance(time, int | float) else str(time)


@dataclass
class RemoteLister:
    """Lists folders below `root` of `fs`. Files whose name is not `wanted` are left out."""

    fs: Any
    root: str
    wanted: Callable[[bytes], bool]
    retry: Retry = field(default_factory=Retry)

    def __call__(self, folder: bytes) -> Listed:
        """The entries of one folder."""
        path = f"{self.root.rstrip('/')}/{folder.decode()}".rstrip("/") or self.root
        listed = Listed([], [])
        for info in self._ls(path):
            full = str(info["name"]).rstrip("/")
            name = full.rpartition("/")[2].encode()
            if full.strip("/") == path.strip("/"):
                continue  # the marker object of a folder
            if info.get("type") == "directory":
                listed.folders.append(name)
            elif self.wanted(name):
                listed.files.append(_entry(folder + name, info))
        return listed

    def _ls(self, path: str) -> list[dict[str, Any]]:
        try:
            return list(self.retry.call(f"listing {path}", lambda: self.fs.ls(path, detail=True)))
        except FileNotFoundError:
            return []


def _entry(path: bytes, info: dict[str, Any]) -> Entry:
    if info.get("type") != "file":
        kind = str(info.get("type"))
        return Entry(path, 0, "special", ErrorCode.PATH_DENIED, f"not a file but a {kind}")
    return Entry(path, int(info.get("size") or 0), remote_revision(info))
