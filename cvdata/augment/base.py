"""What an augmentation is: it draws its parameters, and applies drawn parameters to a scene."""

from collections.abc import Mapping
from typing import Any, ClassVar, Protocol, runtime_checkable

import numpy as np

from cvdata.augment.scene import Scene

AUGMENT_VERSION = 1
"""Moves whenever the bytes of an augmented image can change for other reasons than an operation's
own `version`: seeding, mixing of labels, encoding."""

KINDS = (
    "geometric", "color", "noise", "blur", "compression", "erasing", "mixing", "policy",
)  # fmt: skip

Params = dict[str, Any]
"""JSON: numbers, texts, lists, nested."""


@runtime_checkable
class Operation(Protocol):
    """A frozen dataclass whose fields are its strengths.

    `version` moves whenever pixels or boxes can change for the same params; `kind` is one of
    KINDS; `n_partners` is how many other images it mixes in; `zero` are fields under which it
    changes nothing.
    """

    name: ClassVar[str]
    version: ClassVar[int]
    kind: ClassVar[str]
    n_partners: ClassVar[int]
    zero: ClassVar[Mapping[str, Any]]

    def draw(self, rng: np.random.Generator, scene: Scene) -> Params:
        """What is done to this scene: all randomness, as JSON."""
        ...

    def apply(self, scene: Scene, params: Params) -> Scene:
        """The scene after it: a function of its arguments and the fields, nothing else.

        A mixing operation takes its partners from the front of `scene.partners`.
        """
        ...
