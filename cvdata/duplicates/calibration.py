"""How alike is a copy? Distances of planted copies -> recall and false merges per threshold."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from cvdata.kernels.dihedral import dihedral_variants

F32 = npt.NDArray[np.float32]
U64 = npt.NDArray[np.uint64]
Bools = npt.NDArray[np.bool_]

GRID = tuple(round(0.6 + 0.01 * step, 2) for step in range(40))
"""Cosines that are tried."""
RADII = tuple(range(12))
"""Bits of a 64-bit hash that are tried."""
ENOUGH = 0.002
"""Recall that a lower threshold must add to be worth its second looks."""


@dataclass(frozen=True)
class Planted:
    """N images and E edited copies of each, column 0 the image itself.

    `hashes` (N, 1 + E) uint64; `vectors` (N, 1 + E, D) float32 unit rows, D = 0 without a model;
    `is_copy` (N, E): what the second look said of each image and its copy.
    """

    hashes: U64
    vectors: F32
    is_copy: Bools

    @property
    def n_images(self) -> int:
        """Images and copies."""
        return int(self.hashes.size)


@dataclass(frozen=True)
class Unrelated:
    """Pairs (copy k of image i, image j) of different images, k = 0 the image itself and i < j.

    `cosine` (P,) and `bits`, `dihedral_bits` (P,) their distances; `place` (P, 3) i, k, j.
    """

    place: npt.NDArray[np.int32]
    cosine: F32
    bits: npt.NDArray[np.uint8]
    dihedral_bits: npt.NDArray[np.uint8]

    def __len__(self) -> int:
        """How many pairs."""
        return len(self.cosine)


def unrelated(planted: Planted, least: float = GRID[0], most: int = RADII[-1]) -> Unrelated:
    """The pairs of different images that any method would take for copies at its widest."""
    n, width = planted.hashes.shape
    turned = dihedral_variants(planted.hashes[:, :1])
    columns: list[tuple[Any, ...]] = []
    for k in range(width):
        words = planted.hashes[:, k][:, None]
        bits = np.bitwise_count(words ^ planted.hashes[None, :, 0])
        around = np.min([np.bitwise_count(words ^ turned[None, :, v]) for v in range(8)], axis=0)
        cosine = planted.vectors[:, k] @ planted.vectors[:, 0].T
        apart = ~np.eye(n, dtype=bool) if k else np.triu(np.ones((n, n), bool), 1)
        near = (around <= most) | (bits <= most)
        if planted.vectors.shape[2]:
            near |= cosine >= least
        i, j = np.nonzero(near & apart)
        place = np.stack([i, np.full(len(i), k), j], axis=1)
        columns.append((place, cosine[i, j], bits[i, j], around[i, j]))
    place, cosine, bits, around = (np.concatenate(c) for c in zip(*columns, strict=True))
    return Unrelated(
        place.astype(np.int32), cosine.astype(np.float32), bits.astype(np.uint8), around
    )


def own_cosines(planted: Planted) -> F32:
    """(N, E) cosine of each image with its copies."""
    return np.asarray(np.einsum("ned,nd->ne", planted.vectors[:, 1:], planted.vectors[:, 0]))


def own_bits(planted: Planted, *, is_dihedral: bool) -> npt.NDArray[np.uint8]:
    """(N, E) bits between each image and its copies, over mirrors and turns where asked."""
    copies, first = planted.hashes[:, 1:], planted.hashes[:, :1]
    turned = dihedral_variants(first) if is_dihedral else first
    each = [np.bitwise_count(copies ^ turned[:, v : v + 1]) for v in range(turned.shape[1])]
    return np.asarray(np.min(each, axis=0), np.uint8)


def cosine_table(
    planted: Planted, others: Unrelated, false: Bools, weight: float, looks: Sequence[float]
) -> list[dict[str, float]]:
    """A row per cosine of `GRID`: recall and false pairs, alone and with the second look.

    `false` (P,): the pairs of `others` that the second look accepted, `weight` how many pairs
    each stands for; `looks` by cosine the pairs an image that a look would be taken at.
    """
    cosines = own_cosines(planted)
    rows = []
    for threshold, n_looks in zip(GRID, looks, strict=True):
        hit = others.cosine >= threshold
        n_false, n_accepted = int(hit.sum()), weight * float((hit & false).sum())
        found = cosines >= threshold
        rows.append(
            {
                "threshold": threshold,
                "recall": float(found.mean()),
                "false_pairs": n_false,
                "false_per_10000": 1e4 * n_false / planted.n_images,
                "recall_looked": float((found & planted.is_copy).mean()),
                "false_looked_per_10000": 1e4 * n_accepted / planted.n_images,
                "looks_per_image": float(n_looks),
            }
        )
    return rows


def radius_table(planted: Planted, others: Unrelated) -> list[dict[str, float]]:
    """A row per radius of `RADII`: recall and false pairs of the hash, plain and dihedral."""
    plain, around = (own_bits(planted, is_dihedral=turned) for turned in (False, True))
    return [
        {
            "radius": radius,
            "recall": float((plain <= radius).mean()),
            "false_pairs": int((others.bits <= radius).sum()),
            "dihedral_recall": float((around <= radius).mean()),
            "dihedral_false_pairs": int((others.dihedral_bits <= radius).sum()),
        }
        for radius in RADII
    ]


def alone(rows: Sequence[Mapping[str, float]], max_false: float) -> float:
    """The least cosine that merges at most `max_false` unrelated pairs per 10,000 images.

    It must hold at every higher cosine too; the highest of `GRID` where none does.
    """
    chosen = rows[-1]["threshold"]
    for row in reversed(rows):
        if row["false_per_10000"] > max_false:
            break
        chosen = row["threshold"]
    return float(chosen)


def candidate(rows: Sequence[Mapping[str, float]], max_looks: float) -> float:
    """The highest cosine whose recall after the second look is within `ENOUGH` of the best.

    The best is that of the cosines that ask for at most `max_looks` looks an image.
    """
    within = [row for row in rows if row["looks_per_image"] <= max_looks] or [rows[-1]]
    best = max(row["recall_looked"] for row in within)
    return float(max(r["threshold"] for r in within if r["recall_looked"] >= best - ENOUGH))


def chosen(
    rows: Sequence[Mapping[str, float]], max_false: float, max_looks: float
) -> tuple[float, float]:
    """(`alone`, `candidate`); alone is no lower, however few images were there to be mistaken.

    A cosine that is not worth a second look makes no copy by itself.
    """
    least = candidate(rows, max_looks)
    return max(alone(rows, max_false), least), least


def looks_per_image(vectors: F32, n_images: int) -> list[float]:
    """By cosine of `GRID`: pairs an image in a set of `n_images`, from a sample of its vectors."""
    n = len(vectors)
    edges = np.array([*GRID, 2.0], np.float32)
    counts = np.zeros(len(GRID), np.int64)
    for low in range(0, n, 1024):
        product = vectors[low : low + 1024] @ vectors.T
        later = np.arange(n)[None, :] > (low + np.arange(len(product)))[:, None]
        counts += np.histogram(product[later], edges)[0]
    share = counts[::-1].cumsum()[::-1] / max(n * (n - 1) / 2, 1)
    return [float(p) * max(n_images - 1, 0) / 2 for p in share]
