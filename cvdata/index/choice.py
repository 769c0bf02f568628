"""Which index: from rows, dimension, memory and what is asked of it, in words and as a factory."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from cvdata.errors import ConfigError

Prefer = Literal["updates", "speed"]

FLAT_FLOATS = 100_000_000
"""Below this many numbers one exact query takes some tens of milliseconds: nothing to gain."""
HNSW_LINKS = 32
POINTS_PER_LIST = 64
"""Training vectors a list; FAISS asks for 39 at least."""
PQ_BYTES = (128, 96, 64, 48, 32, 24, 16, 8)
_ID_BYTES = 8


@dataclass(frozen=True)
class Choice:
    """A FAISS factory string, why it was chosen, and the bytes that the index takes in memory."""

    factory: str
    why: str
    size_bytes: int


def n_lists(n: int) -> int:
    """Inverted lists for n rows: the power of two nearest to 4 √n, from 16 to 65,536.

    Few enough that each gets `POINTS_PER_LIST` of three quarters of the rows to be trained on.
    """
    wanted = 2 ** round(np.log2(4 * np.sqrt(max(n, 1))))
    trainable = max(1, 3 * n // (4 * POINTS_PER_LIST))
    return int(np.clip(min(wanted, 2 ** int(np.log2(trainable))), 16, 65_536))


def choose(n: int, dimension: int, memory_bytes: int, prefer: Prefer = "updates") -> Choice:
    """The most faithful index of n vectors (dimension) float32 that fits in `memory_bytes`.

    `prefer` "updates": one that additions and deletions change in place; "speed": a graph (HNSW),
    the quickest to search, which any change builds anew. Raises `ConfigError` where nothing fits.
    """
    d, lists = dimension, n_lists(n)
    room = _size(memory_bytes)
    if n * d <= FLAT_FLOATS and 4 * d * n <= memory_bytes:
        why = f"{n:,} vectors of {d:,} numbers are few: every one is compared, nothing is missed"
        return Choice("Flat", why, 4 * d * n)
    graph = n * (4 * d + 8 * HNSW_LINKS + 24)
    if prefer == "speed" and graph <= memory_bytes:
        why = f"a graph of neighbours is the quickest to search, and {_size(graph)} fit {room}"
        return Choice(f"HNSW{HNSW_LINKS},Flat", why, graph)
    fixed = 4 * d * lists
    for code, row_bytes, how in (
        ("Flat", 4 * d, "whole vectors"),
        ("SQfp16", 2 * d, "half precision"),
        ("SQ8", d, "one byte a number"),
    ):
        size = fixed + n * (row_bytes + _ID_BYTES)
        if size <= memory_bytes:
            fits = f"{_size(size)} fit {room}"
            why = f"{lists:,} lists of which a query asks a few; {how}: {fits}"
            return Choice(f"IVF{lists},{code}", why, size)
    return _quantised(n, d, memory_bytes, lists)


def _quantised(n: int, d: int, memory_bytes: int, lists: int) -> Choice:
    """Product quantisation with as many bytes a vector as fit."""
    least = 0
    for m in PQ_BYTES:
        if m > d:
            continue
        rotated = min(d // m, 4) * m
        size = 4 * rotated * lists + 4 * d * rotated + 1024 * rotated + n * (m + _ID_BYTES)
        least = size
        if size <= memory_bytes:
            why = (
                f"{lists:,} lists; of each vector {m} bytes are kept, which is all that fits "
                f"{_size(memory_bytes)}: look at the measured recall"
            )
            return Choice(f"OPQ{m}_{rotated},IVF{lists},PQ{m}", why, size)
    raise ConfigError(
        f"{n:,} vectors of {d:,} numbers do not fit {memory_bytes:,} bytes even in the smallest "
        f"form, which takes about {least:,}: raise --memory-bytes"
    )


def _size(n_bytes: int) -> str:
    return f"{n_bytes / 1e9:.3g} GB" if n_bytes >= 10**9 else f"{n_bytes / 1e6:.3g} MB"
