"""What the operator may say of a model."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any

from cvdata.errors import ConfigError
from cvdata.models.assembly import Execution
from cvdata.models.base import Task


@dataclass(frozen=True)
class ModelOptions:
    """Choices beside the name; None means the model's own.

    `weights` is a file, an https URL, the name of a published set (`IMAGENET1K_V2`), or
    `random` (seeded, for tests); a file or URL needs its `sha256`. `parameters` are those of
    the adapter (an ONNX detector's layout) or the arguments of the operator's own class.
    """

    task: Task | None = None
    weights: str | None = None
    sha256: str | None = None
    top_k: int = 5
    min_score: float | None = None
    labels: tuple[str, ...] = ()
    seed: int = 0
    execution: Execution = field(default_factory=Execution)
    parameters: Mapping[str, Any] = field(default_factory=dict)


def closest(name: str, known: Iterable[str]) -> str:
    """`; did you mean …?` where a known name is near, else nothing."""
    near = get_close_matches(name, list(known), 1)
    return f"; did you mean {near[0]!r}?" if near else ""


def refuse_unused(name: str, options: ModelOptions, *, has_own_weights: bool = False) -> None:
    """Raise `ConfigError` for what a model that has no `parameters`, or fixed weights, was given.

    What is not used must not look as if it were.
    """
    if options.parameters:
        given = ", ".join(options.parameters)
        raise ConfigError(
            f"{name} takes no model parameters ({given}): detectors of torchvision do, onnx/ and "
            "exported/ models, and classes of your own"
        )
    if has_own_weights:
        refuse_weights(name, options)


def refuse_weights(name: str, options: ModelOptions) -> None:
    """Raise `ConfigError` where other weights are asked of a model that has only its own."""
    if options.weights is not None or options.sha256 is not None:
        raise ConfigError(f"{name} has its own weights: leave --weights and --sha256 out")
