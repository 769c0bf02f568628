"""Batches of the right size, and one bad row that stays one bad row.

The batch grows until it no longer pays, and halves when memory runs out, without losing an
image. A batch that fails otherwise is halved until the image that fails it is alone.
"""

import logging
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from cvdata.errors import ConfigError, ErrorCode, ImageError
from cvdata.models.base import Batch, Floats, Model, Pixels, Prediction, Prepared
from cvdata.models.restoring import restore

log = logging.getLogger(__name__)

Result = Floats | Prediction | ImageError

LARGEST = 512
GAIN = 1.05
"""A batch twice as large is worth it when images/s grow by this factor."""


TRIAL_IMAGES = 16
"""Least images that a batch size is judged by."""


@dataclass
class _Trials:
    """Batch sizes tried so far: the next, the fastest and its images/s, doublings without gain."""

    size: int = 1
    best: int = 1
    rate: float = 0.0
    n_misses: int = 0

    def add(self, rate: float) -> bool:
        """Note the speed of `size`; whether to try no more."""
        self.n_misses = 0 if rate >= self.rate * GAIN else self.n_misses + 1
        if rate > self.rate * (1 + 1e-6):
            self.best, self.rate = self.size, rate
        self.size *= 2
        return self.n_misses == 2


@dataclass
class Runner:
    """Runs a model over any number of images, each giving a vector, a prediction or an error.

    `batch_size` None finds it on the first images. `predict` takes decoded images; `run` takes
    what `model.prepare` made, which may have happened in another process.
    """

    model: Model
    device: str = "auto"
    batch_size: int | None = None
    largest: int = LARGEST
    clock: Callable[[], float] = time.perf_counter
    n_halvings: int = field(default=0, init=False)
    _trials: _Trials = field(default_factory=_Trials, init=False, repr=False)

    def setup(self) -> None:
        """Load the model onto the device."""
        self.model.setup(self.device)

    def predict(self, images: Sequence[Pixels]) -> list[Result]:
        """One result for each uint8 (H, W, 3) image, in order, in original pixels."""
        return self.run([self.model.prepare(rgb) for rgb in images])

    def run(self, prepared: Sequence[Prepared]) -> list[Result]:
        """One result for each prepared image, in order, in original pixels."""
        results: list[Result] = []
        while len(results) < len(prepared):
            rest = prepared[len(results) :]
            results += self._measure(rest) if self.batch_size is None else self._stream(rest)
        return results

    def _stream(self, prepared: Sequence[Prepared]) -> list[Result]:
        """Batch after batch; where the model can stage, the next is copied while one is computed.

        At most two batches are staged at any time. Ends early where the batch size changes.
        """
        size = self.batch_size or 1
        stage = getattr(self.model, "stage", None)
        if stage is None or len(prepared) <= size:
            return self._run(prepared[:size])
        parts = [prepared[at : at + size] for at in range(0, len(prepared), size)]
        results: list[Result] = []
        with ThreadPoolExecutor(1, "stage") as ahead:
            waiting = ahead.submit(stage, [one.pixels for one in parts[0]])
            for i, part in enumerate(parts):
                # A copy that failed is tried again in `_run`, which knows what to do then.
                staged = None if waiting.exception() else waiting.result()
                if i + 1 < len(parts):
                    waiting = ahead.submit(stage, [one.pixels for one in parts[i + 1]])
                results += self._run(part, staged)
                if self.batch_size != size:
                    break
        return results

    def _measure(self, prepared: Sequence[Prepared]) -> list[Result]:
        """Do real work in growing batches until growth no longer pays; sets `batch_size`.

        Every size has at least `TRIAL_IMAGES`, so that small ones are not judged by one image. It
        stops after two doublings in a row that gained nothing: one may have been disturbed. Where
        the images run out first, the next call goes on with the size that was next.
        """
        trials = self._trials
        results = [] if trials.rate else self._run(prepared[:1])
        while self.batch_size is None:
            size = trials.size
            part = prepared[len(results) : len(results) + max(size, TRIAL_IMAGES)]
            if len(part) < max(size, TRIAL_IMAGES):
                break
            began = self.clock()
            for at in range(0, len(part), size):
                if self.batch_size is not None:
                    break  # memory ran out
                results += self._run(part[at : at + size])
            is_last = trials.add(len(part) / max(self.clock() - began, 1e-9))
            if self.batch_size is None and (is_last or trials.size > self.largest):
                self.batch_size = trials.best
        while self.batch_size is None and len(results) < len(prepared):
            results += self._run(prepared[len(results) : len(results) + trials.best])
        return results

    def _run(self, prepared: Sequence[Prepared], staged: Any = None) -> list[Result]:
        try:
            batch = self._stack([one.pixels for one in prepared]) if staged is None else staged
            outputs = self.model(batch)  # type: ignore[operator]
            found = _checked(outputs, len(prepared))
        except ConfigError:
            raise
        except Exception as error:  # sorted below
            if is_device_lost(error):
                raise
            # Without its frames, which would keep the failed batch in the device's memory.
            failure = error.with_traceback(None)
        else:
            return [_restored(value, one) for value, one in zip(found, prepared, strict=True)]
        return self._after(failure, prepared)

    def _after(self, failure: Exception, prepared: Sequence[Prepared]) -> list[Result]:
        """The batch in smaller parts: for good where memory ran out, else to find who fails it."""
        n, short = len(prepared), is_out_of_memory(failure)
        if n == 1:
            code = ErrorCode.OUT_OF_MEMORY if short else ErrorCode.MODEL_FAILED
            return [ImageError(code, f"{type(failure).__name__}: {failure}")]
        half = (n + 1) // 2
        if not short:
            return [*self._run(prepared[:half]), *self._run(prepared[half:])]
        self.n_halvings += 1
        self.batch_size = min(self.batch_size or half, half)
        log.warning("out of memory at a batch of %d; going on with %d", n, self.batch_size)
        results: list[Result] = []
        while len(results) < n:
            results += self._run(prepared[len(results) : len(results) + self.batch_size])
        return results

    def _stack(self, pixels: Sequence[Pixels]) -> Batch:
        return np.stack(pixels) if self.model.size is not None else pixels


def is_out_of_memory(error: BaseException) -> bool:
    """Whether memory of the host or the device ran out: Python's, torch's, ONNX Runtime's words."""
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    words = str(error).lower()
    return any(
        text in words
        for text in ("out of memory", "failed to allocate", "bad_alloc", "can't allocate memory")
    )


def is_device_lost(error: BaseException) -> bool:
    """Whether the device can run nothing more: nobody's image's fault, so it is raised."""
    if is_out_of_memory(error):
        return False
    words = str(error).lower()
    return type(error).__name__ == "AcceleratorError" or any(
        text in words
        for text in ("cuda error", "device-side assert", "cuda failure", "cudnn_status")
    )


def _checked(outputs: Any, n: int) -> list[Any]:
    """One value an image; a vector with a NaN or an infinity is an error of its own row."""
    if len(outputs) != n:
        raise ConfigError(f"the model gave {len(outputs)} results for {n} images")
    if not isinstance(outputs, np.ndarray):
        return list(outputs)
    is_finite = np.atleast_1d(np.isfinite(outputs).all(axis=1)).tolist()
    failed = ImageError(ErrorCode.MODEL_FAILED, "the embedding is not finite")
    return [row if good else failed for row, good in zip(outputs, is_finite, strict=True)]


def _restored(value: Any, prepared: Prepared) -> Result:
    if not isinstance(value, Prediction):
        return value  # type: ignore[no-any-return]
    told = (("score", value.scores), ("box", value.xyxy), ("keypoint", value.keypoints))
    for what, numbers in told:
        if numbers is not None and not np.isfinite(numbers).all():
            return ImageError(ErrorCode.MODEL_FAILED, f"a {what} is not finite")
    return restore(value, prepared.geometry)
