"""Where work runs: a for-loop, an embedded Ray, or a cluster; Ray starts when work needs it."""

import logging
import os
import signal
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Literal, Protocol, TypeVar, runtime_checkable

import psutil
import pyarrow as pa

from cvdata.engine.allocator import keep_freed_memory
from cvdata.engine.auth import ensure_token, protect_token
from cvdata.engine.machines import refuse_private, refuse_unreachable
from cvdata.errors import ConfigError, CvdataError, RunInterrupted
from cvdata.stages.base import Resources

os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
os.environ.setdefault("RAY_DATA_USAGE_DISABLED", "1")

log = logging.getLogger("cvdata")
T = TypeVar("T")
R = TypeVar("R")
OBJECT_STORE_SHARE, OBJECT_STORE_CAP = 0.3, 4 * 1024**3
MAX_ITEMS_PER_TASK = 16
"""How many items a task may have at most: what a worker that comes late must wait for."""


@dataclass(frozen=True)
class EngineConfig:
    """How to run: `kind` auto (a cluster where `address` or RAY_ADDRESS names one, else local)."""

    kind: Literal["auto", "ray", "serial"] = "auto"
    address: str = ""
    workers: int = 0
    object_store_bytes: int = 0
    private_folder: str = ""
    """A path that only this machine has, where work is written: refused on several machines."""
    has_shared_paths: bool = False
    """Whether all machines mount what this one sees."""


class Session:
    """A running engine. Ray that was up already is used and left up; what we start, we end."""

    def __init__(self, config: EngineConfig | None = None) -> None:
        self.config = config or EngineConfig()
        self._started = False
        if not (self.config.address or os.environ.get("RAY_ADDRESS")):
            # Read when ray is first imported: an embedded Ray listens on loopback alone.
            os.environ.setdefault("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")

    def __enter__(self) -> "Session":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._started:
            import ray

            ray.shutdown()

    @property
    def is_serial(self) -> bool:
        """Whether work runs in this process, one item after the other."""
        return self.config.kind == "serial"

    def nodes(self) -> list[dict[str, float]] | None:
        """What the nodes of the Ray that is up, or is named, have; None where one would start."""
        import ray

        if not ray.is_initialized():
            if not (self.config.address or os.environ.get("RAY_ADDRESS")):
                return None
            self.start()
        return [dict(node["Resources"]) for node in ray.nodes() if node["Alive"]]

    def n_workers(self, resources: Resources) -> int:
        """How many workers of these needs run at once here."""
        if self.config.workers:
            return self.config.workers
        if self.is_serial:
            return 1
        import ray

        self.start()
        return max(1, int(ray.cluster_resources().get("CPU", 1) / max(resources.cpus, 0.01)))

    def run(
        self, work: Callable[[T], R], items: Sequence[T], resources: Resources | None = None
    ) -> Iterator[R]:
        """`work` on every item, results as they finish. Items and results must be small."""
        if not items:
            return iter(())
        if self.is_serial:
            return map(work, items)
        return self._run_on_ray(work, items, resources or Resources())

    def _run_on_ray(
        self, work: Callable[[T], R], items: Sequence[T], resources: Resources
    ) -> Iterator[R]:
        import ray
        from ray import cloudpickle
        from ray.data import TaskPoolStrategy

        self.start()
        workers = self.n_workers(resources)
        refuse_impossible(resources, ray.cluster_resources())
        tune_ray_data()
        groups = [cloudpickle.dumps(items[a:b]) for a, b in guided(len(items), workers)]
        dataset = ray.data.from_items(
            [{"items": group} for group in groups], override_num_blocks=len(groups)
        ).map_batches(
            _apply,
            fn_kwargs={"work": work},
            batch_size=None,
            batch_format="pyarrow",
            compute=TaskPoolStrategy(size=min(workers, len(groups))),
            num_cpus=resources.cpus,
            num_gpus=resources.gpus or None,
        )
        # A result leaves its task at once, not when a block of many megabytes is full of them.
        dataset.context.target_max_block_size = 1
        yield from self.receive(dataset)

    def receive(self, dataset: Any) -> Iterator[Any]:
        """The pickled `result` of each row of a Ray dataset, as they come; errors become ours."""
        import ray
        from ray import cloudpickle

        try:
            for batch in dataset.iter_batches(batch_size=None, batch_format="pyarrow"):
                for result in batch["result"].to_pylist():
                    yield cloudpickle.loads(result)
        except ray.exceptions.RayTaskError as error:
            raise _as_ours(error) from error
        except ray.exceptions.RayError as error:
            raise RunInterrupted(f"Ray stopped the run: {error}") from error

    def refuse_source(self, uri: str) -> None:
        """`ConfigError` where several machines are to read a file at a path of this one."""
        if self.is_serial or self.config.has_shared_paths:
            return
        import ray

        self.start()
        refuse_unreachable(uri, ray.nodes())

    def start(self) -> None:
        """Join the Ray that is up in this process, or the named cluster, or start one here."""
        import ray

        if ray.is_initialized():
            return
        address = self.config.address or os.environ.get("RAY_ADDRESS", "")
        quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
        told = signal.getsignal(signal.SIGTERM)
        if address:
            protect_token()
            context = ray.init(address=address, **quiet)
            if url := context.dashboard_url:
                log.info("Ray's dashboard: http://%s", url)
            refuse_private(self.config.private_folder, ray.nodes())
        else:
            ensure_token()
            store = object_store_size(self.config.object_store_bytes)
            ray.init(
                address="local",
                num_cpus=embedded_cpus(self.config.workers),
                include_dashboard=False,
                object_store_memory=store,
                **quiet,
            )
        if callable(told) and threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, told)  # Ray puts its own in place, which just dies
        self._started = True


@runtime_checkable
class TwoSteps(Protocol):
    """Work whose second step may run beside the first step of the next item."""

    def compute(self, item: Any) -> Any:
        """The first step; one at a time."""
        ...

    def write(self, computed: Any) -> Any:
        """The second step: the result. One at a time, in another thread."""
        ...


def _apply(batch: pa.Table, work: Callable[[Any], Any]) -> Iterator[pa.Table]:
    from ray import cloudpickle

    keep_freed_memory()
    items = [item for group in batch["items"].to_pylist() for item in cloudpickle.loads(group)]
    results = overlapped(work, items) if isinstance(work, TwoSteps) else map(work, items)
    for result in results:
        yield pa.table({"result": pa.array([cloudpickle.dumps(result)], pa.binary())})


def overlapped(work: TwoSteps, items: Iterable[Any]) -> Iterator[Any]:
    """Results in order; an item is written while the next one is computed."""
    with ThreadPoolExecutor(1, thread_name_prefix="write") as thread:
        last: Future[Any] | None = None
        for item in items:
            computed = work.compute(item)
            if last is not None:
                yield last.result()
            last = thread.submit(work.write, computed)
        if last is not None:
            yield last.result()


def guided(n_items: int, workers: int) -> Iterator[tuple[int, int]]:
    """Slices of `n_items` for tasks: large ones first, single items at the end.

    Between two tasks a worker waits for the driver, a fifth of a second (Ray Data polls); at the
    end workers wait for the last one. Guided self-scheduling (Polychronopoulos and Kuck 1987) makes
    both short.
    """
    start = 0
    while start < n_items:
        size = (n_items - start) // workers
        end = start + min(max(size, 1), MAX_ITEMS_PER_TASK)
        yield start, end
        start = end


def tune_ray_data() -> None:
    """Our settings of Ray Data, for the datasets that are made next."""
    from ray.data import DataContext

    context = DataContext.get_current()
    context.enable_progress_bars = False
    context.max_errored_blocks = 0
    context.enable_fallback_to_arrow_object_ext_type = False
    context.execution_options.preserve_order = False
    context.execution_options.verbose_progress = False
    logging.getLogger("ray.data").setLevel(logging.ERROR)


def embedded_cpus(workers: int) -> int:
    """CPUs of an embedded Ray: those of the machine, at least two, at least one a worker."""
    return max(2, os.cpu_count() or 1, workers)


def object_store_size(asked: int) -> int:
    """Bytes of the embedded Ray's object store."""
    memory = psutil.virtual_memory().total
    return asked or int(min(memory * OBJECT_STORE_SHARE, OBJECT_STORE_CAP))


def refuse_impossible(resources: Resources, cluster: dict[str, float]) -> None:
    """Say what is missing instead of waiting for ever."""
    for word, need in (("CPU", resources.cpus), ("GPU", resources.gpus)):
        if need > cluster.get(word, 0.0):
            raise ConfigError(
                f"one worker needs {need:g} {word}s and the cluster has "
                f"{cluster.get(word, 0.0):g}: add a node or lower the need"
            )


def _as_ours(error: Any) -> CvdataError:
    """The exception that a worker raised; a bug keeps its traceback in the message."""
    cause = getattr(error, "cause", None)
    while cause is not None and not isinstance(cause, CvdataError):
        cause = getattr(cause, "cause", None) or cause.__cause__
    if isinstance(cause, CvdataError):
        return cause
    return RunInterrupted(f"a worker failed: {error}")


def batches(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """Lists of at most `size` items."""
    batch: list[T] = []
    for item in items:
        batch.append(item)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch
