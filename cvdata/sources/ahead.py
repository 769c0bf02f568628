"""Reading ahead in order, with a bound on the bytes held."""

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field

from cvdata.errors import ImageError

Fetched = bytes | ImageError


@dataclass
class ReadAhead:
    """Runs reads in threads and hands their results out in the order they were asked for.

    At most `bytes_ahead` bytes are being read or waiting, by the sizes announced, and always at
    least one read.
    """

    threads: int
    bytes_ahead: int
    _queue: deque[tuple["Future[Fetched]", int]] = field(default_factory=deque)
    _held: int = 0
    _pool: ThreadPoolExecutor | None = None

    def put(self, read: Callable[[], bytes], n_bytes: int) -> Iterator[Fetched]:
        """Ask for one more read of about `n_bytes`; yields results to make room for it."""
        while self._queue and (
            self._held + n_bytes > self.bytes_ahead or len(self._queue) >= 4 * self.threads
        ):
            yield self._pop()
        if self._pool is None:
            self._pool = ThreadPoolExecutor(self.threads, thread_name_prefix="fetch")
        self._queue.append((self._pool.submit(attempt, read), n_bytes))
        self._held += n_bytes

    def drain(self) -> Iterator[Fetched]:
        """All results that are still to come."""
        while self._queue:
            yield self._pop()

    def close(self) -> None:
        """Drop what was asked for and is not wanted any more."""
        for future, _ in self._queue:
            future.cancel()
        self._queue.clear()
        if self._pool is not None:
            self._pool.shutdown(wait=True, cancel_futures=True)

    def _pop(self) -> Fetched:
        future, n_bytes = self._queue.popleft()
        self._held -= n_bytes
        return future.result()


def attempt(read: Callable[[], bytes]) -> Fetched:
    """The bytes, or the `ImageError` as a value; any other exception is raised."""
    try:
        return read()
    except ImageError as error:
        return error
