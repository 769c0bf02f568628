"""A folder on any storage that may be read: how its entries are listed and named."""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from cvdata.errors import ConfigError
from cvdata.sources.listing import Entry, Lister, walk
from cvdata.sources.local import LocalLister
from cvdata.sources.remote import RemoteLister
from cvdata.sources.uris import (
    SCHEMES,
    check_scheme,
    encode_path,
    filesystem,
    local_path,
    remote_uri,
    scheme_of,
)


@dataclass(frozen=True)
class Place:
    """The folder at `url`; `schemes` are those that may be read."""

    url: str
    schemes: frozenset[str] = SCHEMES

    def __post_init__(self) -> None:
        check_scheme(self.url, self.schemes)

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

    def check_folder(self) -> None:
        """Raise `ConfigError` where there is no such folder."""
        if self.is_local:
            is_folder = os.path.isdir(self.path)  # noqa: PTH112  raw bytes
        else:
            is_folder = bool(self.fs.isdir(self._remote[1]))
        if not is_folder:
            raise ConfigError(f"{self.url} is not a folder that can be listed; check the path")

    def entries(
        self,
        wanted: Callable[[bytes], bool],
        *,
        follow: bool = False,
        roots: tuple[str, ...] = (),
    ) -> Iterator[Entry]:
        """Every wanted file below the folder, in the order of its uri."""
        self.check_folder()
        return walk(self.lister(wanted, follow=follow, roots=roots))
