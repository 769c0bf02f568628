"""Torch modules that take uint8 pictures. Imported by `setup()` only: this file imports torch."""

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn
from torch.overrides import TorchFunctionMode

from cvdata.errors import ConfigError
from cvdata.models.assembly import Execution
from cvdata.models.base import Batch, Normalise
from cvdata.models.feeding import Feeder, Staged

_DTYPES = {"float32": None, "float16": torch.float16, "bfloat16": torch.bfloat16}


class WithoutMemory(TorchFunctionMode):
    """Modules made within have the shapes of their weights and no numbers.

    Not `torch.device("meta")`: some builders compute their widths with small tensors.
    """

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Every `torch.empty`, which is how layers make their weights, goes to the meta device."""
        kwargs = dict(kwargs or {})
        if func is torch.empty:
            kwargs["device"] = "meta"
        return func(*args, **kwargs)


class Pixels(nn.Module):
    """uint8 NHWC -> normalised float NCHW, on whatever device the batch is."""

    mean: torch.Tensor
    std: torch.Tensor

    def __init__(self, normalise: Normalise) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(normalise.mean).view(1, 3, 1, 1) * 255)
        self.register_buffer("std", torch.tensor(normalise.std).view(1, 3, 1, 1) * 255)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Normalise (N, H, W, 3)."""
        pixels = images.permute(0, 3, 1, 2).to(torch.float32)
        return (pixels - self.mean) / self.std


class Classifier(nn.Module):
    """uint8 NHWC -> (L2-normalised penultimate features, softmax probabilities)."""

    def __init__(self, pixels: Pixels, features: nn.Module, head: nn.Module | None) -> None:
        super().__init__()
        self.pixels, self.features, self.head = pixels, features, head

    def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """One pass gives both."""
        features = self.features(self.pixels(images)).flatten(1)
        if self.head is None:
            return (_unit(features),)
        return _unit(features), torch.softmax(self.head(features).float(), dim=1)


class ConvClassifier(nn.Module):
    """The same for a fully convolutional head (SqueezeNet): the features are average-pooled."""

    def __init__(self, pixels: Pixels, features: nn.Module, head: nn.Module) -> None:
        super().__init__()
        self.pixels, self.features, self.head = pixels, features, head

    def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """One pass gives both."""
        grid = self.features(self.pixels(images))
        logits = self.head(grid).flatten(1)
        return _unit(grid.mean(dim=(2, 3))), torch.softmax(logits.float(), dim=1)


class Headed(nn.Module):
    """The same for a timm model, which names its own head."""

    def __init__(self, pixels: Pixels, model: Any) -> None:
        super().__init__()
        self.pixels, self.model = pixels, model

    def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """One pass gives both."""
        grid = self.model.forward_features(self.pixels(images))
        features = self.model.forward_head(grid, pre_logits=True)
        logits = self.model.get_classifier()(features)
        return _unit(features.flatten(1)), torch.softmax(logits.float(), dim=1)


class DetectorInput(nn.Module):
    """uint8 HWC pictures of any size -> torchvision's detectors, which take floats in [0, 1]."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: list[torch.Tensor]) -> list[dict[str, torch.Tensor]]:
        """One dict an image."""
        return self.model([image.permute(2, 0, 1).to(torch.float32) / 255 for image in images])  # type: ignore[no-any-return]


class ExportedInput(nn.Module):
    """uint8 NHWC -> an exported program, which takes that or normalised float NCHW."""

    def __init__(self, program: Any, normalise: Normalise, is_bgr: bool, name: str) -> None:
        super().__init__()
        self.program, self.is_bgr = program.module(), is_bgr
        inputs = [n.meta["val"] for n in program.graph.nodes if n.name in _user_inputs(program)]
        if len(inputs) != 1 or inputs[0].dim() != 4:
            raise ConfigError(f"{name} must take one input, the images as (N, H, W, 3)")
        first = inputs[0].shape[0]
        self.batch = first if isinstance(first, int) else None
        if self.batch not in (None, 1):
            raise ConfigError(f"{name} takes batches of exactly {self.batch}; export it freely")
        self.pixels = None if inputs[0].dtype == torch.uint8 else Pixels(normalise)

    def forward(self, images: torch.Tensor) -> Any:
        """The program's own outputs."""
        if self.is_bgr:
            images = images.flip(-1)
        return self.program(images if self.pixels is None else self.pixels(images))


def _user_inputs(program: Any) -> Sequence[str]:
    return program.graph_signature.user_inputs  # type: ignore[no-any-return]


class Segmenter(nn.Module):
    """uint8 NHWC -> (class of every pixel, its probability)."""

    def __init__(self, normalise: Normalise, model: nn.Module) -> None:
        super().__init__()
        self.pixels, self.model = Pixels(normalise), model

    def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Arg max and max of the softmax over classes, (N, H, W) each."""
        logits = self.model(self.pixels(images))["out"].float()
        probabilities, classes = torch.softmax(logits, dim=1).max(dim=1)
        return classes, probabilities


def split_head(model: nn.Module) -> tuple[nn.Module, nn.Linear]:
    """The model without its last linear layer, and that layer: features, then logits."""
    names = [name for name, part in model.named_modules() if isinstance(part, nn.Linear)]
    if not names:
        raise ConfigError(f"{type(model).__name__} ends in no linear layer; no embedding defined")
    parent, _, leaf = names[-1].rpartition(".")
    owner = model.get_submodule(parent)
    head = owner.get_submodule(leaf)
    setattr(owner, leaf, nn.Identity())
    assert isinstance(head, nn.Linear)  # noqa: S101  chosen so above
    return model, head


def load_state(
    model: nn.Module,
    path: Path,
    rename: Callable[[str], str] = lambda key: key,
    is_positional: bool = False,
) -> None:
    """Load a state dict (`.pth` with `weights_only=True`, or `.safetensors`), every key matched.

    Counters that only training reads (`num_batches_tracked`) may be absent. With `is_positional`
    the file's n-th tensor is the model's n-th: for a file whose names are another library's.
    """
    state: Any
    if path.suffix == ".safetensors":
        state = _safetensors(path)
    else:
        state = torch.load(path, map_location="cpu", weights_only=True)
    if isinstance(state.get("state_dict"), dict):
        state = state["state_dict"]
    # In place: an ordered dict carries the version notes that loading reads.
    names = list(model.state_dict()) if is_positional else [rename(key) for key in state]
    if len(names) != len(state):
        raise ConfigError(f"{path} has {len(state)} tensors, {type(model).__name__} {len(names)}")
    for key, name in zip(list(state), names, strict=True):
        state[name] = state.pop(key)
    missing, unexpected = model.load_state_dict(state, strict=False)
    missing = [key for key in missing if not key.endswith("num_batches_tracked")]
    if missing or unexpected:
        raise ConfigError(
            f"{path} does not fit {type(model).__name__}: missing {missing[:3]}, "
            f"unexpected {list(unexpected)[:3]}"
        )


class TorchRunner:
    """A module on a device: channels_last, autocast and compile as asked."""

    def __init__(
        self, module: nn.Module, device: str, execution: Execution, is_evaluated: bool = False
    ) -> None:
        torch.set_num_threads(execution.threads)
        self.device = torch.device(device)
        self.dtype = _DTYPES[execution.precision]
        if not is_evaluated:
            # An exported program is frozen in the mode and layout it was exported in.
            module = module.eval().to(memory_format=torch.channels_last)
        module = module.to(self.device)
        self.module: Any = torch.compile(module) if execution.compile else module
        self.is_cuda = self.device.type == "cuda"
        self.feeder = Feeder(self.device)

    def __call__(self, batch: Batch | Staged) -> Any:
        """The module's raw output for uint8 (N, H, W, 3), staged or not, or N arrays (H, W, 3)."""
        with torch.inference_mode(), self._autocast():
            if isinstance(batch, Staged):
                return self.module(self.feeder.wait(batch))
            if isinstance(batch, np.ndarray):
                return self.module(self._to_device(batch))
            return self.module([self._to_device(image) for image in batch])

    def _to_device(self, array: npt.NDArray[np.uint8]) -> torch.Tensor:
        if not array.flags.writeable or not array.flags.c_contiguous:
            array = array.copy()
        tensor = torch.from_numpy(array)
        if self.is_cuda:
            return tensor.pin_memory().to(self.device, non_blocking=True)
        return tensor.to(self.device)

    def _autocast(self) -> Any:
        if self.dtype is None:
            return nullcontext()
        return torch.autocast(self.device.type, self.dtype)


def to_numpy(tensors: Sequence[torch.Tensor]) -> list[npt.NDArray[Any]]:
    """Tensors on the host; half precision becomes float32."""
    wide = [t.float() if t.dtype in (torch.float16, torch.bfloat16) else t for t in tensors]
    return [tensor.cpu().numpy() for tensor in wide]


def _unit(vectors: torch.Tensor) -> torch.Tensor:
    """Rows of length one, in float32."""
    wide = vectors.float()
    unit: torch.Tensor = wide / wide.norm(dim=1, keepdim=True).clamp_min(1e-12)
    return unit


def _safetensors(path: Path) -> dict[str, torch.Tensor]:
    try:
        from safetensors.torch import load_file
    except ModuleNotFoundError:
        raise ConfigError(
            f"{path} needs the package safetensors (pip install 'cvdata[timm]')"
        ) from None
    state: dict[str, torch.Tensor] = load_file(path)
    return state
