"""Hash search as a run: in this process, or by the engine's shuffle; the same pairs either way."""

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from cvdata.duplicates import candidates as find
from cvdata.duplicates.candidates import Candidates, informative, packed_hashes
from cvdata.duplicates.partition import Partitioning, TaskSize, partitioned
from cvdata.engine.capacity import refuse_full_disk
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
SAMPLE_ROWS, SENT_BYTES = 65_536, 9
"""Images that the size of a shuffle is counted on, and bytes of what is sent of a hash."""


@dataclass(frozen=True)
class HashSearch:
    """A search by radius on one hash column; `how` is auto, local or shuffle."""

    column: str
    radius: int
    how: str = "auto"
    max_pairs: int = 200_000_000
    size: TaskSize = field(default_factory=TaskSize)
    range_rows: int = 262_144

    def is_local(self, n_images: int) -> bool:
        """Whether so many are compared in this process."""
        return self.how == "local" or (self.how == "auto" and n_images < LOCAL_BELOW)

    def __call__(
        self, session: Session, workspace: Workspace, hashes: pa.ChunkedArray, method: str
    ) -> Candidates:
        """Candidates of `method` (perceptual or dihedral) among `hashes`, the readable rows.

        Raises `hamming.TooManyPairs`, and `ConfigError` where the hash is not of 64 bits.
        """
        if self.is_local(len(hashes)):
            local = find.perceptual if method == "perceptual" else find.dihedral
            return local(hashes, self.radius, self.max_pairs)
        if hashes.type.byte_width != 8:
            raise ConfigError(f"--search shuffle takes hashes of 64 bits, not {self.column}")
        return self._shuffled(session, workspace, hashes, method)

    def _shuffled(
        self, session: Session, workspace: Workspace, hashes: pa.ChunkedArray, method: str
    ) -> Candidates:
        # tasks read the whole column: who is not among `hashes` stands aside (duplicates/crowds.py)
        # behind one that is, with the same hash, so no hash comes back that is not known here
        packed, rows = packed_hashes(hashes)
        good = informative(packed, self.radius)
        words, inverse = hamming.unique_words(hamming.pack_words(packed[good]))
        cut = partitioned(
            words, self.radius, self.column, is_dihedral=method == "dihedral", size=self.size
        )
        head = workspace.head
        reader = TableReader(workspace.store.url, head.seq, {"measures": [self.column, "error"]})
        sent = shuffle_bytes(workspace, self, head.tables["records"].rows, method)
        refuse_full_disk(workspace.store, sent, f"the shuffle of {self.column} ({method})")
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


def shuffle_bytes(workspace: Workspace, search: HashSearch, n_images: int, method: str) -> int:
    """Bytes that a search by shuffle writes below `_tmp/`; 0 where it compares in one process.

    Counted on a sample: ids are digests, so the images of the first range are a fair one.
    """
    if search.is_local(n_images):
        return 0
    first = workspace.ranges(SAMPLE_ROWS)[0]
    rows = workspace.read("measures", [search.column, "error"], id_range=first)
    packed, _ = packed_hashes(rows.filter(pc.is_null(rows["error"]))[search.column])
    good = packed[informative(packed, search.radius)]
    if not len(good):
        return 0
    share = len(rows) / max(n_images, 1)
    # Tasks as many as for all images, each that much smaller.
    size = TaskSize(
        max(1, int(search.size.words * share)),
        max(1.0, search.size.compares * share**2),
        search.size.most_slices,
    )
    words = hamming.unique_words(hamming.pack_words(good))[0]
    is_dihedral = method == "dihedral"
    cut = partitioned(words, search.radius, search.column, is_dihedral=is_dihedral, size=size)
    n_sent = sum(len(sent) for _, sent in cut.split(rows))
    return int(n_sent / share * SENT_BYTES)


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
