"""ONNX files: what is refused, and how one is run."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from cvdata.errors import ConfigError
from cvdata.models.base import Batch, Normalise
from cvdata.models.weights import Weights, locate

log = logging.getLogger(__name__)

DOMAINS = frozenset({"", "ai.onnx", "ai.onnx.ml", "com.microsoft"})
"""Operator sets that ONNX Runtime itself holds; others would need a shared library."""

_ERRORS_ONLY = 3
_UINT8, _FLOAT, _HALF = "tensor(uint8)", "tensor(float)", "tensor(float16)"


def check_onnx(path: Path) -> None:
    """Refuse what reads other files or foreign code: external data, custom operators.

    Raises `ConfigError`. Initialisers, attributes, subgraphs and functions are all looked at.
    """
    import onnx
    from google.protobuf.message import DecodeError

    try:
        model = onnx.load(path, load_external_data=False)
    except DecodeError as error:
        raise ConfigError(f"{path} is not an ONNX file: {error}") from error
    local = {function.domain for function in model.functions}
    for node in _nodes(model):
        if node.domain not in DOMAINS | local:
            raise ConfigError(
                f"{path} uses the operator {node.domain}.{node.op_type}, which needs a library of "
                "its own; export it with standard operators"
            )
    for tensor in _tensors(model):
        if tensor.data_location == onnx.TensorProto.EXTERNAL or tensor.external_data:
            raise ConfigError(
                f"{path} keeps the tensor {tensor.name!r} in another file; save it as one file "
                "(onnx.save_model(..., save_as_external_data=False))"
            )


@dataclass
class OnnxNetwork:
    """An ONNX graph: images in, named arrays out.

    The input may be uint8 NHWC (the graph normalises) or float NCHW / NHWC, for which
    `normalise` is applied here. `outputs` names those that are computed; empty means all. With
    `is_any_size` the batch and the sides that the graph states are those of its export only.
    """

    weights: Weights
    name: str
    outputs: tuple[str, ...] = ()
    normalise: Normalise = field(default_factory=Normalise)
    channels: str = "rgb"
    threads: int = 1
    allow_download: bool = False
    is_any_size: bool = False
    _session: Any = field(default=None, init=False, repr=False, compare=False)
    _input: Any = field(default=None, init=False, repr=False, compare=False)

    def setup(self, device: str) -> None:
        """Verify the file and open it on `device`."""
        path = locate(self.weights, self.name, self.allow_download).path
        check_onnx(path)
        graph = without_sizes(path) if self.is_any_size else path
        self._session = open_session(graph, device, self.threads)
        if len(self._session.get_inputs()) != 1:
            names = [entry.name for entry in self._session.get_inputs()]
            raise ConfigError(f"{self.name} must take one input, the images; it takes {names}")
        self._input = self._session.get_inputs()[0]
        known = [entry.name for entry in self._session.get_outputs()]
        if missing := set(self.outputs) - set(known):
            raise ConfigError(f"{self.name} has no output {sorted(missing)}; it has {known}")

    @property
    def metadata(self) -> Mapping[str, str]:
        """The file's own key-value notes; after `setup()`."""
        return self._session.get_modelmeta().custom_metadata_map  # type: ignore[no-any-return]

    @property
    def input_size(self) -> tuple[int, int] | None:
        """(height, width) that the graph fixes, or None; after `setup()`."""
        shape = self._input.shape
        sides = shape[1:3] if self._is_channels_last() else shape[2:4]
        return (sides[0], sides[1]) if all(isinstance(side, int) for side in sides) else None

    def __call__(self, batch: Batch) -> dict[str, npt.NDArray[Any]]:
        """Run uint8 (N, H, W, 3); images of differing sizes run one by one and are joined."""
        if isinstance(batch, np.ndarray):
            return self._run(batch)
        parts = [self._run(image[None]) for image in batch]
        return {key: np.concatenate([part[key] for part in parts]) for key in parts[0]}

    def _run(self, images: npt.NDArray[np.uint8]) -> dict[str, npt.NDArray[Any]]:
        fixed = self._input.shape[0]
        if isinstance(fixed, int) and fixed != len(images):
            if fixed != 1:
                raise ConfigError(f"{self.name} takes batches of exactly {fixed}; export it freely")
            parts = [self._run(images[i : i + 1]) for i in range(len(images))]
            return {key: np.concatenate([part[key] for part in parts]) for key in parts[0]}
        names = list(self.outputs) or [entry.name for entry in self._session.get_outputs()]
        answers = self._session.run(names, {self._input.name: self._as_input(images)})
        return dict(zip(names, answers, strict=True))

    def _is_channels_last(self) -> bool:
        return bool(self._input.shape[-1] == 3)

    def _as_input(self, images: npt.NDArray[np.uint8]) -> npt.NDArray[Any]:
        if self.channels == "bgr":
            images = images[..., ::-1]
        if self._input.type == _UINT8:
            values: npt.NDArray[Any] = images
        elif self._input.type in (_FLOAT, _HALF):
            mean, std = (np.asarray(v, np.float32) for v in _mean_std(self.normalise))
            values = (images.astype(np.float32) - mean) / std
            values = values.astype(np.float16) if self._input.type == _HALF else values
        else:
            raise ConfigError(f"{self.name} takes {self._input.type}; uint8 or float was expected")
        if not self._is_channels_last():
            values = values.transpose(0, 3, 1, 2)
        return np.ascontiguousarray(values)

    def __getstate__(self) -> dict[str, Any]:
        """Without the session: it is opened again where it is needed."""
        return {**self.__dict__, "_session": None, "_input": None}


def without_sizes(path: Path) -> bytes:
    """The graph with batch and sides of its NCHW input left open, and no shapes of its outputs."""
    import onnx

    model = onnx.load(path, load_external_data=False)
    weights = {tensor.name for tensor in model.graph.initializer}
    for entry in model.graph.input:
        if entry.name in weights:  # as files of ONNX IR 3 list them
            continue
        shape = entry.type.tensor_type.shape
        for axis, name in ((0, "batch"), (2, "height"), (3, "width")):
            shape.dim[axis].dim_param = name
    for entry in model.graph.output:
        entry.type.tensor_type.ClearField("shape")
    del model.graph.value_info[:]
    return bytes(model.SerializeToString())


def only(path: Path, outputs: Sequence[str]) -> bytes:
    """The graph without what the wanted outputs do not need: ONNX Runtime would compute all."""
    import onnx
    from onnx.utils import Extractor

    whole = onnx.load(path, load_external_data=False)
    part = Extractor(whole).extract_model([i.name for i in whole.graph.input], list(outputs))
    part.metadata_props.extend(whole.metadata_props)
    return bytes(part.SerializeToString())


def open_session(graph: Path | bytes, device: str, threads: int = 1) -> Any:
    """An `onnxruntime.InferenceSession` on `device`, all graph optimisations on.

    One thread a session is best where there is a worker a core: a batch of one or four then
    stays in the cache (measured: two workers of one thread ran a fifth faster than one of two).
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = _ERRORS_ONLY
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    # A waiting thread must not burn the core that decodes.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    providers = _providers(device, onnxruntime.get_available_providers())
    source = graph if isinstance(graph, bytes) else str(graph)
    return onnxruntime.InferenceSession(source, options, providers=providers)


def _providers(device: str, available: Sequence[str]) -> list[Any]:
    if device == "auto":
        device = "cuda" if "CUDAExecutionProvider" in available else "cpu"
    if device == "cpu":
        return ["CPUExecutionProvider"]
    kind, _, index = device.partition(":")
    if kind != "cuda" or "CUDAExecutionProvider" not in available:
        raise ConfigError(
            f"this ONNX Runtime has no provider for {device!r} ({', '.join(available)}); "
            "install onnxruntime-gpu in place of onnxruntime, or set device: cpu"
        )
    return [("CUDAExecutionProvider", {"device_id": int(index or 0)}), "CPUExecutionProvider"]


def _mean_std(normalise: Normalise) -> tuple[list[float], list[float]]:
    return [255 * v for v in normalise.mean], [255 * v for v in normalise.std]


def _graphs(model: Any) -> Iterator[Any]:
    """Every graph and function body of a model, nested ones too."""
    waiting = [model.graph, *model.functions]
    while waiting:
        graph = waiting.pop()
        yield graph
        for node in graph.node:
            for attribute in node.attribute:
                if attribute.HasField("g"):
                    waiting.append(attribute.g)
                waiting.extend(attribute.graphs)


def _nodes(model: Any) -> Iterator[Any]:
    for graph in _graphs(model):
        yield from graph.node


def _tensors(model: Any) -> Iterator[Any]:
    for graph in _graphs(model):
        yield from getattr(graph, "initializer", ())
        for sparse in getattr(graph, "sparse_initializer", ()):
            yield from (sparse.values, sparse.indices)
        for node in graph.node:
            for attribute in node.attribute:
                if attribute.HasField("t"):
                    yield attribute.t
                yield from attribute.tensors
