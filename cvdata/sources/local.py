"""Listing a local folder: one scandir a folder, one stat a file, nothing opened."""
# ruff: noqa: PTH114, PTH116, PTH118 -- pathlib cannot hold raw bytes

import errno
import os
import stat
from collections.abc import Callable
from dataclasses import dataclass, field

from cvdata.errors import ConfigError, ErrorCode, StorageError
from cvdata.sources.listing import Entry, Listed, display, parts
from cvdata.sources.uris import encode_path

_DENIED = (errno.EACCES, errno.EPERM)
_WORKSPACE = {b"_format.json", b"_commits"}

Wanted = Callable[[bytes], bool]


@dataclass
class LocalLister:
    """Lists folders below `root` (absolute, raw). Files whose name is not `wanted` are left out.

    Symbolic links are rows with `path_denied`, unless `follow` is on and they lead to a place
    inside one of `roots`; a folder met again on the way down is a loop. Devices, FIFOs and sockets
    are `path_denied`. A folder that may not be read is a row with `access_denied` whose key ends in
    a slash. A cvdata workspace below the root is left out.
    """

    root: bytes
    wanted: Wanted
    follow: bool = False
    roots: tuple[bytes, ...] = ()
    _real_roots: tuple[bytes, ...] = field(init=False)

    def __post_init__(self) -> None:
        self._real_roots = tuple(os.path.realpath(root) for root in (self.root, *self.roots))

    def __call__(self, folder: bytes) -> Listed:
        """The entries of one folder."""
        path = os.path.join(self.root, folder)
        listed = Listed([], [])
        try:
            with os.scandir(path) as entries:
                found = list(entries)
        except OSError as error:
            return self._unlisted(folder, error)
        if folder and {entry.name for entry in found} >= _WORKSPACE:
            return listed
        for entry in found:
            self._add(listed, folder, entry)
        return listed

    def _unlisted(self, folder: bytes, error: OSError) -> Listed:
        path = display(os.path.join(self.root, folder))
        if not folder and isinstance(error, FileNotFoundError | NotADirectoryError):
            raise ConfigError(f"{path} is not a folder") from error
        if not folder and error.errno in _DENIED:
            raise ConfigError(f"{path} may not be read by this user") from error
        if isinstance(error, FileNotFoundError):
            return Listed([], [])  # removed while listing: as if it had gone a moment before
        if error.errno in _DENIED:
            return Listed([_denied(folder, ErrorCode.ACCESS_DENIED, UNREADABLE)], [])
        raise StorageError(f"listing {path} failed: {error}") from error

    def _add(self, listed: Listed, folder: bytes, entry: "os.DirEntry[bytes]") -> None:
        name = entry.name
        try:
            if entry.is_dir(follow_symlinks=False):
                listed.folders.append(name)
            elif entry.is_symlink():
                self._add_link(listed, folder, entry)
            elif self.wanted(name):
                listed.files.append(_file(folder + name, entry.stat(follow_symlinks=False)))
        except FileNotFoundError:
            listed.files.append(_denied(folder + name, ErrorCode.NOT_FOUND, "gone while listing"))
        except OSError as error:
            if error.errno not in _DENIED:
                raise StorageError(f"{display(entry.path)}: {error}") from error
            listed.files.append(_denied(folder + name, ErrorCode.ACCESS_DENIED, "no access"))

    def _add_link(self, listed: Listed, folder: bytes, entry: "os.DirEntry[bytes]") -> None:
        path = folder + entry.name
        is_folder = _leads_to_folder(entry)
        if not is_folder and not self.wanted(entry.name):
            return
        if not self.follow:
            listed.files.append(_denied(path, ErrorCode.PATH_DENIED, _LINK))
            return
        try:
            target = os.path.realpath(entry.path, strict=True)
        except FileNotFoundError:
            listed.files.append(_denied(path, ErrorCode.NOT_FOUND, "the link leads nowhere"))
            return
        except OSError as error:
            code = ErrorCode.ACCESS_DENIED if error.errno in _DENIED else ErrorCode.PATH_DENIED
            detail = (
                "a loop of links" if error.errno == errno.ELOOP else os.strerror(error.errno or 0)
            )
            listed.files.append(_denied(path, code, detail))
            return
        if not any(is_inside(target, root) for root in self._real_roots):
            listed.files.append(_denied(path, ErrorCode.PATH_DENIED, _OUTSIDE))
        elif not is_folder:
            found = _file(path, os.stat(target, follow_symlinks=False))
            listed.files.append(found._replace(target=encode_path(target)))
        elif self._is_loop(folder, target):
            listed.files.append(_denied(path, ErrorCode.PATH_DENIED, "a loop of links"))
        else:
            listed.folders.append(entry.name)

    def _is_loop(self, folder: bytes, target: bytes) -> bool:
        """Whether `target` is met on the way down to `folder`, or too many links are."""
        way, n_links = self.root, 0
        for name in (b"", *parts(folder)):
            way = os.path.join(way, name) if name else way
            n_links += bool(name) and os.path.islink(way)
            if is_inside(os.path.realpath(way), target):
                return True
        return n_links >= _LINKS_NESTED


UNREADABLE = "the folder may not be read"
_LINKS_NESTED = 8
_LINK = "a symbolic link; follow_symlinks reads those that stay inside"
_OUTSIDE = "the link leads out of the folder; name where it leads in roots to allow it"


def is_inside(path: bytes, root: bytes) -> bool:
    """Whether `path` is `root` or below it; both absolute and without links."""
    return path == root or path.startswith(root.rstrip(b"/") + b"/")


def _leads_to_folder(entry: "os.DirEntry[bytes]") -> bool:
    try:
        return entry.is_dir()
    except OSError:
        return False


def _file(path: bytes, found: os.stat_result) -> Entry:
    if stat.S_ISREG(found.st_mode):
        return Entry(path, found.st_size, f"{found.st_size}-{found.st_mtime_ns}")
    return _denied(path, ErrorCode.PATH_DENIED, f"not a file but a {_kind(found.st_mode)}")


def _kind(mode: int) -> str:
    kinds = (
        (stat.S_ISFIFO, "FIFO"),
        (stat.S_ISSOCK, "socket"),
        (stat.S_ISBLK, "block device"),
        (stat.S_ISCHR, "character device"),
        (stat.S_ISDIR, "folder"),
    )
    return next((name for test, name in kinds if test(mode)), "special file")


def _denied(path: bytes, code: ErrorCode, detail: str) -> Entry:
    return Entry(path, 0, str(code), code, detail)
