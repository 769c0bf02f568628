"""What can go wrong, in one place.

Bad data is a row with an `ErrorCode`; everything else is an exception:

    CvdataError
    ├── ImageError          this image is bad: caught in one place, becomes a row
    ├── ConfigError         the request is bad: exit 2, says what to change
    ├── StorageError        the world is bad (disk, network): exit 4, the next run resumes
    │   └── WorkspaceError  what lies in the workspace is not what was written
    ├── RunInterrupted      work is unfinished and kept: exit 4, the next run resumes
    ├── CommitConflict      another run committed the same table first: exit 5
    ├── TooManyErrors       more bad images than `max_error_rate`: exit 6, nothing committed
    ├── VerifyFailed        `verify` found damage: exit 7
    ├── DriftAlarm          `drift` found a difference: exit 8
    ├── GateFailed          `gate` found a limit passed: exit 8
    └── LockHeld            another run is at work on the workspace: exit 9
"""

from enum import StrEnum
from typing import ClassVar

DETAIL_LIMIT = 200
"""Longest `error_detail`, in characters."""


class ErrorCode(StrEnum):
    """Why an image has no facts. A closed list; a code never changes its meaning."""

    EMPTY = "empty"
    TOO_LARGE_FILE = "too_large_file"
    NOT_AN_IMAGE = "not_an_image"
    FORMAT_DENIED = "format_denied"
    TRUNCATED = "truncated"
    CORRUPT = "corrupt"
    TOO_MANY_PIXELS = "too_many_pixels"
    DECODER_CRASHED = "decoder_crashed"
    TIMEOUT = "timeout"
    OUT_OF_MEMORY = "out_of_memory"
    NOT_FOUND = "not_found"
    CHANGED = "changed"
    ACCESS_DENIED = "access_denied"
    PATH_DENIED = "path_denied"
    DUPLICATE_KEY = "duplicate_key"
    ARCHIVE_DENIED = "archive_denied"
    MODEL_FAILED = "model_failed"
    MEASURE_FAILED = "measure_failed"
    AUGMENT_FAILED = "augment_failed"


class CvdataError(Exception):
    """Base of every exception that cvdata raises on purpose."""

    exit_code: ClassVar[int] = 4


class ImageError(CvdataError):
    """One image is bad. `code` says how; `detail` is at most 200 printable characters."""

    def __init__(self, code: ErrorCode, detail: str = "") -> None:
        self.code = code
        self.detail = printable(detail)
        super().__init__(code, self.detail)

    def __str__(self) -> str:
        """`code: detail`."""
        return f"{self.code}: {self.detail}" if self.detail else str(self.code)


class ConfigError(CvdataError):
    """The request cannot be run; the message says what to change."""

    exit_code = 2


class StorageError(CvdataError):
    """Storage failed in a way that is nobody's image's fault."""


class WorkspaceError(StorageError):
    """The workspace is damaged, or was written by an unknown version."""


class RunInterrupted(CvdataError):
    """The run stopped before its commit; finished parts stay and the next run resumes."""


class CommitConflict(CvdataError):
    """Another run committed the same table first; the parts stay for the next run."""

    exit_code = 5


class TooManyErrors(CvdataError):
    """More images failed than `max_error_rate` allows; nothing was committed."""

    exit_code = 6


class VerifyFailed(CvdataError):
    """The workspace does not match its commit log."""

    exit_code = 7


class DriftAlarm(CvdataError):
    """Two sets of images differ by more than the limits allow."""

    exit_code = 8


class GateFailed(CvdataError):
    """What the tables hold does not pass the limits that were set for it."""

    exit_code = 8


class LockHeld(CvdataError):
    """Another run holds the lock of the workspace; nothing was done."""

    exit_code = 9


def printable(text: str, limit: int = DETAIL_LIMIT) -> str:
    """`text` on one line, control and bidi characters escaped, at most `limit` characters."""
    safe = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
    return safe if len(safe) <= limit else safe[: limit - 1] + "…"
