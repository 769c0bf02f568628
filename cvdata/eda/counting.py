"""Categorical fields, pairs of fields, and objects that occur together."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from cvdata.eda.fields import Pair
from cvdata.eda.groups import NONE, OTHER, Scope, code_of
from cvdata.eda.tally import Tally
from cvdata.kernels.moments import Floats
from cvdata.schema import COOCCURRENCE, COUNTS, JOINT

Ints = npt.NDArray[np.int64]
Column: TypeAlias = pa.Array
"""Strings, in one array or in chunks."""

MAX_VALUES = 1 << 16
TOP_VALUES = 1000
"""Rows of `counts` per group and field; the rest is pooled as "(other)". Labels and objects have a
row each, up to `MAX_VALUES`: their balance needs the rarest."""
UNPOOLED = frozenset({"label", "object"})

TallyState = dict[tuple[int, int, str], Tally]


@dataclass(frozen=True)
class Tallies:
    """Count the values of categorical fields in `scopes`: exact and alike in any order of merges.

    Of a field with more than 65,536 values in a group (camera names of hostile files, say) those
    kept are a sample, and "(other)" holds the rest: see `Tally`.
    """

    scopes: tuple[Scope, ...]

    def zero(self) -> TallyState:
        """Nothing counted; keys are (scope, group, field)."""
        return {}

    def update(
        self, acc: TallyState, fields: Mapping[str, Column | None], codes: Sequence[Ints]
    ) -> None:
        """Add N rows: strings per field, null counts as "(none)"; `codes` (N,) per scope."""
        for field, column in fields.items():
            if column is None:
                continue
            encoded = column.dictionary_encode(null_encoding="mask")
            if isinstance(encoded, pa.ChunkedArray):
                encoded = encoded.combine_chunks()
            values = [*encoded.dictionary.to_pylist(), NONE]
            index = encoded.indices.fill_null(len(values) - 1).to_numpy().astype(np.int64)
            for s, groups in enumerate(codes):
                if field == self.scopes[s].column:
                    continue
                cells, n = np.unique(groups * len(values) + index, return_counts=True)
                self._add(acc, (s, field), values, (cells, n))

    def _add(
        self,
        acc: TallyState,
        key: tuple[int, str],
        values: list[str],
        counted: tuple[Ints, Ints],
    ) -> None:
        cells, counts = counted
        group = cells // len(values)
        for g in np.unique(group):
            here = group == g
            names = [values[i] for i in cells[here] % len(values)]
            tally = acc.setdefault((key[0], int(g), key[1]), Tally(MAX_VALUES))
            tally.add(zip(names, counts[here].tolist(), strict=True))

    def merge(self, a: TallyState, b: TallyState) -> TallyState:
        """Both together, in `a`."""
        for key, tally in b.items():
            if key in a:
                a[key].merge(tally)
            else:
                a[key] = tally
        return a

    def counts(self, acc: TallyState) -> pa.Table:
        """Rows of `counts`, most frequent first in each group and field."""
        rows: list[tuple[str, str, str, str, int]] = []
        for s, g, field in sorted(acc):
            scope, tally = self.scopes[s], acc[s, g, field]
            ranked = tally.ranked()
            most = MAX_VALUES if field in UNPOOLED else TOP_VALUES
            rest = tally.other + sum(n for _, n in ranked[most:])
            shown = [*ranked[:most], *([(OTHER, rest)] if rest else [])]
            rows += [(scope.name, scope.groups[g], field, value, n) for value, n in shown]
        columns = zip(*rows, strict=True) if rows else [[]] * 5
        return pa.table([pa.array(list(c)) for c in columns], schema=COUNTS)


JointState = list[list[Ints]]


@dataclass(frozen=True)
class Joints:
    """Two-dimensional histograms of `pairs` in `scopes`."""

    pairs: tuple[Pair, ...]
    scopes: tuple[Scope, ...]

    def zero(self) -> JointState:
        """Per scope and pair a (G, X, Y) grid of zeros."""
        return [
            [np.zeros((len(s.groups), p.x.n_bins, p.y.n_bins), dtype=np.int64) for p in self.pairs]
            for s in self.scopes
        ]

    def update(
        self,
        acc: JointState,
        values: Sequence[tuple[Floats | None, Floats | None]],
        codes: Sequence[Ints],
    ) -> None:
        """Add N rows: x and y (N,) per pair; rows where either is NaN do not count."""
        for p, (pair, (x, y)) in enumerate(zip(self.pairs, values, strict=True)):
            if x is None or y is None:
                continue
            known = ~(np.isnan(x) | np.isnan(y))
            cell = (pair.x.bin(x) * pair.y.n_bins + pair.y.bin(y))[known]
            for s, groups in enumerate(codes):
                grid = acc[s][p]
                size = pair.x.n_bins * pair.y.n_bins
                flat = np.bincount(groups[known] * size + cell, minlength=grid.size)
                grid += flat.reshape(grid.shape)

    def merge(self, a: JointState, b: JointState) -> JointState:
        """Both together, in `a`."""
        for mine, theirs in zip(a, b, strict=True):
            for x, y in zip(mine, theirs, strict=True):
                x += y
        return a

    def joint(self, acc: JointState) -> pa.Table:
        """Rows of `joint`: the cells that are not empty."""
        tables = [JOINT.empty_table()]
        for scope, grids in zip(self.scopes, acc, strict=True):
            for pair, grid in zip(self.pairs, grids, strict=True):
                g, x, y = np.nonzero(grid)
                xs, ys = np.asarray(pair.x.edges), np.asarray(pair.y.edges)
                names = [scope.name], list(scope.groups), [pair.x.name], [pair.y.name]
                zeros = np.zeros_like(g)
                text = [
                    pa.array(n).take(pa.array(i))
                    for n, i in zip(names, (zeros, g, zeros, zeros), strict=True)
                ]
                numbers = [xs[x], xs[x + 1], ys[y], ys[y + 1], grid[g, x, y]]
                tables.append(pa.table([*text, *map(pa.array, numbers)], schema=JOINT))
        return pa.concat_tables(tables).combine_chunks()


@dataclass(frozen=True)
class Cooccurrence:
    """In how many images two of `objects` (the planned ones, most frequent first) are together."""

    objects: tuple[str, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """Rows and columns of the matrix."""
        return (*self.objects, OTHER, NONE)

    def zero(self) -> Ints:
        """(K, K) zeros."""
        return np.zeros((len(self.names), len(self.names)), dtype=np.int64)

    def update(self, acc: Ints, row: Ints, label: pa.Array) -> None:
        """Add (M,) boxes: the image of each, and its label."""
        from scipy.sparse import csr_matrix

        k = len(self.names)
        present = np.unique(row * k + code_of(label, self.names))
        if not len(present):
            return
        image, code = present // k, present % k
        ones = np.ones(len(present), dtype=np.int64)
        incidence = csr_matrix((ones, (image, code)), shape=(int(image[-1]) + 1, k))
        acc += (incidence.T @ incidence).toarray()

    def merge(self, a: Ints, b: Ints) -> Ints:
        """Both together, in `a`."""
        a += b
        return a

    def table(self, acc: Ints) -> pa.Table:
        """Rows of `cooccurrence`, most frequent first; a <= b."""
        i, j = np.nonzero(np.triu(acc))
        order = np.argsort(-acc[i, j], kind="stable")
        pairs = [(sorted((self.names[i[o]], self.names[j[o]])), acc[i[o], j[o]]) for o in order]
        a, b = [p[0][0] for p in pairs], [p[0][1] for p in pairs]
        n = pa.array([int(p[1]) for p in pairs], pa.int64())
        return pa.table([pa.array(a, pa.string()), pa.array(b, pa.string()), n], COOCCURRENCE)
