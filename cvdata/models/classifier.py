"""Classifiers and their embeddings: torch on a GPU, ONNX Runtime on a CPU, the same numbers."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy.typing as npt

from cvdata.models import onnx_export
from cvdata.models.assembly import Execution
from cvdata.models.base import Batch, device_name

EMBEDDING, PROBABILITIES = "embedding", "probabilities"


class Source(Protocol):
    """Where a classifier module comes from; small and picklable, loads nothing until asked."""

    @property
    def identity(self) -> str:
        """Text of all that the built module depends on."""
        ...

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) of the input."""
        ...

    def build(self, allow_download: bool) -> tuple[Any, Sequence[str], tuple[str, ...]]:
        """(torch module on uint8 NHWC giving a tuple, class names, names of its outputs)."""
        ...


@dataclass
class ClassifierNetwork:
    """One output of a classifier: `embedding` or `probabilities`."""

    source: Source
    output: str
    execution: Execution = field(default_factory=Execution)
    labels: Sequence[str] = ()
    _run: Any = field(default=None, init=False, repr=False, compare=False)
    _stage: Any = field(default=None, init=False, repr=False, compare=False)

    @property
    def stage(self) -> Any:
        """What puts a batch on the device ahead of its call; None where that gains nothing."""
        return self._stage

    def setup(self, device: str) -> None:
        """Load onto `device`; on a CPU through an ONNX export that is made once."""
        runtime = self.execution.runtime
        if runtime != "torch" and device == "cpu":
            self._run = self._onnx()
            return
        device = device_name(device)
        use_onnx = runtime == "onnx" or (runtime == "auto" and device == "cpu")
        self._run = self._onnx(device) if use_onnx else self._torch(device)

    def __call__(self, batch: Batch) -> dict[str, npt.NDArray[Any]]:
        """{output: array} for uint8 (N, H, W, 3)."""
        return {self.output: self._run(batch)}

    def _onnx(self, device: str = "cpu") -> Any:
        from cvdata.models.onnx_session import only, open_session

        identity = self.source.identity
        cached = onnx_export.find_cached(identity)
        if cached is None:
            module, labels, outputs = self.source.build(self.execution.allow_download)
            notes = {"labels": json.dumps(list(labels))}
            cached = onnx_export.export(module, identity, self.source.size, outputs, notes)
        graph = only(cached[0], [self.output])
        session = open_session(graph, device, self.execution.threads)
        self.labels = json.loads(session.get_modelmeta().custom_metadata_map["labels"])
        return lambda batch: session.run([self.output], {onnx_export.INPUT: batch})[0]

    def _torch(self, device: str) -> Any:
        from cvdata.models import torch_network

        module, self.labels, names = self.source.build(self.execution.allow_download)
        index = names.index(self.output)
        runner = torch_network.TorchRunner(module, device, self.execution)
        self._stage = runner.feeder
        return lambda batch: torch_network.to_numpy([runner(batch)[index]])[0]

    def __getstate__(self) -> dict[str, Any]:
        """Without what was loaded: it is loaded again where it is needed."""
        return {**self.__dict__, "_run": None, "_stage": None}
