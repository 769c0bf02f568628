"""Policies: lists of operations, each with the probability that it takes place."""

import dataclasses
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from cvdata.augment.base import Operation, Params
from cvdata.augment.catalogue import build
from cvdata.augment.randomness import stream
from cvdata.augment.scene import Scene
from cvdata.errors import ConfigError

POLICY_FILE = Path(__file__).with_name("policies.yaml")
Written = str | Mapping[str, Mapping[str, Any] | None]
"""An operation as a config writes it: `name`, or `{name: {field: value, p: probability}}`."""


@dataclass(frozen=True)
class Step:
    """One operation; `p` is the probability that it takes place; `path` is how it was named."""

    operation: Operation
    p: float = 1.0
    path: str = ""

    @staticmethod
    def parse(written: Written) -> "Step":
        """The step that a config writes; `ConfigError` where it cannot be one."""
        if isinstance(written, str):
            return Step(build(written), 1.0, written)
        if not isinstance(written, Mapping) or len(written) != 1:
            raise ConfigError(f"an operation is `name` or `name: fields`, not {written!r}")
        ((name, fields),) = written.items()
        if fields is not None and not isinstance(fields, Mapping):
            raise ConfigError(f"the fields of {name} are names and values, not {fields!r}")
        values = dict(fields or {})
        p = values.pop("p", 1.0)
        if isinstance(p, bool) or not isinstance(p, int | float) or not 0 <= p <= 1:
            raise ConfigError(f"{name}: p is a probability, not {p!r}")
        return Step(build(name, values), float(p), name)

    def to_json(self) -> dict[str, Any]:
        """All that can change what it does."""
        operation: Any = self.operation
        return {
            "operation": self.path,
            "version": operation.version,
            "p": self.p,
            "fields": dataclasses.asdict(operation),
        }


@dataclass(frozen=True)
class Policy:
    """Operations in order. `name` names its table; it is no part of the fingerprint."""

    name: str
    steps: tuple[Step, ...]

    @staticmethod
    def of(name: str, operations: Sequence[Written] = ()) -> "Policy":
        """These operations, or where there are none the ready policy of that name."""
        written = operations or _ready().get(name)
        if written is None:
            raise ConfigError(
                f"no policy {name!r}; ready ones are {', '.join(ready_names())}, or list the "
                "operations of your own (docs/augment.md)"
            )
        if not name.replace("_", "").replace("-", "").isalnum():
            raise ConfigError(f"a policy's name is letters, digits, - and _, not {name!r}")
        return Policy(name, tuple(Step.parse(entry) for entry in written))

    @property
    def n_partners(self) -> int:
        """How many other images it may need."""
        return sum(step.operation.n_partners for step in self.steps)

    @property
    def fingerprint(self) -> str:
        """Hex sha256 of the operations, their fields, versions and probabilities."""
        text = json.dumps(
            [step.to_json() for step in self.steps], sort_keys=True, separators=(",", ":")
        )
        return hashlib.sha256(text.encode()).hexdigest()

    def __call__(self, scene: Scene, seed: int) -> tuple[Scene, list[Params]]:
        """The scene augmented, and what was done: for each step that took place its params.

        A step that does not take place leaves its partners to none.
        """
        done: list[Params] = []
        for number, step in enumerate(self.steps):
            rng = stream(seed, number)
            if rng.random() >= step.p:
                scene = _without_partners(scene, step.operation.n_partners)
                continue
            params = step.operation.draw(rng, scene)
            scene = step.operation.apply(scene, params)
            done.append({"step": number, "operation": step.path, **params})
        return scene, done

    def replay(self, scene: Scene, done: Sequence[Params]) -> Scene:
        """The same scene from recorded params: what was drawn, and nothing else, decides."""
        by_step = {params["step"]: params for params in done}
        for number, step in enumerate(self.steps):
            params = by_step.get(number)
            if params is None:
                scene = _without_partners(scene, step.operation.n_partners)
                continue
            own = {k: v for k, v in params.items() if k not in ("step", "operation")}
            scene = step.operation.apply(scene, own)
        return scene


def _without_partners(scene: Scene, n: int) -> Scene:
    return dataclasses.replace(scene, partners=scene.partners[n:]) if n else scene


@cache
def _ready() -> dict[str, list[Written]]:
    found: dict[str, list[Written]] = yaml.safe_load(POLICY_FILE.read_text(encoding="utf-8"))
    return found


def ready_names() -> tuple[str, ...]:
    """The policies that need no list of operations."""
    return tuple(_ready())
