"""Splits that do not leak: near-duplicates stay together, classes stay in proportion."""

from collections.abc import Iterator, Mapping

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from cvdata import schema
from cvdata.chance import hash_keys
from cvdata.errors import ConfigError

I64 = npt.NDArray[np.int64]


def assign_splits(
    images: pa.Table,
    component: npt.NDArray[np.integer],
    fractions: Mapping[str, float],
    assigned: pa.Table | None = None,
    seed: int = 0,
) -> pa.Table:
    """SPLITS of all images, sorted by image_id.

    `images`: image_id, revision, label (null counts as a class). `component` (N,): rows with the
    same value stay together; connected components, so that no pair crosses. `assigned`: SPLITS of
    an earlier run, which never move; a component that holds some of them follows the largest
    part. Larger groups are placed first, each where its classes are furthest below their share
    (iterative stratification: Sechidis et al. 2011); ties fall by a hash of the id, so that the
    row order changes nothing.
    """
    names = _checked(fractions)
    share = np.array([fractions[name] for name in names], np.float64)
    share /= share.sum()
    keys = hash_keys(images.column("image_id"), seed)
    label = _codes(images.column("label"))
    _, group = np.unique(np.asarray(component, np.int64), return_inverse=True)
    frozen = _frozen(images.column("image_id"), assigned, names)
    split = frozen.copy()
    held = np.zeros((len(names), int(label.max(initial=0)) + 1))
    settled = np.flatnonzero(frozen >= 0)
    np.add.at(held, (frozen[settled], label[settled]), 1)
    want = share[:, None] * np.bincount(label, minlength=held.shape[1])[None, :]
    for rows in _groups(group, keys):
        open_rows = rows[frozen[rows] < 0]
        classes, counts = np.unique(label[open_rows], return_counts=True)
        chosen = _home(frozen[rows], len(names))
        if chosen < 0:
            chosen = _neediest(want, held, classes, counts)
        held[chosen, classes] += counts
        split[open_rows] = chosen
    single = np.flatnonzero(split < 0)
    split[single] = _dealt(label[single], keys[single], want - held)
    return _table(images, split, names)


def _groups(group: I64, keys: npt.NDArray[np.uint64]) -> Iterator[I64]:
    """The rows of each group of two or more; the largest first, ties by the least key."""
    sizes = np.bincount(group)
    order = np.argsort(group, kind="stable")
    starts = np.cumsum(sizes) - sizes
    least = np.full(len(sizes), np.iinfo(np.uint64).max, np.uint64)
    np.minimum.at(least, group, keys)
    several = np.flatnonzero(sizes > 1)
    for g in several[np.lexsort((least[several], -sizes[several]))]:
        yield order[starts[g] : starts[g] + sizes[g]]


def _dealt(label: I64, keys: npt.NDArray[np.uint64], lack: npt.NDArray[np.float64]) -> I64:
    """Splits of images without copies: each class shared out by what each split still lacks.

    Largest remainders; which image goes where falls by its key.
    """
    out = np.empty(len(label), np.int64)
    order = np.lexsort((keys, label))
    starts = np.searchsorted(label[order], np.arange(lack.shape[1] + 1))
    over = 0.0 * lack[:, 0]
    for c in range(lack.shape[1]):
        rows = order[starts[c] : starts[c + 1]]
        need = np.maximum(lack[:, c], 0)
        need = need if need.sum() > 0 else np.ones(len(need))
        exact = need / need.sum() * len(rows)
        counts = np.floor(exact).astype(np.int64)
        # what rounding took from a split in one class it gets back in the next
        claim = exact - counts + over
        for s in np.argsort(-claim, kind="stable")[: len(rows) - int(counts.sum())]:
            counts[s] += 1
        over += exact - counts
        out[rows] = np.repeat(np.arange(len(counts)), counts)
    return out


def _checked(fractions: Mapping[str, float]) -> list[str]:
    names = list(fractions)
    if not names or any(not value > 0 for value in fractions.values()):
        raise ConfigError(f"split fractions must be positive numbers, not {dict(fractions)}")
    return names


def _codes(labels: pa.ChunkedArray) -> I64:
    """(N,) class numbers in the order of the names, null first."""
    filled = pc.fill_null(labels.cast(pa.string()), "\0")
    names = pc.unique(filled).sort()
    return np.asarray(pc.index_in(filled, value_set=names), np.int64)


def _frozen(ids: pa.ChunkedArray, assigned: pa.Table | None, names: list[str]) -> I64:
    """(N,) the split an image has already, -1 for none."""
    if assigned is None or len(assigned) == 0:
        return np.full(len(ids), -1, np.int64)
    unknown = sorted(set(pc.unique(assigned.column("split")).to_pylist()) - set(names))
    if unknown:
        raise ConfigError(
            f"images are assigned to {unknown}, which the fractions do not name: name them, or "
            "forget what is assigned with --fresh"
        )
    at = pc.index_in(ids, value_set=assigned.column("image_id"))
    codes = pc.index_in(assigned.column("split"), value_set=pa.array(names))
    return np.asarray(pc.fill_null(codes.take(at), -1), np.int64)


def _home(frozen: I64, n_splits: int) -> int:
    """The split that holds most of the group already, -1 for none."""
    held = np.bincount(frozen[frozen >= 0], minlength=n_splits)
    return int(held.argmax()) if held.any() else -1


def _neediest(
    want: npt.NDArray[np.float64], held: npt.NDArray[np.float64], classes: I64, counts: I64
) -> int:
    """The split whose shares of these classes are furthest below target, relative to them."""
    lack = (want[:, classes] - held[:, classes]) / np.maximum(want[:, classes], 1e-9)
    need = (lack * counts).sum(axis=1)
    overall = (want.sum(axis=1) - held.sum(axis=1)) / np.maximum(want.sum(axis=1), 1e-9)
    return int(np.lexsort((-overall, -need))[0])


def _table(images: pa.Table, split: I64, names: list[str]) -> pa.Table:
    columns = {
        "image_id": images.column("image_id"),
        "revision": images.column("revision"),
        "split": pa.array(names).take(pa.array(split)),
    }
    table = pa.table(columns)
    order = pc.sort_indices(table.column("image_id").cast(pa.binary()))
    return table.take(order).cast(schema.SPLITS)
