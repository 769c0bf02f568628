"""A user's own lists: a path, key, uri or hex id a line."""

import re
from dataclasses import dataclass
from pathlib import Path

import fsspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from cvdata.errors import ConfigError
from cvdata.schema import ID
from cvdata.sources.uris import encode_path, local_path, scheme_of

_HEX = re.compile(r"^[0-9a-fA-F]{32}$")


@dataclass(frozen=True)
class NameList:
    """The lines of one file. `match` finds the images that they name."""

    path: str
    lines: tuple[str, ...]

    @staticmethod
    def read(path: str | None) -> "NameList":
        """Of a file, local or remote; empty lines and those after `#` do not count."""
        if path is None:
            return NameList("", ())
        try:
            with fsspec.open(path, "r", encoding="utf-8") as stream:
                text = stream.read()
        except (OSError, UnicodeDecodeError, ImportError, ValueError) as error:
            raise ConfigError(f"cannot read the list {path}: {error}") from error
        lines = (line.strip() for line in text.splitlines())
        kept = dict.fromkeys(line for line in lines if line and not line.startswith("#"))
        if not kept:
            raise ConfigError(f"the list {path} names no image")
        return NameList(path, tuple(kept))

    def match(self, records: pa.Table) -> tuple[npt.NDArray[np.bool_], set[int]]:
        """(N,) which rows (image_id, key, uri) are named, and the lines that named one."""
        named = np.zeros(len(records), bool)
        used: set[int] = set()
        if not self.lines:
            return named, used
        ids = [bytes.fromhex(s) if _HEX.match(s) else None for s in self.lines]
        sets = {
            "image_id": pa.array(ids, ID),
            "uri": pa.array([as_uri(s) for s in self.lines], pa.string()),
            "key": pa.array([s.encode() for s in self.lines], pa.binary()),
        }
        for column, values in sets.items():
            found = pc.index_in(records[column], value_set=values, skip_nulls=True)
            named |= np.asarray(pc.is_valid(found))
            used |= set(pc.unique(pc.drop_null(found)).to_pylist())
        return named, used


def as_uri(line: str) -> str:
    """A path of this machine as `records` writes it; a uri as it is."""
    if scheme_of(line) != "file" or line.startswith("parquet:"):
        return line
    is_here = line.startswith(("/", "file://")) or Path(line).exists()
    return encode_path(local_path(line)) if is_here else line


def refuse_unmatched(names: NameList, used: set[int]) -> None:
    """Raise `ConfigError` for lines that name no image: a slip there would change nothing."""
    missing = [line for i, line in enumerate(names.lines) if i not in used]
    if missing:
        some = ", ".join(missing[:5]) + (", …" if len(missing) > 5 else "")
        raise ConfigError(
            f"{len(missing)} lines of {names.path} name no image: {some}. Write the key as in "
            "`records` (the path below the source), the full path or uri, or the hex id"
        )
