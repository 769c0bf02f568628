"""Batches staged ahead: the same answers, two buffers, nothing lost when memory runs out."""

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pytest
import torch

from cvdata.errors import ImageError
from cvdata.models import ModelOptions, resolve
from cvdata.models.assembly import Execution
from cvdata.models.batching import Runner
from cvdata.models.feeding import Feeder
from tests.models.test_batching import Finds


@dataclass
class Staging(Finds):
    """Finds, with a staging step that tells when it ran; `broken` batches fail to be staged."""

    events: list[str] = field(default_factory=list)
    broken: int = 0
    is_patient: bool = True
    staged: dict[int, threading.Event] = field(
        default_factory=lambda: {i: threading.Event() for i in range(41)}
    )

    def stage(self, images: Sequence[np.ndarray]) -> np.ndarray:
        assert threading.current_thread().name.startswith("stage")
        first = int(images[0][0, 0, 0])
        self.events.append(f"stage {first}")
        self.staged[first].set()
        if self.broken and first % self.broken == 0:
            raise MemoryError("planted while copying")
        return np.stack(images)

    def __call__(self, batch: np.ndarray) -> list:
        first = int(batch[0, 0, 0, 0])
        if self.is_patient and first + len(batch) < 40:
            is_ahead = self.staged[first + len(batch)].wait(10)
            assert is_ahead, "the next batch is staged while this one runs"
        self.events.append(f"run {first}")
        return super().__call__(batch)


def images(n: int) -> list[np.ndarray]:
    return [np.full((2, 2, 3), i, np.uint8) for i in range(n)]


def scores(results: list) -> list[int]:
    assert not any(isinstance(one, ImageError) for one in results)
    return [round(float(one.scores[0]) * 255) for one in results]


def test_the_next_batch_is_staged_while_one_is_computed() -> None:
    model = Staging()
    runner = Runner(model, "cpu", batch_size=10)
    assert scores(runner.predict(images(40))) == list(range(40))
    staged = {e: i for i, e in enumerate(model.events) if e.startswith("stage")}
    ran = {e: i for i, e in enumerate(model.events) if e.startswith("run")}
    for first in (10, 20, 30):
        assert staged[f"stage {first}"] < ran[f"run {first - 10}"]
    for first in (20, 30):
        assert staged[f"stage {first}"] > ran[f"run {first - 20}"], "two batches at most"


@pytest.mark.parametrize("fault", [{"memory": 3}, {"broken": 16}])
def test_a_failed_copy_and_a_full_device_lose_nothing(fault: dict[str, int]) -> None:
    runner = Runner(Staging(is_patient=False, **fault), "cpu", batch_size=8)
    assert scores(runner.predict(images(40))) == list(range(40))
    assert runner.n_halvings == (2 if "memory" in fault else 0)


def test_buffers_take_turns_and_grow() -> None:
    feeder = Feeder(torch.device("cpu"))
    rng = np.random.default_rng(0)
    batches = [rng.integers(0, 256, (n, 4, 5, 3), np.uint8) for n in (2, 3, 1, 6)]
    before = None
    for batch in batches:
        staged = feeder(list(batch))
        assert len(staged) == len(batch)
        np.testing.assert_array_equal(feeder.wait(staged).numpy(), batch)
        if before is not None:
            np.testing.assert_array_equal(before[0].tensor.numpy(), before[1])
        before = (staged, batch)
    addresses = [feeder(list(batches[2])).tensor.data_ptr() for _ in range(4)]
    assert addresses[0] == addresses[2] != addresses[1] == addresses[3]


def test_staged_batches_give_the_same_vectors() -> None:
    options = ModelOptions(weights="random", seed=5, execution=Execution(runtime="torch"))
    model = resolve("torchvision/mobilenet_v3_small", options)
    rng = np.random.default_rng(1)
    pictures = [rng.integers(0, 256, (300, 260, 3), np.uint8) for _ in range(7)]
    found = []
    for size in (7, 3):
        runner = Runner(model, "cpu", batch_size=size)
        runner.setup()
        found.append(np.stack(runner.predict(pictures)))
    assert model.stage is not None  # type: ignore[attr-defined]
    np.testing.assert_allclose(found[0], found[1], atol=1e-5)


@pytest.mark.gpu
def test_a_gpu_gives_the_vectors_of_a_cpu() -> None:
    options = ModelOptions(weights="random", seed=5, execution=Execution(runtime="torch"))
    rng = np.random.default_rng(1)
    pictures = [rng.integers(0, 256, (300, 260, 3), np.uint8) for _ in range(64)]
    found = []
    for device in ("cpu", "cuda"):
        runner = Runner(resolve("torchvision/mobilenet_v3_small", options), device, batch_size=8)
        runner.setup()
        found.append(np.stack(runner.predict(pictures)))
    assert (found[0] * found[1]).sum(axis=1).min() >= 0.9999
