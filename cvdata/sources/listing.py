"""Every entry below a folder, in the order of its uri, listed in parallel, in bounded memory.

Folders ahead in that order are listed by threads while those before them are handed out, so that
what is held is the listing of a few folders, however many there are.
"""

import os
from bisect import bisect_left
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from operator import attrgetter
from typing import NamedTuple, Protocol

from cvdata.errors import ErrorCode
from cvdata.sources.uris import encode_path

AHEAD = 8
"""Folders listed ahead."""


class Entry(NamedTuple):
    """One file as listed. `path` is relative to the root, raw; `error` where it is not to be read.

    `target` is the uri to read instead of the path's own: where a followed link leads.
    """

    path: bytes
    size_bytes: int
    revision: str
    error: ErrorCode | None = None
    detail: str | None = None
    target: str | None = None


class Listed(NamedTuple):
    """The content of one folder: its files, and the names of the folders in it."""

    files: list[Entry]
    folders: list[bytes]


class Lister(Protocol):
    """Lists one folder, given by its path below the root with a final slash (b"" is the root)."""

    def __call__(self, folder: bytes) -> Listed:
        """The entries of `folder`, in any order."""
        ...


@dataclass
class _Pending:
    """A folder that is to be listed; `future` once a thread was asked to."""

    folder: bytes
    future: "Future[list[_Segment]] | None" = None


_Segment = list[Entry] | _Pending


def walk(lister: Lister, *, threads: int = 4, ahead: int = AHEAD) -> Iterator[Entry]:
    """Every entry below the root, sorted by the bytes of its encoded path."""
    pool = ThreadPoolExecutor(threads, thread_name_prefix="list")
    with closing(_Pool(pool)):
        frontier: deque[_Segment] = deque([_Pending(b"")])
        while frontier:
            _ask_ahead(frontier, lister, pool, ahead)
            segment = frontier.popleft()
            if isinstance(segment, _Pending):
                assert segment.future is not None  # noqa: S101  the first pending one is asked for
                frontier.extendleft(reversed(segment.future.result()))
            else:
                yield from segment


class _Pool:
    def __init__(self, pool: ThreadPoolExecutor) -> None:
        self.pool = pool

    def close(self) -> None:
        self.pool.shutdown(wait=True, cancel_futures=True)


def _ask_ahead(
    frontier: deque[_Segment], lister: Lister, pool: ThreadPoolExecutor, ahead: int
) -> None:
    asked = 0
    for segment in frontier:
        if asked >= ahead:
            return
        if isinstance(segment, _Pending):
            asked += 1
            if segment.future is None:
                segment.future = pool.submit(_segments, lister, segment.folder)


def _segments(lister: Lister, folder: bytes) -> list[_Segment]:
    """Runs of files and the folders between them, in order; a folder sorts as `name/`."""
    listed = lister(folder)
    order = _order(listed, folder)
    files = sorted(listed.files, key=order)
    folders = sorted((Entry(folder + n + b"/", 0, "") for n in listed.folders), key=order)
    starts = [order(file) for file in files] if folders else []
    segments: list[_Segment] = []
    done = 0
    for found in folders:
        at = bisect_left(starts, order(found), done)
        segments += [files[done:at]] * (at > done)
        segments.append(_Pending(found.path))
        done = at
    segments += [files[done:]] * (done < len(files))
    return segments


def _order(listed: Listed, folder: bytes) -> Callable[[Entry], bytes]:
    """What to sort by: the path itself where its uri is the same."""
    joined = b"".join([folder, *listed.folders, *(entry.path for entry in listed.files)])
    if joined.isascii() and b"%" not in joined:
        return _BY_PATH
    return lambda entry: encode_path(entry.path).encode()


_BY_PATH: Callable[[Entry], bytes] = attrgetter("path")


def revision_of(size_bytes: int, mtime_ns: int) -> str:
    """The change token of a local file."""
    return f"{size_bytes}-{mtime_ns}"


def parts(path: bytes) -> list[bytes]:
    """The components of a relative path."""
    return [part for part in path.split(b"/") if part]


def extension(path: bytes) -> bytes:
    """Lower-case extension without the dot; b"" where there is none."""
    start, dot, end = path.rpartition(b".")
    return b"" if not dot or not start or b"/" in end or start[-1:] == b"/" else end.lower()


def stem(path: bytes) -> bytes:
    """The path without its extension."""
    folder, slash, name = path.rpartition(b"/")
    start, dot, _ = name.rpartition(b".")
    return folder + slash + (start if dot and start else name)


def display(path: bytes) -> str:
    """A path for messages: never undecodable."""
    return os.fsdecode(path).encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
