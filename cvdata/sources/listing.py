"""Every entry below a folder, in the order of its uri, listed in parallel, in bounded memory.

Folders ahead in that order are listed by threads while those before them are handed out, so that
what is held is the listing of a few folders, however many there are.
"""

import os
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
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
    entries: list[tuple[bytes, Entry | bytes]] = [(e.path, e) for e in listed.files]
    entries += [(folder + name + b"/", folder + name + b"/") for name in listed.folders]
    entries.sort(key=_sort_key(entries))
    segments: list[_Segment] = []
    for _, entry in entries:
        if isinstance(entry, bytes):
            segments.append(_Pending(entry))
        elif segments and isinstance(segments[-1], list):
            segments[-1].append(entry)
        else:
            segments.append([entry])
    return segments


def _sort_key(
    entries: list[tuple[bytes, Entry | bytes]],
) -> Callable[[tuple[bytes, Entry | bytes]], bytes]:
    joined = b"/".join(path for path, _ in entries)
    try:
        joined.decode()
        is_plain = b"%" not in joined
    except UnicodeDecodeError:
        is_plain = False
    if is_plain:
        return lambda pair: pair[0]
    return lambda pair: encode_path(pair[0]).encode()


def revision_of(size_bytes: int, mtime_ns: int) -> str:
    """The change token of a local file."""
    return f"{size_bytes}-{mtime_ns}"


def parts(path: bytes) -> list[bytes]:
    """The components of a relative path."""
    return [part for part in path.split(b"/") if part]


def extension(path: bytes) -> bytes:
    """Lower-case extension without the dot; b"" where there is none."""
    name = path.rpartition(b"/")[2]
    stem, dot, end = name.rpartition(b".")
    return end.lower() if dot and stem else b""


def stem(path: bytes) -> bytes:
    """The path without its extension."""
    folder, slash, name = path.rpartition(b"/")
    start, dot, _ = name.rpartition(b".")
    return folder + slash + (start if dot and start else name)


def display(path: bytes) -> str:
    """A path for messages: never undecodable."""
    return os.fsdecode(path).encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
