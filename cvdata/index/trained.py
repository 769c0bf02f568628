"""FAISS indexes: trained on a sample, filled with codes, emptied into codes again.

What an index holds is a function of how it was trained and of which vectors are in it, never of
the order in which they came: `filled` takes the codes of all rows in their order, and `codes_of`
gives them back. So adding, deleting and building anew end in the same bytes.
"""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from cvdata.errors import ConfigError, WorkspaceError
from cvdata.kernels.neighbors import F32

U8 = npt.NDArray[np.uint8]
SMALL_FLOATS = 4_000_000
"""Below so many numbers threads wait for one another longer than they work."""


@dataclass(frozen=True)
class Template:
    """A trained index without rows, for vectors of inner product."""

    factory: str
    index: Any

    @property
    def dimension(self) -> int:
        """Length of a vector."""
        return int(self.index.d)

    @property
    def is_coded(self) -> bool:
        """Whether rows are stored each by itself, so that they can be added and taken out.

        Not so a graph, whose rows know one another: it is built anew.
        """
        import faiss

        base = base_of(self.index)
        if isinstance(base, faiss.IndexIVFFastScan):
            return False
        return isinstance(base, faiss.IndexFlatCodes | faiss.IndexIVF)

    @property
    def code_bytes(self) -> int:
        """Bytes that `encode` makes of a vector."""
        return int(self.index.sa_code_size()) if self.is_coded else 4 * self.dimension

    def encode(self, vectors: F32) -> U8:
        """(n, D) unit vectors -> (n, code_bytes): each row's list and code, or its float32."""
        vectors = np.ascontiguousarray(vectors, np.float32)
        if not len(vectors):
            return np.empty((0, self.code_bytes), np.uint8)
        if not self.is_coded:
            return vectors.view(np.uint8)
        return np.asarray(self.index.sa_encode(vectors), np.uint8)

    def filled(self, codes: U8) -> Any:
        """The index with these rows; row i has the number i. The template stays empty."""
        import faiss

        index = faiss.clone_index(self.index)
        self.extend(index, codes)
        return index

    def extend(self, index: Any, codes: U8) -> None:
        """Add rows to an index that `filled` made: to a graph at any time, else to an empty one."""
        if not self.is_coded:
            # several threads would link the graph in an order that changes from run to run
            with one_thread():
                index.add(np.ascontiguousarray(codes).view(np.float32).reshape(-1, self.dimension))
            return
        base = base_of(index)
        if lists_of(index) is None:
            base.add_sa_codes(np.ascontiguousarray(codes), np.arange(len(codes)))
        else:
            _fill_lists(base, codes)
        index.ntotal = base.ntotal

    def to_bytes(self) -> bytes:
        """As `from_bytes` reads it."""
        import faiss

        return bytes(faiss.serialize_index(self.index).tobytes())

    @staticmethod
    def from_bytes(factory: str, data: bytes) -> "Template":
        """Bytes of our own making only: FAISS does not survive hostile ones."""
        import faiss

        return Template(factory, faiss.deserialize_index(np.frombuffer(data, np.uint8)))


def empty(factory: str, dimension: int) -> Any:
    """An untrained index; `ConfigError` where FAISS does not know the factory string."""
    import faiss

    if "IDMap" in factory:
        raise ConfigError(f"{factory}: leave IDMap out, the ids lie beside the index")
    try:
        return faiss.index_factory(dimension, factory, faiss.METRIC_INNER_PRODUCT)
    except RuntimeError as error:
        raise ConfigError(
            f"FAISS makes no index of {factory!r} for {dimension} numbers: {_reason(error)}"
        ) from error


def n_training(factory: str, dimension: int, per_list: int) -> int:
    """How many vectors to train on; 0 where there is nothing to train."""
    index = empty(factory, dimension)
    if index.is_trained:
        return 0
    ivf = lists_of(index)
    lists = int(ivf.nlist) if ivf is not None else 0
    return max(per_list * lists, 65_536)


def train(factory: str, sample: F32, dimension: int) -> Template:
    """Train on (n, D) unit vectors; k-means runs on GPUs where there are any."""
    import faiss

    index = empty(factory, dimension)
    if not index.is_trained:
        ivf = lists_of(index)
        if ivf is not None:
            if len(sample) < ivf.nlist:
                raise ConfigError(
                    f"{factory} needs at least {ivf.nlist:,} vectors to train on and there are "
                    f"{len(sample):,}: ask for fewer lists, or for Flat"
                )
            ivf.cp.min_points_per_centroid = 1
            if faiss.get_num_gpus() > 0:
                # held by this name as well: the IVF itself does not keep it alive
                on_gpus = faiss.index_cpu_to_all_gpus(faiss.IndexFlatIP(ivf.d))
                ivf.clustering_index = on_gpus
        few = sample.size < SMALL_FLOATS
        try:
            with one_thread() if few else nullcontext():
                index.train(np.ascontiguousarray(sample, np.float32))
        except RuntimeError as error:
            raise ConfigError(
                f"{factory} cannot be trained on {len(sample):,} vectors: {_reason(error)}"
            ) from error
        if ivf is not None:
            ivf.clustering_index = None
    return Template(factory, index)


def emptied(factory: str, index: Any) -> Template:
    """What `index` was trained to be. `index` is left without rows."""
    import faiss

    index.reset()
    # a copy, for what was reset keeps its memory
    return Template(factory, faiss.clone_index(index))


def _fill_lists(base: Any, codes: U8) -> None:
    """Put each row into the list that its code begins with: each list is allocated once, whole.

    FAISS's own `add_sa_codes` lets lists grow by doubling.
    """
    import faiss

    n_list_bytes = codes.shape[1] - int(base.code_size)
    numbers = np.zeros((len(codes), 8), np.uint8)
    numbers[:, :n_list_bytes] = codes[:, :n_list_bytes]
    number = numbers.view("<i8")[:, 0]
    if len(number) and number.max() >= base.nlist:
        raise WorkspaceError("the index holds list numbers that it cannot have")
    order = np.argsort(number, kind="stable")
    edges = np.searchsorted(number[order], np.arange(base.nlist + 1))
    for k in np.flatnonzero(np.diff(edges)).tolist():
        rows = order[edges[k] : edges[k + 1]]
        inside = np.ascontiguousarray(codes[rows, n_list_bytes:])
        ids, bytes_of = faiss.swig_ptr(rows), faiss.swig_ptr(inside)
        base.invlists.add_entries(k, len(rows), ids, bytes_of)
    base.ntotal = len(codes)


def codes_of(template: Template, index: Any) -> U8:
    """(n, code_bytes): the codes that `filled` was given, by row number."""
    import faiss

    base, n = base_of(index), int(index.ntotal)
    if lists_of(index) is None:
        return faiss.vector_to_array(base.codes).reshape(n, -1)
    codes = np.empty((n, template.code_bytes), np.uint8)
    n_list_bytes = template.code_bytes - int(base.code_size)
    lists, seen = base.invlists, 0
    for k in range(base.nlist):
        size = int(lists.list_size(k))
        if not size:
            continue
        rows = faiss.rev_swig_ptr(lists.get_ids(k), size)
        inside = faiss.rev_swig_ptr(lists.get_codes(k), size * int(base.code_size))
        if rows.min() < 0 or rows.max() >= n:
            raise WorkspaceError("the index holds row numbers that it cannot have")
        prefix = np.frombuffer(k.to_bytes(8, "little"), np.uint8)[:n_list_bytes]
        codes[rows, :n_list_bytes] = prefix
        codes[rows, n_list_bytes:] = inside.reshape(size, -1)
        seen += size
    if seen != n:
        raise WorkspaceError(f"the index says {n:,} rows and holds {seen:,}")
    return codes


@contextmanager
def one_thread() -> Iterator[None]:
    """FAISS on one thread within the block."""
    import faiss

    before = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(1)
    try:
        yield
    finally:
        faiss.omp_set_num_threads(before)


def lists_of(index: Any) -> Any:
    """The inverted lists within `index`; None where it has none."""
    import faiss

    return faiss.try_extract_index_ivf(index)


def base_of(index: Any) -> Any:
    """The index that stores the rows, below what turns the vectors."""
    import faiss

    index = faiss.downcast_index(index)
    while isinstance(index, faiss.IndexPreTransform):
        index = faiss.downcast_index(index.index)
    return index


def _reason(error: RuntimeError) -> str:
    """FAISS's message without where in its sources it arose."""
    return str(error).rpartition(": ")[2].strip() or str(error)
