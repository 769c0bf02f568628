"""Bytes of local files by the cheapest system calls, and never those of another file."""

import errno
import os
import stat
from dataclasses import dataclass

from cvdata.errors import ErrorCode, ImageError
from cvdata.sources.listing import revision_of
from cvdata.sources.uris import decode_path

# O_NONBLOCK: opening a FIFO that replaced a file must not wait for a writer.
_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC

_CODES = {
    errno.ENOENT: ErrorCode.NOT_FOUND,
    errno.ENOTDIR: ErrorCode.NOT_FOUND,
    errno.EACCES: ErrorCode.ACCESS_DENIED,
    errno.EPERM: ErrorCode.ACCESS_DENIED,
    errno.ELOOP: ErrorCode.PATH_DENIED,
    errno.ENXIO: ErrorCode.PATH_DENIED,
    errno.ENAMETOOLONG: ErrorCode.PATH_DENIED,
}


@dataclass
class OpenFile:
    """A local file held open for reading ranges of it."""

    uri: str
    descriptor: int
    size_bytes: int
    revision: str

    @staticmethod
    def open(uri: str) -> "OpenFile":
        """Open a regular file, not through a link; raises `ImageError`, or OSError (the world)."""
        try:
            descriptor = os.open(decode_path(uri), _FLAGS)
        except OSError as error:
            raise _image_error(error) from error
        except ValueError as error:  # a NUL byte in the path
            raise ImageError(ErrorCode.PATH_DENIED, str(error)) from error
        try:
            found = os.fstat(descriptor)
            if not stat.S_ISREG(found.st_mode):
                raise ImageError(ErrorCode.PATH_DENIED, "not a regular file")
        except BaseException:
            os.close(descriptor)
            raise
        revision = revision_of(found.st_size, found.st_mtime_ns)
        return OpenFile(uri, descriptor, found.st_size, revision)

    def check(self, revision: str) -> None:
        """Raise `changed` where the file is not the one that was listed."""
        if revision and revision != self.revision:
            raise ImageError(
                ErrorCode.CHANGED, f"listed as {revision}, now {self.revision} (size-mtime_ns)"
            )

    def read(self, offset: int, length: int) -> bytes:
        """`length` bytes from `offset`; `changed` where the file ends before."""
        data = os.pread(self.descriptor, length, offset)
        if len(data) == length:
            return data
        chunks = [data]
        while data and (length := length - len(data)):
            offset += len(data)
            data = os.pread(self.descriptor, length, offset)
            chunks.append(data)
        if length:
            raise ImageError(ErrorCode.CHANGED, f"the file ends {length} bytes early")
        return b"".join(chunks)

    def close(self) -> None:
        """Close the file."""
        os.close(self.descriptor)


def _image_error(error: OSError) -> Exception:
    code = _CODES.get(error.errno or 0)
    return error if code is None else ImageError(code, os.strerror(error.errno or 0))
