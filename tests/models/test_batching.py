"""Batches: the right size, no image lost when memory runs out, a poison image alone."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cvdata.errors import ConfigError, ErrorCode, ImageError
from cvdata.models import Encoder, Geometry, Prediction, Predictor, Prepared, Task, resolve
from cvdata.models.batching import Runner, is_device_lost, is_out_of_memory
from cvdata.models.options import ModelOptions


@dataclass
class Finds:
    """A predictor whose one box is its input's first pixel; it fails as it is told to.

    More than `memory` images at once do not fit; a first red value in `poison` raises, in `nan`
    gives a score that is none.
    """

    memory: int = 10**9
    poison: frozenset[int] = frozenset()
    nan: frozenset[int] = frozenset()
    error: type[Exception] = MemoryError
    batches: list[int] = field(default_factory=list)

    name = "finds"
    task = Task.DETECT
    dimension = None
    licence = "test"
    labels: Sequence[str] = ("thing",)
    size = (2, 2)
    weights_digest = "0" * 64
    fingerprint = "0" * 64
    device = ""

    def setup(self, device: str) -> None:
        self.device = device

    def prepare(self, rgb: np.ndarray) -> Prepared:
        return Prepared(rgb[:2, :2], Geometry(rgb.shape[1], rgb.shape[0]))

    def __call__(self, batch: np.ndarray) -> list[Prediction]:
        if len(batch) > self.memory:
            raise self.error("CUDA out of memory. Tried to allocate 2.00 GiB")
        values = batch[:, 0, 0, 0].tolist()
        if bad := self.poison & set(values):
            raise ValueError(f"no kernel for {sorted(bad)}")
        self.batches.append(len(batch))
        return [
            Prediction(
                np.zeros(1, np.int32),
                np.array([np.nan if v in self.nan else v / 255], np.float32),
                xyxy=np.array([[0, 0, 1, 1]], np.float32),
            )
            for v in values
        ]


class OutOfMemoryError(RuntimeError):
    """Named as torch's."""


def images(n: int) -> list[np.ndarray]:
    return [np.full((3, 4, 3), i, np.uint8) for i in range(n)]


def seen(results: Sequence[object]) -> list[int | str]:
    return [
        round(float(r.scores[0]) * 255) if isinstance(r, Prediction) else str(r.code)  # type: ignore[attr-defined]
        for r in results
    ]


@settings(deadline=None)
@given(
    n=st.integers(0, 70),
    memory=st.integers(1, 80),
    batch=st.one_of(st.none(), st.integers(1, 64)),
    poison=st.frozensets(st.integers(0, 70), max_size=4),
    nan=st.frozensets(st.integers(0, 70), max_size=3),
    error=st.sampled_from([MemoryError, RuntimeError, OutOfMemoryError]),
)
def test_every_image_has_its_own_result(n, memory, batch, poison, nan, error) -> None:
    model = Finds(memory, poison, nan, error)
    runner = Runner(model, "cpu", batch)
    found = runner.predict(images(n))
    assert seen(found) == ["model_failed" if i in poison | nan else i for i in range(n)]
    assert max(model.batches, default=0) <= memory
    if batch is not None:
        assert runner.batch_size is not None
        assert runner.batch_size <= batch


def test_out_of_memory_halves_for_good_and_loses_nothing() -> None:
    model = Finds(memory=5, error=OutOfMemoryError)
    runner = Runner(model, "cpu", batch_size=32)
    assert seen(runner.predict(images(64))) == list(range(64))
    assert runner.batch_size == 4
    assert runner.n_halvings == 3
    model.batches.clear()
    runner.predict(images(16))
    assert model.batches == [4, 4, 4, 4]


def test_a_single_image_that_does_not_fit_is_an_error_of_its_own() -> None:
    found = Runner(Finds(memory=0), "cpu", 8).predict(images(3))
    assert [r.code for r in found] == [ErrorCode.OUT_OF_MEMORY] * 3  # type: ignore[union-attr]


def test_a_poison_image_does_not_shrink_the_batch() -> None:
    model = Finds(poison=frozenset({13}))
    runner = Runner(model, "cpu", batch_size=32)
    found = runner.predict(images(64))
    assert isinstance(found[13], ImageError)
    assert "no kernel for [13]" in found[13].detail
    assert runner.batch_size == 32
    assert model.batches[-1] == 32


@pytest.mark.parametrize("words", ["CUDA error: device-side assert triggered",
                                   "CUDA error: an illegal memory access"])  # fmt: skip
def test_a_lost_device_is_nobodys_images_fault(words: str) -> None:
    class Lost(Finds):
        def __call__(self, batch: np.ndarray) -> list[Prediction]:
            raise RuntimeError(words)

    with pytest.raises(RuntimeError, match="CUDA error"):
        Runner(Lost(), "cpu", 4).predict(images(8))


def test_a_wrong_number_of_results_is_the_models_fault() -> None:
    class Short(Finds):
        def __call__(self, batch: np.ndarray) -> list[Prediction]:
            return super().__call__(batch)[1:]

    with pytest.raises(ConfigError, match="3 results for 4 images"):
        Runner(Short(), "cpu", 4).predict(images(4))


def test_words_for_memory_and_for_a_lost_device() -> None:
    memory = [MemoryError(), OutOfMemoryError("x"), RuntimeError("CUDA out of memory."),
              RuntimeError("Failed to allocate memory for requested buffer of size 9"),
              RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried")]  # fmt: skip
    assert all(is_out_of_memory(error) and not is_device_lost(error) for error in memory)
    assert is_device_lost(RuntimeError("CUDA failure 700: an illegal memory access"))
    assert not is_out_of_memory(ValueError("bad shape"))
    assert not is_device_lost(ValueError("bad shape"))


class Clock:
    """A device that takes `seconds(n)` for a batch of n; time passes when it runs."""

    def __init__(self, seconds) -> None:
        self.now, self.seconds = 0.0, seconds

    def __call__(self) -> float:
        return self.now


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (lambda n: 1.0 * n, 1),  # nothing gained by more than one
        (lambda n: 1.0 + 0.001 * n, 512),  # a device that waits for work
        (lambda n: 1.0 * max(n, 16), 16),  # sixteen at once, then one after another
    ],
)
def test_the_batch_grows_while_it_pays(seconds, expected: int) -> None:
    clock = Clock(seconds)

    class Timed(Finds):
        def __call__(self, batch: np.ndarray) -> list[Prediction]:
            clock.now += seconds(len(batch))
            return super().__call__(batch)

    runner = Runner(Timed(), "cpu", clock=clock)
    assert seen(runner.predict(images(200) * 8)) == list(range(200)) * 8
    assert runner.batch_size == expected


def test_results_do_not_depend_on_the_batch(imagenet: list[np.ndarray], encoder: Encoder) -> None:
    some = imagenet[:9]
    alone, together = (
        np.stack(Runner(encoder, "cpu", size).predict(some))
        for size in (1, 4)  # type: ignore[arg-type]
    )
    np.testing.assert_allclose(alone, together, atol=1e-6)


def test_the_operators_own_class_is_a_model() -> None:
    model = resolve(f"{__name__}:Finds", ModelOptions(parameters={"memory": 3}))
    assert isinstance(model, Predictor)
    assert seen(Runner(model, "cpu").predict(images(9))) == list(range(9))
    with pytest.raises(ConfigError, match="is no model"):
        resolve(f"{__name__}:Clock", ModelOptions(parameters={"seconds": 1}))
