"""Models with a text tower: words and images in one space, as CLIP has them."""

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import numpy as np

from cvdata.errors import ConfigError
from cvdata.models.base import Floats, Model


@runtime_checkable
class TextEncoder(Protocol):
    """What an encoder adds that can be asked in words.

    Your own class (`pkg.mod:Class`) has it beside what `Encoder` asks; called after `setup()`.
    """

    def encode_text(self, texts: Sequence[str]) -> Floats:
        """Vectors float32 (N, dimension), L2-normalised, comparable with those of images."""
        ...


def text_vectors(model: Model, texts: Sequence[str]) -> Floats:
    """The vectors of `texts` by a model that was set up.

    Raises `ConfigError` where it has no text tower, or gives vectors that are not as long as
    those of its images.
    """
    encode = getattr(model, "encode_text", None)  # None too where the network has no such tower
    if encode is None:
        raise ConfigError(
            f"{model.name} has no text tower (a method encode_text): ask with --image or "
            "--image-id, or embed the images with a model that has one (docs/search.md)"
        )
    vectors = np.asarray(encode(texts), np.float32)
    if vectors.shape != (len(texts), model.dimension):
        raise ConfigError(
            f"encode_text of {model.name} gave an array of {vectors.shape}, "
            f"not ({len(texts)}, {model.dimension})"
        )
    return vectors
