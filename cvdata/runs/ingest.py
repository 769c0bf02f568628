"""From a source's stream of records to the parts of the `records` table."""

from collections.abc import Iterable, Iterator

import numpy as np
import pyarrow as pa

from cvdata.errors import ConfigError
from cvdata.keys import id_words

SMALLEST_PART, AVERAGE_PART, LARGEST_PART = 8_192, 32_768, 65_536
SHRINK_LIMIT = 0.2


def cut(tables: Iterable[pa.Table]) -> Iterator[pa.Table]:
    """Records in (uri, offset) order -> parts whose borders depend on the ids near them only.

    A part ends after a row whose id is 0 modulo 32,768 (never before 8,192 rows, always at
    65,536): an image that is added or removed moves the parts beside it and no other, and the
    unchanged parts keep their names, so they are not written again.
    """
    held: list[pa.Table] = []
    n_held = 0
    for table in tables:
        held.append(table)
        n_held += len(table)
        if n_held < LARGEST_PART:
            continue
        rest = pa.concat_tables(held)
        while len(rest) >= LARGEST_PART:
            end = _border(rest)
            yield rest.slice(0, end).combine_chunks()
            rest = rest.slice(end)
        held, n_held = [rest], len(rest)
    rest = pa.concat_tables(held) if held else None
    while rest is not None and len(rest):
        end = _border(rest)
        yield rest.slice(0, end).combine_chunks()
        rest = rest.slice(end)


def _border(rows: pa.Table) -> int:
    window = rows["image_id"].slice(0, LARGEST_PART)
    words = id_words(window)[SMALLEST_PART - 1 :, 1]
    hits = np.flatnonzero(words % AVERAGE_PART == 0)
    return SMALLEST_PART + int(hits[0]) if len(hits) else len(window)


def refuse_shrink(n_before: int, n_now: int, source: str) -> None:
    """Stop where a listing lost more than 20 % of its images: it may have failed half-way."""
    if n_before and n_now < n_before * (1 - SHRINK_LIMIT):
        raise ConfigError(
            f"the source {source!r} had {n_before:,} images and lists {n_now:,} now; "
            "if they were really removed, pass --allow-shrink"
        )
