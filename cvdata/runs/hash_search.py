"""Hash search as a run: in this process, or by the engine's shuffle; the same pairs either way."""

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from cvdata.duplicates import candidates as find
from cvdata.duplicates.candidates import Candidates, informative, packed_hashes
from cvdata.duplicates.partition import Partitioning, TaskSize, partitioned
from cvdata.engine.session import Session
from cvdata.engine.shuffle import shuffle
from cvdata.engine.verbs import TableReader
from cvdata.errors import ConfigError
from cvdata.kernels import hamming
from cvdata.kernels.dihedral import nearest_pairs
from cvdata.kernels.graph import I32, Neighbors
from cvdata.kernels.hamming_join import U64
from cvdata.workspace import Workspace

LOCAL_BELOW = 20_000_000
"""Rows that this process compares faster than a shuffle writes them (docs/dedup.md)."""


@dataclass(frozen=True)
class HashSearch:
    """A search by radius on one hash column; `how` is auto, local or shuffle."""

    column: str
    radius: int
    how: str = "auto"
    max_pairs: int = 200_000_000
    size: TaskSize = field(default_factory=TaskSize)
    range_rows: int = 262_144

    def __call__(
        self, session: Session, workspace: Workspace, hashes: pa.ChunkedArray, method: str
    ) -> Candidates:
        """Candidates of `method` (perceptual or dihedral) among `hashes`, the readable rows.

        Raises `hamming.TooManyPairs`, and `ConfigError` where the hash is not of 64 bits.
        """
        is_local = self.how == "local" or (self.how == "auto" and len(hashes) < LOCAL_BELOW)
        if is_local:
            local = find.perceptual if method == "perceptual" else find.dihedral
            return local(hashes, self.radius, self.max_pairs)
        if hashes.type.byte_width != 8:
            raise ConfigError(f"--search shuffle takes hashes of 64 bits, not {self.column}")
        return self._shuffled(session, workspace, hashes, method)

    def _shuffled(
        self, session: Session, workspace: Workspace, hashes: pa.ChunkedArray, method: str
    ) -> Candidates:
        packed, rows = packed_hashes(hashes)
        good = informative(packed, self.radius)
        words, inverse = hamming.unique_words(hamming.pack_words(packed[good]))
        cut = partitioned(
            words, self.radius, self.column, is_dihedral=method == "dihedral", size=self.size
        )
        head = workspace.head
        reader = TableReader(workspace.store.url, head.seq, {"measures": [self.column, "error"]})
        work = _Pairs(cut, self.max_pairs)
        blocks, n_found = [], 0
        ranges = workspace.ranges(self.range_rows)
        for block in shuffle(session, workspace.store, reader, ranges, cut.split, work):
            n_found += len(block[2])
            if n_found > (4 if cut.is_dihedral else 1) * self.max_pairs:
                raise hamming.TooManyPairs(
                    f"more than {self.max_pairs:,} pairs lie within radius {self.radius}: "
                    "lower the radius"
                )
            blocks.append((_place(words, block[0]), _place(words, block[1]), block[2]))
        a, b, distance = _sorted_pairs(blocks)
        unit, n_units = find.units_of(len(hashes), rows[good], inverse, len(words))
        neighbors = Neighbors(unit, n_units, a, b, distance.astype(np.float32))
        return Candidates(method, neighbors, n_units - len(words), float(self.radius))


@dataclass(frozen=True)
class _Pairs:
    """The task of a partition; travels to workers."""

    cut: Partitioning
    limit: int

    def __call__(self, task: int, rows: pa.Table) -> tuple[U64, U64, npt.NDArray[np.uint8]]:
        return self.cut.pairs(task, rows, self.limit)


def _place(words: U64, some: U64) -> I32:
    """Rows of hashes among the sorted distinct ones."""
    return np.searchsorted(words[:, 0], some).astype(np.int32)


def _sorted_pairs(
    blocks: list[tuple[I32, I32, npt.NDArray[np.uint8]]],
) -> tuple[I32, I32, npt.NDArray[np.uint8]]:
    """All blocks as one, each pair once with its smallest distance, sorted by (a, b)."""
    if not blocks:
        no = np.empty(0, np.int32)
        return no, no, np.empty(0, np.uint8)
    a, b, distance = (np.concatenate(column) for column in zip(*blocks, strict=True))
    return nearest_pairs(a, b, distance)
