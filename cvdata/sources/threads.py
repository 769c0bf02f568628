"""Reading with several threads, and saying what the world did."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

from cvdata.errors import StorageError

T = TypeVar("T")
S = TypeVar("S")


@contextmanager
def world(doing: str) -> Iterator[None]:
    """Turn what the operating system or a store says into `StorageError`."""
    try:
        yield
    except OSError as error:
        raise StorageError(f"{doing} failed: {error}") from error


def ordered_map(
    action: Callable[[S], T], items: Iterable[S], *, threads: int, ahead: int = 2
) -> Iterator[T]:
    """`map` by threads, results in order, at most `ahead` per thread waiting; 0 threads: here."""
    if not threads:
        yield from map(action, items)
        return
    queue: deque[Future[T]] = deque()
    pool = ThreadPoolExecutor(threads, thread_name_prefix="read")
    try:
        for item in items:
            if len(queue) >= ahead * threads:
                yield queue.popleft().result()
            queue.append(pool.submit(action, item))
        while queue:
            yield queue.popleft().result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
