"""From what a manifest writes to a file that may be read, and its size and revision.

A manifest is data: it may only point below its own folder, or below one of the roots that the
operator named.
"""

import os
import posixpath
import stat
from dataclasses import dataclass, field
from functools import cached_property

from cvdata.errors import ErrorCode, ImageError
from cvdata.sources.listing import revision_of
from cvdata.sources.local import is_inside
from cvdata.sources.place import Place
from cvdata.sources.record import Record, denied
from cvdata.sources.remote import remote_revision
from cvdata.sources.uris import decode_path, encode_path, filesystem, local_path, scheme_of

OUTSIDE = "leads out of the manifest's folder; name where it leads in roots to allow it"


@dataclass(frozen=True)
class References:
    """Resolves references relative to `place`; `roots` are other folders that may be read."""

    place: Place
    roots: tuple[str, ...] = ()
    _real: dict[bytes, bytes] = field(default_factory=dict)

    def record(self, text: str) -> Record:
        """The record of the file that `text` names; raises ValueError where it cannot be a path.

        Its error is set where the file is absent (`not_found`), forbidden, or out of bounds.
        """
        if not text or "\0" in text:
            raise ValueError("an empty path" if not text else "a NUL byte in a path")
        scheme = scheme_of(text)
        if "://" in text and scheme not in self.place.schemes:
            record = Record(text.encode("utf-8", "surrogateescape"), _shown(text), "denied")
            return denied(record, ErrorCode.PATH_DENIED, f"scheme {scheme!r} is not allowed")
        if scheme == "file" and (self.place.is_local or "://" in text or text.startswith("/")):
            return self._local(decode_path(text) if "://" in text else os.fsencode(text))
        return self._remote(text)

    def is_outside(self, record: Record) -> bool:
        """Whether a record was refused because it leads out of the roots."""
        return record.error_detail == OUTSIDE

    @cached_property
    def _local_roots(self) -> tuple[bytes, ...]:
        named = [local_path(root) for root in self.roots if scheme_of(root) == "file"]
        own = [self.place.path] if self.place.is_local else []
        return tuple(os.path.realpath(root) for root in own + named)

    def _local(self, written: bytes) -> Record:
        base = self.place.path if self.place.is_local else b"/"
        path = os.path.normpath(os.path.join(base, written))  # noqa: PTH118  raw bytes
        record = Record(path, encode_path(path), "denied")
        if is_inside(path, base) and self.place.is_local:
            record.key = path[len(base.rstrip(b"/")) + 1 :]
        if not self._is_allowed(self._real_folder(path.rpartition(b"/")[0] or b"/")):
            return denied(record, ErrorCode.PATH_DENIED, OUTSIDE)
        if os.path.islink(path):  # noqa: PTH114  raw bytes
            path = os.path.realpath(path)
            if not self._is_allowed(path):
                return denied(record, ErrorCode.PATH_DENIED, OUTSIDE)
            record.uri = encode_path(path)  # reading never goes through a link
        return _with_stat(record, path)

    def _is_allowed(self, path: bytes) -> bool:
        return any(is_inside(path, root) for root in self._local_roots)

    def _real_folder(self, folder: bytes) -> bytes:
        if folder not in self._real:
            self._real[folder] = os.path.realpath(folder)
        return self._real[folder]

    def _remote(self, text: str) -> Record:
        url = text if "://" in text else self.place.base_uri + text.lstrip("/")
        scheme, _, rest = url.partition("://")
        url = f"{scheme}://{'/' * rest.startswith('/')}{posixpath.normpath(rest).lstrip('/')}"
        base = self.place.base_uri
        key = url.removeprefix(base) if not self.place.is_local else url
        record = Record(key.encode("utf-8", "surrogateescape"), _shown(url), "denied")
        inside = [base] if not self.place.is_local else []
        inside += [root.rstrip("/") + "/" for root in self.roots]
        if not any(url.startswith(root) for root in inside):
            return denied(record, ErrorCode.PATH_DENIED, OUTSIDE)
        return self._with_info(record, url)

    def _with_info(self, record: Record, url: str) -> Record:
        fs, path = filesystem(url)
        try:
            info = self.place.retry.call(f"asking for {url}", lambda: fs.info(path))
        except FileNotFoundError:
            record.revision = "missing"
            return denied(record, ErrorCode.NOT_FOUND, "no such file")
        except PermissionError:
            return denied(record, ErrorCode.ACCESS_DENIED, "permission denied")
        except ImageError as error:  # an address that is not public
            return denied(record, error.code, error.detail)
        if info.get("type") != "file":
            return denied(record, ErrorCode.PATH_DENIED, "not a file")
        record.size_bytes = int(info.get("size") or 0)
        record.revision = remote_revision(info)
        return record


def _with_stat(record: Record, path: bytes) -> Record:
    try:
        found = os.stat(path, follow_symlinks=False)  # noqa: PTH116  raw bytes
    except (FileNotFoundError, NotADirectoryError):
        record.revision = "missing"
        return denied(record, ErrorCode.NOT_FOUND, "no such file")
    except PermissionError:
        return denied(record, ErrorCode.ACCESS_DENIED, "permission denied")
    if not stat.S_ISREG(found.st_mode):
        return denied(record, ErrorCode.PATH_DENIED, "not a regular file")
    record.size_bytes = found.st_size
    record.revision = revision_of(found.st_size, found.st_mtime_ns)
    return record


def _shown(url: str) -> str:
    return url.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
