"""Programs of `torch.export`, without TorchScript: what is refused, and how one is run.

Such an archive is a zip of a graph, weights and sample inputs. torch unpickles some of it, and
evaluates its symbolic sizes: so a file is loaded only by its whole sha256, and one that holds a
pickled object or a compiled library is refused even then.
"""

import io
import json
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from cvdata.errors import ConfigError
from cvdata.models.assembly import Execution
from cvdata.models.base import Normalise, device_name
from cvdata.models.weights import Weights, locate

_REFUSED = ("custom_obj", "opaque_obj", "aotinductor", ".so")


def check_archive(path: Path) -> None:
    """Refuse what would run foreign code: pickled objects, compiled libraries, old formats."""
    import pickle

    import torch

    if not zipfile.is_zipfile(path):
        raise ConfigError(f"{path} is no torch.export archive (.pt2)")
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
        if not any(name.endswith("models/model.json") for name in names):
            raise ConfigError(f"{path} was not written by torch.export.save of torch 2.8 or later")
        for name in names:
            inner = name.partition("/")[2]
            is_refused = any(word in inner for word in _REFUSED)
            is_legacy = inner.endswith("model.pt") and "sample_inputs" not in inner
            if is_refused or is_legacy:
                raise ConfigError(f"{path} holds {inner}: pickled or compiled code is refused")
            if inner.endswith("_config.json"):
                _check_payloads(path, json.loads(archive.read(name)))
            if "sample_inputs" in inner:
                try:
                    torch.load(io.BytesIO(archive.read(name)), weights_only=True)
                except pickle.UnpicklingError as error:
                    raise ConfigError(f"{path} has sample inputs that are no tensors") from error


@dataclass
class ExportedNetwork:
    """A program: uint8 NHWC or float NCHW in, arrays out (by name, or `"0"`, `"1"`, … in order).

    The input's dtype tells which; a float input gets `(v / 255 - mean) / std`.
    """

    weights: Weights
    name: str
    outputs: tuple[str, ...] = ()
    normalise: Normalise = field(default_factory=Normalise)
    channels: str = "rgb"
    execution: Execution = field(default_factory=Execution)
    _run: Any = field(default=None, init=False, repr=False, compare=False)
    _is_single: bool = field(default=False, init=False, repr=False, compare=False)

    def setup(self, device: str) -> None:
        """Verify the file and load it onto `device`."""
        import torch
        from torch.export.passes import move_to_device_pass

        from cvdata.models.torch_network import ExportedInput, TorchRunner

        path = locate(self.weights, self.name, self.execution.allow_download).path
        check_archive(path)
        program = torch.export.load(path)
        place = device_name(device)
        if place != "cpu":
            program = move_to_device_pass(program, place)
        module = ExportedInput(program, self.normalise, self.channels == "bgr", self.name)
        self._is_single = module.batch == 1
        self._run = TorchRunner(module, place, self.execution, is_evaluated=True)

    @property
    def stage(self) -> Any:
        """What puts a batch on the device ahead of its call; None where pictures run singly."""
        return None if self._run is None or self._is_single else self._run.feeder

    def __call__(self, batch: Any) -> dict[str, npt.NDArray[Any]]:
        """Named outputs for uint8 (N, H, W, 3); images of differing sizes run one by one."""
        if not isinstance(batch, list) and not self._is_single:
            return self._named(self._run(batch))
        parts = [self._named(self._run(image[None])) for image in batch]
        return {key: np.concatenate([part[key] for part in parts]) for key in parts[0]}

    def _named(self, answer: Any) -> dict[str, npt.NDArray[Any]]:
        from cvdata.models.torch_network import to_numpy

        if isinstance(answer, Mapping):
            named = dict(answer)
        else:
            parts = answer if isinstance(answer, Sequence) else [answer]
            named = {str(i): part for i, part in enumerate(parts)}
        if missing := set(self.outputs) - set(named):
            raise ConfigError(f"{self.name} has no output {sorted(missing)}; it has {list(named)}")
        wanted = list(self.outputs) or list(named)
        return dict(zip(wanted, to_numpy([named[key] for key in wanted]), strict=True))

    def __getstate__(self) -> dict[str, Any]:
        """Without what was loaded: it is loaded again where it is needed."""
        return {**self.__dict__, "_run": None}


def _check_payloads(path: Path, config: Any) -> None:
    for name, payload in config["config"].items():
        if payload.get("use_pickle"):
            raise ConfigError(f"{path} pickles {name}; save it with plain tensors")
