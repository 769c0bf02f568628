"""One pass over the items of a sandbox: who waits, who is in the child, who is answered."""

from collections import deque
from collections.abc import Iterator
from typing import Any, Protocol

from cvdata.errors import ErrorCode, ImageError, StorageError
from cvdata.stages.isolation_child import IDLE, STARTING, Answer
from cvdata.stages.isolation_process import LANES, Child, ChildGone, Task

_BATCH_ITEMS = 16
_BATCH_BYTES = 2 << 20
_IN_FLIGHT = LANES - 1
_MAX_IDLE_DEATHS = 3


class SandboxBug(RuntimeError):
    """The sandboxed callable raised something other than `ImageError`: a bug, not a bad image."""


class Host(Protocol):
    """What a run asks of its sandbox."""

    def child(self) -> Child:
        """The child at work, a new one where there is none."""
        ...

    def room(self) -> int | None:
        """How many more images the child at work may be sent; None for any number."""
        ...

    def number(self) -> int:
        """The number of the next image."""
        ...

    def close(self) -> None:
        """End the child."""
        ...


class Run:
    """Iterates over the outcomes of `source` in order; see `Sandbox.map`."""

    def __init__(self, source: Iterator[tuple[bytes, str]], sandbox: Host) -> None:
        self._source = source
        self._sandbox = sandbox
        self._order: deque[int] = deque()
        self._again: deque[Task] = deque()
        self._open: dict[int, Task] = {}
        self._batches: deque[tuple[int, set[int]]] = deque()
        self._answers: dict[int, Any] = {}
        self._idle_deaths = 0
        self._is_drained = False

    @property
    def is_unfinished(self) -> bool:
        """Whether the child may still be working on something of this run."""
        return bool(self._batches)

    def __iter__(self) -> Iterator[Any]:
        order = self._order
        while True:
            self._fill()
            if not order:
                return
            if order[0] not in self._answers:
                self._step()
            while order and order[0] in self._answers:
                yield self._outcome(self._answers.pop(order.popleft()))

    def _outcome(self, answer: Any) -> Any:
        if isinstance(answer, SandboxBug):
            raise answer
        return answer

    def _fill(self) -> None:
        """Keep two batches in the child, so that it works on while the next one is fetched."""
        while len(self._batches) < _IN_FLIGHT:
            room = self._sandbox.room()
            if room == 0 and not self._batches:
                self._sandbox.close()
                room = self._sandbox.room()
            batch = self._gather(_BATCH_ITEMS if room is None else min(room, _BATCH_ITEMS))
            if not batch:
                return
            self._send(batch)

    def _gather(self, room: int) -> list[Task]:
        batch: list[Task] = []
        size = 0
        while len(batch) < room and size < _BATCH_BYTES:
            task = self._next()
            if task is None:
                break
            batch.append(task)
            size += len(task.data)
        return batch

    def _next(self) -> Task | None:
        if self._again:
            return self._again.popleft()
        if self._is_drained:
            return None
        try:
            data, name = next(self._source)
        except StopIteration:
            self._is_drained = True
            return None
        task = Task(self._sandbox.number(), data, name)
        self._order.append(task.number)
        self._open[task.number] = task
        return task

    def _send(self, batch: list[Task]) -> None:
        used = {lane for lane, _ in self._batches}
        lane = next(i for i in range(LANES) if i not in used)
        self._sandbox.child().send(lane, batch)
        self._batches.append((lane, {task.number for task in batch}))

    def _step(self) -> None:
        """Wait for answers, and deal with a child that gives none."""
        child = self._sandbox.child()
        try:
            answers = child.receive()
        except ChildGone as gone:
            self._bury(gone)
            return
        child.tidy()
        for answer in answers:
            self._take(answer)

    def _take(self, answer: Answer) -> None:
        number, kind, value = answer
        if kind == "ready":
            return
        if number == STARTING:
            raise SandboxBug(f"the factory failed in the sandbox\n\n{value}")
        self._idle_deaths = 0
        if kind == "memory":
            self._bury(ChildGone(number, value), ErrorCode.OUT_OF_MEMORY)
        else:
            self._settle(number, _verdict(kind, value))

    def _settle(self, number: int, outcome: Any) -> None:
        del self._open[number]
        self._answers[number] = outcome
        for _, numbers in self._batches:
            numbers.discard(number)
        while self._batches and not self._batches[0][1]:
            lane, _ = self._batches.popleft()
            self._sandbox.child().release(lane)

    def _bury(self, gone: ChildGone, code: ErrorCode = ErrorCode.DECODER_CRASHED) -> None:
        """Start over without the suspect, which is tried once more, alone."""
        self._sandbox.close()
        self._batches.clear()
        self._again.clear()
        if gone.number in self._open:
            self._settle(gone.number, self._alone(self._open[gone.number], gone, code))
        elif gone.number in (STARTING, IDLE):
            self._idle_deaths += 1
            if self._idle_deaths > _MAX_IDLE_DEATHS:
                raise StorageError(f"the sandbox cannot be kept alive: {gone.reason}")
        self._again.extend(self._open.values())

    def _alone(self, task: Task, gone: ChildGone, code: ErrorCode) -> Any:
        if gone.is_timeout:
            return ImageError(ErrorCode.TIMEOUT, gone.reason)
        for _ in range(_MAX_IDLE_DEATHS):
            try:
                kind, value = self._ask(task)
            except ChildGone as again:
                self._sandbox.close()
                if again.number == task.number:
                    return ImageError(ErrorCode.TIMEOUT if again.is_timeout else code, again.reason)
                continue
            if kind == "memory":
                self._sandbox.close()
                return ImageError(ErrorCode.OUT_OF_MEMORY, value)
            return _verdict(kind, value)
        raise StorageError(f"the sandbox cannot be kept alive: {gone.reason}")

    def _ask(self, task: Task) -> tuple[str, Any]:
        """The answer of a child that has nothing else to do."""
        child = self._sandbox.child()
        child.send(0, [task])
        while True:
            for number, kind, value in child.receive():
                if number == task.number:
                    return kind, value
                self._take((number, kind, value))


def _verdict(kind: str, value: Any) -> Any:
    if kind == "ok":
        return value
    if kind == "bad":
        code, detail = value
        return ImageError(ErrorCode(code), detail)
    return SandboxBug(value)
