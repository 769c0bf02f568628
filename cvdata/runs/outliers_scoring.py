"""Scores on the cluster: ranges of the dataset by its fit, classes each by a fit of its own."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from threadpoolctl import threadpool_limits

from cvdata.chance import shares
from cvdata.engine.session import Session
from cvdata.engine.shuffle import shuffle
from cvdata.engine.verbs import TableReader
from cvdata.keys import id_words
from cvdata.outliers.fitting import Fitted, fit
from cvdata.outliers.objects import Counts
from cvdata.outliers.rows import F64, Rows
from cvdata.outliers.scoring import methods_of, scored, scores_of
from cvdata.outliers.settings import Options, Usual
from cvdata.reading import IdRange
from cvdata.runs.outliers import View
from cvdata.storage import Store

CLASS_SAMPLE = 20_000
"""Images of a class that its methods are fitted on, about."""
CLASS_BUCKET = 1 << 18
"""Images of one class that one task scores at most, about."""
PACKED = 1 << 15
"""Small classes share a task until it has so many images."""
GUEST = "is_guest"


@dataclass(frozen=True)
class Block:
    """Rows that one task scored: where they lie, their scores by method, their classes."""

    path: str
    n: int
    scores: Mapping[str, F64]
    classes: tuple[str | None, ...]
    codes: "np.ndarray[tuple[int], np.dtype[np.int32]]"
    usual: Mapping[str | None, Mapping[str, Usual]]
    skipped: Mapping[str | None, Mapping[str, str]]


def write_arrow(store: Store, path: str, table: pa.Table) -> None:
    """A table as an Arrow file that only this run reads."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)
    store.put(path, sink.getvalue().to_pybytes())


def read_arrow(store: Store, path: str) -> pa.Table:
    """What `write_arrow` wrote."""
    return pa.ipc.open_file(pa.BufferReader(store.get(path))).read_all()


def block_of(store: Store, path: str, table: pa.Table, fits: Iterable[Fitted]) -> Block:
    """Write a scored table, and keep what ranks are made of."""
    write_arrow(store, path, table)
    encoded = table["class"].combine_chunks().dictionary_encode(null_encoding="encode")
    fits = list(fits)
    return Block(
        path,
        len(table),
        {m: scores_of(table, m).astype(np.float32) for m in methods_of(table)},
        tuple(encoded.dictionary.to_pylist()),
        np.asarray(encoded.indices, np.int32),
        {f.scope: f.usual for f in fits},
        {f.scope: f.skipped for f in fits},
    )


@dataclass(frozen=True)
class ScoreRange:
    """One range of ids scored by the dataset's methods."""

    store: Store
    folder: str
    reader: TableReader
    view: View
    fitted: Fitted

    def __call__(self, item: tuple[int, IdRange]) -> Block:
        """Read, project, score, write."""
        number, id_range = item
        with threadpool_limits(1):
            rows = Rows(self.view(self.reader.read(id_range)))
            table = scored(rows, self.fitted)
        return block_of(self.store, f"{self.folder}/all-{number:06d}.arrow", table, ())


@dataclass(frozen=True)
class ClassPlan:
    """Which task scores which class: (first partition, how many), and the rate of its sample.

    A class of more than `CLASS_BUCKET` images is cut by id into several tasks; the images that it
    is fitted on travel to each of them as guests.
    """

    partitions: Mapping[str, tuple[int, int]]
    rates: Mapping[str, float]
    seed: int

    @classmethod
    def of(cls, labels: Mapping[str, int], options: Options) -> "ClassPlan":
        """Of every class with at least `min_class` images."""
        partitions: dict[str, tuple[int, int]] = {}
        rates: dict[str, float] = {}
        number = packed = 0
        for label, n in sorted(labels.items()):
            if n < options.min_class:
                continue
            n_buckets = -(-n // CLASS_BUCKET)
            if packed and (packed + n > PACKED or n_buckets > 1):
                number, packed = number + 1, 0
            partitions[label] = (number, n_buckets)
            rates[label] = min(1.0, CLASS_SAMPLE / n)
            packed += n
            if n_buckets > 1:
                number, packed = number + n_buckets, 0
        return cls(partitions, rates, options.seed)


@dataclass(frozen=True)
class ScatterClasses:
    """Splits a range by the task that scores each row's class."""

    plan: ClassPlan
    view: View

    def __call__(self, table: pa.Table) -> Iterator[tuple[int, pa.Table]]:
        """(partition, rows); rows without a class that is scored go nowhere."""
        with threadpool_limits(1):
            rows = self.view(table)
        kept = pc.is_in(rows["label"], value_set=pa.array(list(self.plan.partitions), pa.string()))
        rows = rows.filter(kept)
        encoded = rows["label"].combine_chunks().dictionary_encode()
        labels = encoded.dictionary.to_pylist()
        code = np.asarray(encoded.indices, np.int64)
        placed = np.array([self.plan.partitions[one] for one in labels]).reshape(-1, 2)
        first, n_buckets = (placed[code, j] for j in (0, 1))
        bucket = (id_words(rows["image_id"])[:, 1] % n_buckets.astype(np.uint64)).astype(np.int64)
        places, partitions = [np.arange(len(rows))], [first + bucket]
        rate = np.array([self.plan.rates[one] for one in labels])[code] if labels else first
        in_sample = shares(rows["image_id"], self.plan.seed) < rate
        for step in range(1, int(n_buckets.max(initial=1))):
            at = np.flatnonzero(in_sample & (step < n_buckets))
            places.append(at)
            partitions.append(first[at] + (bucket[at] + step) % n_buckets[at])
        place, partition = np.concatenate(places), np.concatenate(partitions)
        is_guest = np.arange(len(place)) >= len(rows)
        for number in np.unique(partition).tolist():
            mine = np.flatnonzero(partition == number)
            part = rows.take(pa.array(place[mine]))
            yield number, part.append_column(GUEST, pa.array(is_guest[mine]))


@dataclass(frozen=True)
class ScoreClasses:
    """One task's classes: each fitted on its own sample, and scored."""

    store: Store
    folder: str
    plan: ClassPlan
    options: Options
    counts: Counts

    def __call__(self, partition: int, table: pa.Table) -> Block:
        """Class by class, in the order of their names."""
        tables, fits = [], []
        for label in sorted(pc.unique(table["label"]).to_pylist()):
            mine = table.filter(pc.equal(table["label"], label)).sort_by("image_id")
            in_sample = shares(mine["image_id"], self.plan.seed) < self.plan.rates[label]
            sample = Rows(mine.filter(pa.array(in_sample)))
            with threadpool_limits(1):
                fitted = fit(sample, label, self.options, self.counts)
                own = Rows(mine.filter(pc.invert(mine[GUEST])))
                tables.append(scored(own, fitted))
            fits.append(fitted)
        found = pa.concat_tables(tables, promote_options="default")
        return block_of(self.store, f"{self.folder}/class-{partition:06d}.arrow", found, fits)


def score_classes(
    session: Session, work: ScoreClasses, reader: TableReader, ranges: list[IdRange], view: View
) -> list[Block]:
    """Every class that is large enough, scored within itself."""
    if not work.plan.partitions:
        return []
    split = ScatterClasses(work.plan, view)
    found = shuffle(session, work.store, reader, ranges, split, work)
    return sorted(found, key=lambda block: block.path)
