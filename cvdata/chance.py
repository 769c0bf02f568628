"""Chance that hangs on an id and a seed alone: the same sample whatever reads it, in any order."""

from hashlib import blake2b

import numpy as np
import numpy.typing as npt
import pyarrow as pa

U64 = npt.NDArray[np.uint64]


def bits(ids: pa.ChunkedArray | pa.Array) -> U64:
    """(N,) the first 64 bits of each 16-byte id."""
    joined = b"".join(ids.to_pylist())
    return np.frombuffer(joined, ">u8")[::2].astype(np.uint64)


def draw(values: U64, seed: int) -> npt.NDArray[np.float64]:
    """(N,) in [0, 1), even and independent from seed to seed (splitmix64)."""
    with np.errstate(over="ignore"):
        x = values + np.uint64((seed * 0x9E3779B97F4A7C15 + 0x9E3779B97F4A7C15) % 2**64)
        x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        x = x ^ (x >> np.uint64(31))
    return np.asarray((x >> np.uint64(11)) * 2.0**-53, np.float64)


def shares(ids: pa.ChunkedArray | pa.Array, seed: int) -> npt.NDArray[np.float64]:
    """(N,) `draw` for each id: those below r are a sample of about r·N images."""
    return draw(bits(ids), seed)


def hash_keys(ids: pa.ChunkedArray | pa.Array, seed: int) -> U64:
    """(N,) a number to order images by where what was chosen is kept, such as a split.

    A keyed digest of each id, slower than `draw`; it never changes.
    """
    salt = seed.to_bytes(8, "big", signed=True)
    digests = (blake2b(i, digest_size=8, key=salt).digest() for i in ids.to_pylist())
    return np.frombuffer(b"".join(digests), ">u8").astype(np.uint64)
