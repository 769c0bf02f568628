"""What a source is: pointers to images and what is known about them, never pixels."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Annotated, Any, Protocol, runtime_checkable

import pyarrow as pa
from pydantic import BeforeValidator

from cvdata.errors import printable

TABLE_ROWS = 32_768
"""Rows in a table of records, at most."""

PROBLEMS_KEPT = 10_000
"""Problems held in memory; the rest is only counted."""


def _split_commas(value: Any) -> Any:
    return tuple(value.split(",")) if isinstance(value, str) else value


Names = Annotated[tuple[str, ...], BeforeValidator(_split_commas)]
"""Several names; on a command line they are separated by commas."""


@dataclass(frozen=True)
class Problem:
    """Something malformed in what describes the images; `line` is 1-based, 0 for the whole file."""

    file: str
    line: int
    message: str

    def __str__(self) -> str:
        """`file:line: message`, on one line."""
        place = f"{printable(self.file, 4096)}:{self.line}" if self.line else printable(self.file)
        return f"{place}: {self.message}"


@dataclass
class Problems:
    """What was malformed, in the order found: the first `limit` in full, all of them counted."""

    limit: int = PROBLEMS_KEPT
    n: int = 0
    kept: list[Problem] = field(default_factory=list)

    def add(self, file: str, line: int, message: str) -> None:
        """Note one problem."""
        self.n += 1
        if len(self.kept) < self.limit:
            self.kept.append(Problem(file, line, printable(message)))

    def __len__(self) -> int:
        return self.n

    def __iter__(self) -> Iterator[Problem]:
        return iter(self.kept)


@runtime_checkable
class Source(Protocol):
    """Where images come from.

    `records()` yields tables of `schema.RECORDS`, at most `TABLE_ROWS` rows each, sorted by
    (uri, offset) over all tables, the same whatever order the storage lists in. It raises
    `ConfigError` (the request), `StorageError` (the world); bad data is a row with an error, or
    one of `problems`, which grow while the records are read.
    """

    @property
    def problems(self) -> Problems:
        """What was malformed so far."""
        ...

    def records(self) -> Iterator[pa.Table]:
        """The records, in bounded tables."""
        ...
