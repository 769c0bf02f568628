"""CLIP models: images and words in one space. Networks and tokenizers are open_clip's.

`open_clip/<architecture>` with a published tag whose file bears its own digest, or a weights file
pinned by sha256. On a CPU the image tower runs through ONNX Runtime as any classifier does; the
text tower is loaded only where words are asked for.
"""

import importlib.metadata as metadata
import importlib.util
import json
import pickle
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from cvdata.errors import ConfigError
from cvdata.models.assembly import Card, Execution, NetworkModel, Vectors
from cvdata.models.base import Batch, Floats, Model, Normalise, Task, digest
from cvdata.models.classifier import EMBEDDING, ClassifierNetwork
from cvdata.models.options import ModelOptions, closest, refuse_unused
from cvdata.models.resizing import CenterCrop, Stretch
from cvdata.models.weights import Weights, given_weights, locate

LICENCE = "MIT (open_clip); its weights under their own terms"
DEFAULT_ARCHITECTURE, DEFAULT_TAG = "ViT-B-32-quickgelu", "laion400m_e32"
"""CLIP ViT-B/32 as LAION trained it on 400 M pairs: 512 numbers, 605 MB, zero-shot top-1 62.9 %."""

RELEASES = "https://github.com/mlfoundations/open_clip/releases/"
"""Files under it end in the first digits of their sha256, and are plain state dicts."""


@dataclass(frozen=True)
class ClipSource:
    """Two towers with their weights, or seeded random numbers where there are none."""

    architecture: str
    weights: Weights | None
    weights_digest: str
    resize: CenterCrop | Stretch
    normalise: Normalise
    is_quick_gelu: bool = False
    seed: int = 0

    @property
    def identity(self) -> str:
        """Text of all that the image tower depends on."""
        parts = ["open_clip", self.architecture, self.weights_digest, self.is_quick_gelu]
        normalise = [self.size, self.normalise.mean, self.normalise.std]
        return json.dumps([*parts, *normalise, metadata.version("open_clip_torch")])

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) of the input."""
        return self.resize.size

    def build(self, allow_download: bool) -> tuple[Any, Sequence[str], tuple[str, ...]]:
        """The image tower: (module, no class names, names of its outputs)."""
        from cvdata.models import torch_network as parts

        pixels = parts.Pixels(self.normalise)
        return parts.Classifier(pixels, self.towers(allow_download).visual, None), (), (EMBEDDING,)

    def towers(self, allow_download: bool) -> Any:
        """Both, on the CPU."""
        import open_clip
        import torch

        path = None
        if self.weights is not None:
            path = locate(self.weights, f"open_clip/{self.architecture}", allow_download).path
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.seed)
            try:
                model = open_clip.create_model(
                    self.architecture,
                    str(path) if path else None,
                    load_weights=path is not None,
                    pretrained_text=False,
                    force_quick_gelu=self.is_quick_gelu,
                    weights_only=True,
                )
            except (RuntimeError, pickle.UnpicklingError, KeyError, ValueError) as error:
                # torch refuses TorchScript archives, as OpenAI's own files are, and other pickles.
                words = " ".join(str(error).split())[:200]
                raise ConfigError(
                    f"{path} does not fit {self.architecture}, or is no state dict: {words}"
                ) from error
        return model.eval()


@dataclass
class ClipNetwork:
    """The image tower for batches of pictures, the text tower for words."""

    source: ClipSource
    execution: Execution = field(default_factory=Execution)
    _images: ClassifierNetwork = field(init=False, repr=False, compare=False)
    _words: Any = field(default=None, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """The image tower as any classifier runs."""
        self._images = ClassifierNetwork(self.source, EMBEDDING, self.execution)

    @property
    def stage(self) -> Any:
        """What puts a batch on the device ahead of its call; None where that gains nothing."""
        return self._images.stage

    def setup(self, device: str) -> None:
        """Load the image tower onto `device`."""
        self._images.setup(device)

    def __call__(self, batch: Batch) -> Mapping[str, Any]:
        """{"embedding": float32 (N, D)} for uint8 (N, H, W, 3)."""
        return self._images(batch)

    def encode_text(self, texts: Sequence[str]) -> Floats:
        """Vectors float32 (N, D) of length one; on the CPU.

        What is longer than the model reads, 77 tokens as a rule, is cut off.
        """
        import open_clip
        import torch

        if self._words is None:
            towers = self.source.towers(self.execution.allow_download)
            towers.visual = None
            self._words = towers, open_clip.get_tokenizer(self.source.architecture)
        towers, split = self._words
        with torch.inference_mode():
            vectors: Floats = towers.encode_text(split(list(texts)), normalize=True).float().numpy()
        return vectors

    def __getstate__(self) -> dict[str, Any]:
        """Without the text tower: it is loaded again where it is needed."""
        return {**self.__dict__, "_words": None}


def clip_vit_b_32(name: str, options: ModelOptions) -> Model:
    """CLIP ViT-B/32 with LAION's weights, from their release or the file given."""
    return _model(name, DEFAULT_ARCHITECTURE, DEFAULT_TAG, options)


def open_clip_model(name: str, options: ModelOptions) -> Model:
    """`open_clip/<architecture>` with `weights`: a published tag, a file with sha256, `random`."""
    return _model(name, name.partition("/")[2], "", options)


def _model(name: str, architecture: str, tag: str, options: ModelOptions) -> Model:
    if importlib.util.find_spec("open_clip") is None:
        raise ConfigError(f"{name} needs the package open_clip; run: pip install 'cvdata[clip]'")
    if options.task not in (None, Task.EMBED):
        raise ConfigError(f"{name} can embed, not {options.task}")
    refuse_unused(name, options)
    config = _config(architecture)
    tag, weights, sha256 = _weights(name, architecture, tag, options)
    known = _published(architecture, tag)
    resize, normalise = _preprocessing(architecture, config, known)
    source = ClipSource(
        architecture, weights, sha256, resize, normalise,
        bool(known.get("quick_gelu")), options.seed,
    )  # fmt: skip
    parameters: dict[str, Any] = {"normalise": [normalise.mean, normalise.std]}
    parameters |= {"quick_gelu": source.is_quick_gelu}
    if options.execution.precision != "float32":
        parameters["precision"] = options.execution.precision
    card = Card(name, Task.EMBED, LICENCE, sha256, config["embed_dim"], (), parameters)
    return NetworkModel(card, resize, ClipNetwork(source, options.execution), Vectors(EMBEDDING))


def _config(architecture: str) -> Mapping[str, Any]:
    """open_clip's own description; `ConfigError` for what it cannot make by itself."""
    import open_clip

    found = open_clip.get_model_config(architecture)
    if found is None or ":" in architecture:
        hint = closest(architecture, open_clip.list_models())
        raise ConfigError(f"open_clip has no architecture {architecture!r}{hint}")
    words = found["text_cfg"]
    if words.get("hf_model_name") or words.get("hf_tokenizer_name") or "SigLIP" in architecture:
        raise ConfigError(
            f"{architecture} splits words by a tokenizer that open_clip fetches from a hub; take "
            "an architecture with its own, e.g. ViT-B-32, ViT-L-14, MobileCLIP2-S0"
        )
    return dict(found)


def _weights(
    name: str, architecture: str, tag: str, options: ModelOptions
) -> tuple[str, Weights | None, str]:
    """(tag, what to load, the digest that stands for it)."""
    asked = options.weights
    if asked == "random":
        return tag, None, digest({"random": architecture, "seed": options.seed})
    if asked is not None and (known := _published(architecture, asked)):
        tag = asked
    elif asked is not None:
        weights = given_weights(asked, options.sha256)
        assert weights is not None  # noqa: S101  something was asked for
        return tag, weights, locate(weights, name, options.execution.allow_download).sha256
    else:
        known = _published(architecture, tag)
    url = str(known.get("url") or "")
    if not url.startswith(RELEASES):
        raise ConfigError(_how_to_give(name, architecture, tag, known))
    weights = Weights(Path(urlsplit(url).path).stem.rpartition("-")[2], url=url)
    return tag, weights, locate(weights, name, options.execution.allow_download).sha256


def _how_to_give(name: str, architecture: str, tag: str, known: Mapping[str, Any]) -> str:
    import open_clip

    if not tag:
        tags = ", ".join(open_clip.list_pretrained_tags_by_model(architecture)) or "none"
        return f"{name} needs its weights: a published tag ({tags}), or a file and its sha256"
    hub = str(known.get("hf_hub") or known.get("url") or "nowhere").rstrip("/")
    return (
        f"open_clip publishes {architecture} {tag} without its sha256 (at {hub}): fetch the file "
        "yourself (.safetensors, or a state dict) and give it by --weights FILE --sha256 DIGEST"
    )


def _published(architecture: str, tag: str) -> Mapping[str, Any]:
    import open_clip

    found: Mapping[str, Any] = open_clip.pretrained.get_pretrained_cfg(architecture, tag)
    return found


def _preprocessing(
    architecture: str, config: Mapping[str, Any], known: Mapping[str, Any]
) -> tuple[CenterCrop | Stretch, Normalise]:
    """As open_clip's own evaluation does it; without a tag, as of the architecture's first."""
    import open_clip

    tags = open_clip.list_pretrained_tags_by_model(architecture)
    usual = known or (_published(architecture, tags[0]) if tags else {})
    mean = usual.get("mean", open_clip.OPENAI_DATASET_MEAN)
    std = usual.get("std", open_clip.OPENAI_DATASET_STD)
    kind = usual.get("interpolation", "bicubic")
    mode = usual.get("resize_mode", "shortest")
    side = config["vision_cfg"]["image_size"]
    height, width = side if isinstance(side, (list, tuple)) else (side, side)
    if mode == "shortest":
        crop = CenterCrop(min(height, width), height, width, kind)
        return crop, Normalise(tuple(mean), tuple(std))
    if mode != "squash":
        raise ConfigError(f"open_clip's resize mode {mode!r} is not supported")
    return Stretch(height, width, kind), Normalise(tuple(mean), tuple(std))
