"""Building an index: train on a sample, encode in slices, fill, tune and measure."""

import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from cvdata.engine.progress import ProgressBar
from cvdata.engine.session import Session
from cvdata.engine.shuffle import SPILL
from cvdata.index.choice import POINTS_PER_LIST
from cvdata.index.exact import SPARE, Nearest
from cvdata.index.measured import KS, Measured, Pairs, Truth, made_queries, measure
from cvdata.index.searcher import Searcher
from cvdata.index.trained import U8, Template, empty, n_training, train
from cvdata.kernels.neighbors import F32, I64
from cvdata.runs.index_plan import IndexSettings, Planned
from cvdata.runs.index_rows import (
    MakeShard,
    ReadVectors,
    Rows,
    Shard,
    Shared,
    Slice,
    pack_queries,
    slices,
)
from cvdata.storage import Store

HELD_OUT = 64
"""Of 256 images so many are never trained on, by their ids: recall is measured with them."""
SAMPLE_BYTES = 1 << 30
"""Vectors to train on, at most."""


@dataclass(frozen=True)
class Built:
    """A filled index, its rows in its order, what it finds, and how many it was trained for."""

    index: Any
    rows: Rows
    measured: Measured
    factory: str
    trained_rows: int


@dataclass(frozen=True)
class _Sets:
    """Rows in the order of the index: queries, answers that become made queries, training."""

    rows: Rows
    queries: I64
    turned: I64
    training: I64
    n_answers: int


def build(store: Store, session: Session, planned: Planned, settings: IndexSettings) -> Built:
    """The index of the planned rows; the same whatever was held of it before."""
    factory, dimension = planned.choice.factory, planned.dimension
    sets = _sets(planned.rows, factory, dimension, settings.n_queries)
    read = ReadVectors(store, dimension)
    if planned.held is not None:
        template, trained_rows = planned.held.template, planned.held.card.trained_rows
    else:
        sample = _read(session, read, sets.rows, sets.training)
        template = train(factory, sample, dimension)
        trained_rows = len(planned.rows) if len(sets.training) else 0
    asked = _queries(session, read, sets, settings.threshold)
    folder = f"{SPILL}/{secrets.token_hex(8)}"
    codes, truth = _pass(store, session, planned, sets, (template, asked, folder), settings)
    index = template.filled(codes[: sets.n_answers])
    last = codes[sets.n_answers :].copy()
    del codes
    measured = measure(Searcher(index), truth, settings.k, settings.target_recall)
    if len(last):
        template.extend(index, last)
    return Built(index, sets.rows, measured, factory, trained_rows)


def _sets(rows: Rows, factory: str, dimension: int, n_queries: int) -> _Sets:
    """Which rows are queries: by their ids, so that they stay so when others come and go.

    Queries are never trained on. In a graph they come last: it is measured before they are in it.
    """
    n, made = len(rows), Template(factory, empty(factory, dimension))
    parameter = Searcher(made.index).parameter
    wanted = n_queries * (2 if parameter else 1)
    by_chance = np.argsort(rows.chance, kind="stable")
    n_train = n_training(factory, dimension, POINTS_PER_LIST)
    is_held_out = np.ones(n, bool)
    if made.is_coded and n_train:
        is_held_out = (rows.chance & np.uint64(255)) < HELD_OUT
    elif not made.is_coded:
        wanted = min(wanted, max(1, n // 4))
    queries = by_chance[is_held_out[by_chance]][:wanted]
    n_answers = n
    if not made.is_coded and n > 1:
        others = np.setdiff1d(np.arange(n), queries)
        rows, n_answers = rows.take(np.concatenate([others, np.sort(queries)])), len(others)
        queries = np.arange(n_answers, n)
        is_held_out = np.arange(n) >= n_answers
        by_chance = np.argsort(rows.chance, kind="stable")
    most = min(n_train, max(1, SAMPLE_BYTES // (4 * dimension)))
    training = by_chance[~is_held_out[by_chance]][:most] if n_train else by_chance[:0]
    # in a graph the queries are no answers: others are turned
    turned = queries if n_answers == n else by_chance[by_chance < n_answers]
    return _Sets(rows, queries, turned[:n_queries], np.sort(training), n_answers)


def _queries(session: Session, read: ReadVectors, sets: _Sets, threshold: float) -> F32:
    """The held-out queries, then the made ones."""
    both = np.union1d(sets.queries, sets.turned)
    vectors = _read(session, read, sets.rows, both)
    held, turned = (vectors[np.searchsorted(both, one)] for one in (sets.queries, sets.turned))
    return np.concatenate([held, made_queries(turned, threshold)])


def _read(session: Session, read: ReadVectors, rows: Rows, some: I64) -> F32:
    """The vectors of `some` rows, in their order."""
    vectors = np.empty((len(some), read.dimension), np.float32)
    order = np.argsort(some, kind="stable")
    for numbers, found in session.run(read, slices(rows, some, read.dimension)):
        vectors[order[np.searchsorted(some[order], numbers)]] = found
    return vectors


def _pass(
    store: Store,
    session: Session,
    planned: Planned,
    sets: _Sets,
    shared: tuple[Template, F32, str],
    settings: IndexSettings,
) -> tuple[U8, Truth]:
    """Every vector once: codes of all rows, and what is truly near the queries."""
    template, queries, folder = shared
    n, n_held = len(sets.rows), len(sets.queries)
    own = np.concatenate([sets.queries, np.full(len(queries) - n_held, -1)])
    codes = np.empty((n, template.code_bytes), np.uint8)
    is_new = np.ones(n, bool)
    if planned.held is not None:
        planned.held.move_into(codes)
        is_new[planned.held.new] = False
    files = [
        Shared.put(store, folder, data)
        for data in (
            template.to_bytes(),
            pack_queries(queries, own),
            np.packbits(is_new).tobytes(),
        )
    ]
    work = MakeShard(
        store, planned.dimension, files[0], template.factory, files[1], max(*KS, settings.k),
        settings.threshold, sets.n_answers, files[2],
    )  # fmt: skip
    items = slices(sets.rows, np.arange(n), planned.dimension)
    try:
        near, query, row = _gather(session, work, items, codes, n_held)
    finally:
        for file in files:
            file.delete()
    held, made = query < n_held, query >= n_held
    pairs = Pairs(queries[n_held:], query[made] - n_held, row[made])
    truth = Truth(
        queries[:n_held], sets.queries, near, settings.threshold, query[held], row[held], pairs
    )
    return codes, truth


def _gather(
    session: Session, work: MakeShard, items: list[Slice], codes: U8, n_queries: int
) -> tuple[Nearest, I64, I64]:
    near = Nearest.none(n_queries)
    pairs: list[tuple[I64, I64]] = [(np.empty(0, np.int64), np.empty(0, np.int64))]
    with ProgressBar("index", len(codes), "vectors") as bar:
        shards: Iterable[Shard] = session.run(work, items)
        for shard in shards:
            codes[shard.rows] = shard.codes
            near = near.merged(shard.nearest, work.k + SPARE)
            pairs.append((shard.query, shard.row))
            bar.advance(shard.n_rows)
    query, row = (np.concatenate(column) for column in zip(*pairs, strict=True))
    order = np.lexsort((row, query))
    return near, query[order], row[order]
