"""A folder on any storage that may be read: how its entries are listed and named."""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from cvdata.errors import ConfigError
from cvdata.retry import Retry
from cvdata.sources.listing import Entry, Lister, revision_of, walk
from cvdata.sources.local import LocalLister
from cvdata.sources.remote import RemoteLister, remote_revision
from cvdata.sources.uris import (
    SCHEMES,
    check_scheme,
    encode_path,
    filesystem,
    local_path,
    remote_uri,
    scheme_of,
)

_BLOCK_BYTES = 4 * 1024 * 1024


@dataclass(frozen=True)
class Place:
    """The folder at `url`; `schemes` are those that may be read; `file`: only this one in it."""

    url: str
    schemes: frozenset[str] = SCHEMES
    file: bytes | None = None

    def __post_init__(self) -> None:
        check_scheme(self.url, self.schemes)

    @staticmethod
    def at(url: str, schemes: frozenset[str] = SCHEMES) -> "Place":
        """The folder `url`, or the folder that holds the file `url`; `ConfigError` if neither."""
        place = Place(url, schemes)
        if place.is_folder():
            return place
        if place.is_local and os.path.isfile(place.path):  # noqa: PTH113  raw bytes
            folder, _, name = place.path.rpartition(b"/")
            return Place(os.fsdecode(folder or b"/"), schemes, name)
        if not place.is_local and place._remote_type() == "file":
            folder_url, _, file_name = url.rpartition("/")
            return Place(folder_url, schemes, file_name.encode())
        raise ConfigError(f"{url}: there is no such file or folder, or it may not be read")

    @property
    def is_local(self) -> bool:
        """Whether it is a path of this machine."""
        return scheme_of(self.url) == "file"

    @cached_property
    def path(self) -> bytes:
        """The raw absolute path of a local folder."""
        return local_path(self.url)

    @cached_property
    def _remote(self) -> tuple[Any, str]:
        return filesystem(self.url)

    @property
    def fs(self) -> Any:
        """The fsspec filesystem of a remote folder."""
        return self._remote[0]

    @cached_property
    def base_uri(self) -> str:
        """The uri of the folder, with a final slash."""
        if self.is_local:
            return encode_path(self.path.rstrip(b"/") + b"/")
        return remote_uri(self.fs, self._remote[1]).rstrip("/") + "/"

    def uri(self, path: bytes) -> str:
        """The uri of a relative raw path."""
        return self.base_uri + (encode_path(path) if self.is_local else path.decode())

    def uris(self, paths: list[bytes]) -> pa.Array:
        """The uris of many relative raw paths: (N,) strings."""
        joined = b"".join(paths)
        if joined.isascii() and b"%" not in joined:
            return pc.binary_join_element_wise(self.base_uri, pa.array(paths, pa.string()), "")
        return pa.array([self.uri(path) for path in paths], pa.string())

    def lister(
        self,
        wanted: Callable[[bytes], bool],
        *,
        follow: bool = False,
        roots: tuple[str, ...] = (),
    ) -> Lister:
        """What lists its folders, leaving out files whose name is not `wanted`."""
        if self.is_local:
            inside = tuple(local_path(root) for root in roots if scheme_of(root) == "file")
            return LocalLister(self.path, wanted, follow, inside)
        return RemoteLister(self.fs, self._remote[1], wanted)

    @property
    def retry(self) -> Retry:
        """How often a store is asked again."""
        return Retry()

    @property
    def threads(self) -> int:
        """Threads worth using to read many small files: none where there is no latency."""
        return 0 if self.is_local else 16

    def is_folder(self) -> bool:
        """Whether there is such a folder."""
        if self.is_local:
            return os.path.isdir(self.path)  # noqa: PTH112  raw bytes
        return self._remote_type() == "directory"

    def _remote_type(self) -> str | None:
        """What the store calls it; None where there is nothing.

        Faults are raised, unlike by fsspec's `isdir`, to which a failing store has no folders.
        """
        fs, path = self._remote
        try:
            info = self.retry.call(f"looking for {self.url}", lambda: fs.info(path))
        except FileNotFoundError:
            return None
        except PermissionError as error:
            raise ConfigError(f"{self.url} may not be read: {error}") from error
        return str(info.get("type"))

    def full(self, path: bytes) -> Any:
        """What `open` of the filesystem takes for a relative raw path."""
        if self.is_local:
            return os.path.join(self.path, path)  # noqa: PTH118  raw bytes
        return f"{self._remote[1].rstrip('/')}/{path.decode()}"

    def open(self, path: bytes) -> Any:
        """A file below the folder as a seekable binary stream; raises OSError."""
        if self.is_local:
            return open(self.full(path), "rb")  # noqa: PTH123  the caller closes it
        return self.fs.open(self.full(path), "rb", block_size=_BLOCK_BYTES)

    def read(self, path: bytes, limit: int) -> bytes:
        """The bytes of a small file; ValueError above `limit`, OSError where it cannot be read."""

        def once() -> bytes:
            with self.open(path) as file:
                data: bytes = file.read(limit + 1)
                return data

        data = once() if self.is_local else self.retry.call(f"reading {self.uri(path)}", once)
        if len(data) > limit:
            raise ValueError(f"larger than {limit} bytes")
        return data

    def entries(
        self,
        wanted: Callable[[bytes], bool],
        *,
        follow: bool = False,
        roots: tuple[str, ...] = (),
    ) -> Iterator[Entry]:
        """Every wanted file below the folder, in the order of its uri; only `file` if it is set."""
        if not self.is_folder():
            raise ConfigError(f"{self.url} is not a folder that can be listed; check the path")
        if self.file is not None:
            return iter([self._only(self.file)])
        return walk(self.lister(wanted, follow=follow, roots=roots))

    def _only(self, name: bytes) -> Entry:
        if self.is_local:
            found = os.stat(self.full(name))  # noqa: PTH116  raw bytes
            return Entry(name, found.st_size, revision_of(found.st_size, found.st_mtime_ns))
        info = self.retry.call(f"asking for {self.url}", lambda: self.fs.info(self.full(name)))
        return Entry(name, int(info.get("size") or 0), remote_revision(info))
