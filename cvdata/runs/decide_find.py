"""Finding one image by what a person knows of it: an id, a path, the end of its uri."""

import os
import re
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from cvdata.decide.lists import as_uri
from cvdata.errors import ConfigError, printable
from cvdata.parts import read_columns
from cvdata.reading import IdRange, states
from cvdata.schema import RECORDS
from cvdata.workspace import Workspace

_HEX = re.compile(r"^[0-9a-fA-F]{32}$")
NAMED = 8
"""Matches that are listed where a name fits several images."""


def find_image(workspace: Workspace, name: str) -> bytes:
    """The image_id of `name`: hex id, key, uri or path; else the one whose uri or key ends so.

    Raises `ConfigError` for none, and for several, naming them.
    """
    if _HEX.match(name):
        image_id = bytes.fromhex(name)
        if len(workspace.read("records", ["image_id"], id_range=only(image_id))):
            return image_id
    exact, ends = _matches(workspace, name)
    found = exact or ends
    if not found:
        raise ConfigError(f"no image of {workspace.store.url} is called {name!r} or ends so")
    if len(found) > 1:
        some = ", ".join(printable(uri) for _, uri in found[:NAMED])
        more = f" and {len(found) - NAMED} more" if len(found) > NAMED else ""
        raise ConfigError(f"{name!r} fits {len(found)} images: {some}{more}; write more of it")
    return found[0][0]


def only(image_id: bytes) -> IdRange:
    """The range of this one id."""
    after = int.from_bytes(image_id, "big") + 1
    return image_id, after.to_bytes(16, "big") if after < 2**128 else None


def _matches(
    workspace: Workspace, name: str
) -> tuple[list[tuple[bytes, str]], list[tuple[bytes, str]]]:
    """(image_id, uri) of the images called `name`, and of those whose name ends with it."""
    uri, key = as_uri(name), os.fsencode(name)
    exact: list[tuple[bytes, str]] = []
    ends: list[tuple[bytes, str]] = []
    tail = name.lstrip("./") if not Path(name).is_absolute() else name
    for part in states(workspace.head, "records")[0].parts:
        rows = read_columns(workspace.store, [part], RECORDS, ["image_id", "uri", "key"])
        is_exact = pc.or_(pc.equal(rows["uri"], uri), pc.equal(rows["key"], key))
        exact += _listed(rows, np.asarray(is_exact))
        ends += _listed(rows, _ends_with(rows, tail))
    return exact, ends


def _ends_with(rows: pa.Table, tail: str) -> npt.NDArray[np.bool_]:
    """Whether the last parts of a path are `tail`; half of a file's name does not count."""
    escaped = re.escape(tail)
    found = pc.match_substring_regex(rows["uri"], rf"(^|[/!#]){escaped}$")
    keys = pc.match_substring_regex(rows["key"].cast(pa.binary()), rf"(^|[/!#]){escaped}$".encode())
    return np.asarray(pc.or_(found, keys))


def _listed(rows: pa.Table, chosen: npt.NDArray[np.bool_]) -> list[tuple[bytes, str]]:
    mine = rows.filter(pa.array(chosen))
    return list(zip(mine["image_id"].to_pylist(), mine["uri"].to_pylist(), strict=True))
