"""A stage in two halves: tasks prepare chunks on CPUs, actors that hold a model finish them.

Pixels travel from one to the other through Ray's object store, a planned chunk as one row that
nothing can cut, so that each chunk ends in the parts that any other way of running it would write.
"""

import math
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
import pyarrow as pa

from cvdata.engine.chunks import ChunkRunner, Done, checked, effort, worker
from cvdata.engine.session import Session, tune_ray_data
from cvdata.errors import ConfigError
from cvdata.parts import Part, PartSpec, write_keyed
from cvdata.stages.base import Resources, SplitStage
from cvdata.stopwatch import taken, timed

Item = tuple[str, bytes]
"""A records part, and the positions of the chunk's rows in it."""

HALFWAY = pa.schema([pa.field("receipts", pa.binary()), pa.field("prepared", pa.large_binary())])
"""A chunk between its halves: the receipts of the parts that are whole (None for those to come),
with what the first half cost, pickled; and what the second half takes as an Arrow stream, null
where nothing is left to do."""


@dataclass(frozen=True)
class Halves:
    """Both halves of one chunk: what runs in a task, and what runs in an actor."""

    runner: ChunkRunner
    stage: SplitStage

    def first(self, item: Item) -> pa.Table:
        """Everything up to the model, as one row of HALFWAY."""
        taken()
        with timed("compute"):
            rows, found = self.runner.begin(*item)
            prepared = None
            if any(part is None for part in found):
                done, prepared = self.stage.prepare(rows)
                found = [self._written(spec, done, rows) for spec in self.runner.specs]
        return _halfway(found, prepared)

    def second(self, chunk: pa.Table) -> Done:
        """The model, and the parts that wait for it; receipts in the order of the tables."""
        from ray import cloudpickle

        parts: list[Part | None]
        parts, seconds, first = cloudpickle.loads(chunk["receipts"][0].as_py())
        data = chunk["prepared"].combine_chunks()
        taken()
        if data[0].is_valid:
            # A view of the object store's memory: pixels are not copied on their way to the batch.
            rows = pa.ipc.open_stream(data[0].as_buffer()).read_all()
            with timed("finish"):
                done = self.stage.finish(rows)
                pairs = zip(parts, self.runner.specs, strict=True)
                parts = [part or self._written(spec, done, rows) for part, spec in pairs]
        if None in parts:
            raise AssertionError("a table was fed by neither half of its stage")
        spent = taken()
        cost = effort({**seconds, **spent}, spent.get("finish", 0.0), first)
        return Done([part for part in parts if part is not None], cost)

    def _written(
        self, spec: PartSpec, tables: Mapping[str, pa.Table], rows: pa.Table
    ) -> Part | None:
        if spec.table not in tables:
            return None
        return write_keyed(self.runner.store, spec, checked(tables[spec.table], rows, spec))


def _halfway(parts: Sequence[Part | None], prepared: pa.Table | None) -> pa.Table:
    from ray import cloudpickle

    receipts = pa.array([cloudpickle.dumps((list(parts), taken(), worker()))], pa.binary())
    if prepared is None:
        return pa.table([receipts, pa.nulls(1, pa.large_binary())], schema=HALFWAY)
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, prepared.schema) as writer:
        writer.write_table(prepared)
    data = sink.getvalue()
    ends = pa.py_buffer(np.array([0, data.size], np.int64))
    stream = pa.LargeBinaryArray.from_buffers(pa.large_binary(), 1, [None, ends, data])
    return pa.table([receipts, stream], schema=HALFWAY)


def run_halves(session: Session, halves: Halves, items: Sequence[Item]) -> Iterator[Done]:
    """Every chunk's receipts and cost, as they are finished."""
    if not items:
        return
    if session.is_serial:
        halves.stage.setup()
        for item in items:
            yield halves.second(halves.first(item))
        return
    yield from _run_on_ray(session, halves, items)


def _run_on_ray(session: Session, halves: Halves, items: Sequence[Item]) -> Iterator[Done]:
    import ray
    from ray import cloudpickle
    from ray.data import ActorPoolStrategy, TaskPoolStrategy

    session.start()
    tune_ray_data()
    stage, device, cpus = halves.stage, halves.stage.device, halves.stage.resources.cpus
    n_actors = pool_size(stage, session.nodes() or [])
    spare = ray.cluster_resources().get("CPU", 1.0) - n_actors * device.cpus
    n_tasks = session.config.workers or max(1, int(spare / cpus))
    dataset = ray.data.from_items(
        [{"item": cloudpickle.dumps(item)} for item in items], override_num_blocks=len(items)
    ).map_batches(
        _first,
        fn_kwargs={"halves": halves},
        batch_size=None,
        batch_format="pyarrow",
        compute=TaskPoolStrategy(size=min(n_tasks, len(items))),
        num_cpus=cpus,
    )
    dataset = dataset.map_batches(
        _Second,
        fn_constructor_kwargs={"halves": halves},
        batch_size=1,
        batch_format="pyarrow",
        compute=ActorPoolStrategy(size=n_actors, max_tasks_in_flight_per_actor=2),
        num_cpus=device.cpus,
        num_gpus=device.gpus or None,
    )
    yield from session.receive(dataset)


def _first(batch: pa.Table, halves: Halves) -> Iterator[pa.Table]:
    from ray import cloudpickle

    for item in batch["item"].to_pylist():
        yield halves.first(cloudpickle.loads(item))


class _Second:
    """The actor: it loads the model once."""

    def __init__(self, halves: Halves) -> None:
        self.halves = halves
        halves.stage.setup()
        self._idle_since = time.perf_counter()

    def __call__(self, batch: pa.Table) -> pa.Table:
        """One chunk -> its receipts, and what it cost."""
        from ray import cloudpickle

        waited = time.perf_counter() - self._idle_since
        done = self.halves.second(batch)
        cost = replace(done.effort, idle_seconds=done.effort.idle_seconds + waited)
        result = cloudpickle.dumps(replace(done, effort=cost))
        self._idle_since = time.perf_counter()
        return pa.table({"result": pa.array([result], pa.binary())})


class Pool(Protocol):
    """What the workers of the two halves need; `n_devices` 0: as many as the GPUs hold."""

    @property
    def resources(self) -> Resources:
        """One worker of the first half."""
        ...

    @property
    def device(self) -> Resources:
        """One worker of the second half."""
        ...

    @property
    def n_devices(self) -> int:
        """Workers of the second half."""
        ...


def pool_size(stage: Pool, nodes: Sequence[dict[str, float]]) -> int:
    """Actors that these nodes hold beside one task of the first half; at most as many as asked.

    `nodes` are CPUs and GPUs, node by node. Raises `ConfigError` where not even one fits: a pool
    that waits for room beside the tasks that feed it would wait for ever.
    """
    device, first, asked = stage.device, stage.resources, stage.n_devices
    if device.gpus and not asked:
        asked = sum(math.floor(node.get("GPU", 0.0) / device.gpus + 1e-9) for node in nodes)
    asked = max(asked, 1)
    for n in range(asked, 0, -1):
        if _fits(n, device, first, nodes):
            return n
    n_cpus, n_gpus = (sum(node.get(word, 0.0) for node in nodes) for word in ("CPU", "GPU"))
    raise ConfigError(
        f"a worker with the model needs {device.cpus:g} CPUs and {device.gpus:g} GPUs of one node, "
        f"and the task that feeds it {first.cpus:g} CPUs; the cluster has {n_cpus:g} CPUs and "
        f"{n_gpus:g} GPUs: add a node, lower gpus or threads, or set pipeline: tasks"
    )


def _fits(n: int, device: Resources, first: Resources, nodes: Sequence[dict[str, float]]) -> bool:
    """Whether `n` actors and one task of the first half find their places, greedily by GPU."""
    left = [dict(node) for node in sorted(nodes, key=lambda node: -node.get("GPU", 0.0))]
    for _ in range(n):
        for node in left:
            if node.get("CPU", 0.0) >= device.cpus and node.get("GPU", 0.0) >= device.gpus:
                node["CPU"] = node.get("CPU", 0.0) - device.cpus
                node["GPU"] = node.get("GPU", 0.0) - device.gpus
                break
        else:
            return False
    return any(node.get("CPU", 0.0) >= first.cpus for node in left)
