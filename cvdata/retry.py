"""Trying again when the world, not the image, is at fault."""

import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from cvdata.errors import CvdataError, StorageError

T = TypeVar("T")

_FINAL = (
    FileNotFoundError,
    FileExistsError,
    PermissionError,
    IsADirectoryError,
    NotADirectoryError,
    CvdataError,
)
_OURS = (TypeError, AttributeError, NotImplementedError, AssertionError)
_FORBIDDEN = (401, 403)
"""HTTP answers that concern one file and not the world."""
_CREDENTIALS = frozenset(
    {
        "AuthorizationHeaderMalformed",
        "ExpiredToken",
        "InvalidAccessKeyId",
        "InvalidToken",
        "RequestTimeTooSkewed",
        "SignatureDoesNotMatch",
        "TokenRefreshRequired",
    }
)
"""S3's answers that concern who asks: no file is at fault, and asking again does not help."""


def answer_of(error: BaseException) -> tuple[str, int]:
    """S3's error code and HTTP status that `error` was made of; "" and 0 where it was not."""
    found: BaseException | None = error
    while found is not None:
        if isinstance(answer := getattr(found, "response", None), dict):
            status = answer.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
            return str(answer.get("Error", {}).get("Code", "")), int(status)
        found = found.__cause__
    return "", 0


@dataclass(frozen=True)
class Retry:
    """Exponential backoff with full jitter: waits are uniform in 0 … min(cap, base * 2**n)."""

    attempts: int = 6
    base_seconds: float = 0.25
    cap_seconds: float = 15.0

    def call(self, doing: str, action: Callable[[], T]) -> T:
        """`action()`, again on any fault of the world; then `StorageError`.

        What concerns one file (absent, forbidden, a folder) is raised at once, as it is.
        """
        for attempt in range(self.attempts):
            try:
                return action()
            except Exception as error:  # stores raise their own kinds
                if answer_of(error)[0] in _CREDENTIALS:
                    raise _refused(doing, error) from error
                if isinstance(error, (*_FINAL, *_OURS)):
                    raise
                if getattr(error, "status", None) in _FORBIDDEN:
                    raise PermissionError(str(error)) from error
                if attempt + 1 >= self.attempts:
                    raise StorageError(
                        f"{doing} failed {self.attempts} times: {type(error).__name__}: {error}; "
                        "run the same command again when the storage answers"
                    ) from error
                time.sleep(self._wait(attempt))
        raise StorageError(f"{doing}: attempts must be at least 1")

    def _wait(self, attempt: int) -> float:
        limit = min(self.cap_seconds, self.base_seconds * 2.0**attempt)
        return random.uniform(0.0, limit)  # noqa: S311  jitter is no secret


def _refused(doing: str, error: BaseException) -> StorageError:
    return StorageError(
        f"{doing} failed: the store does not take the credentials ({answer_of(error)[0]}); renew "
        "them and run the same command again: finished parts are kept"
    )
