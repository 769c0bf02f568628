"""The issues there are, and what a config may change about them."""

import dataclasses
import difflib
import importlib
import math
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, model_validator

from cvdata.errors import ConfigError
from cvdata.issues.base import Issue
from cvdata.issues.boxes import BoxDuplicate, BoxEmpty, BoxOutside, TinyObject
from cvdata.issues.file import (
    Corrupt,
    ExifRotated,
    OddAspectRatio,
    OddSize,
    Refused,
    Truncated,
    Unreachable,
    WrongExtension,
)
from cvdata.issues.labels import MismatchedLabel
from cvdata.issues.picture import (
    Blurry,
    Bordered,
    Clipped,
    Dark,
    Grayscale,
    Light,
    LowInformation,
    Noisy,
    Overcompressed,
)

Change = bool | dict[str, float]
_WORDS = {"on": True, "true": True, "off": False, "false": False}


def _nearest(name: str, known: list[str], what: str) -> ConfigError:
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.0)
    return ConfigError(f"no {what} {name!r}; did you mean {close[0]!r}?")


def _changed(issue: Issue, change: object) -> Issue:
    """`issue` with its parameters replaced; raises `ConfigError` for what it does not have."""
    if not isinstance(change, Mapping):
        raise ConfigError(f"issue {issue.name}: expected on, off or parameters, got {change!r}")
    known = [f.name for f in dataclasses.fields(issue)]  # type: ignore[arg-type]
    for key, value in change.items():
        if key not in known:
            raise _nearest(str(key), known, f"parameter of issue {issue.name}:")
        if (
            isinstance(value, bool)
            or not isinstance(value, int | float)
            or not math.isfinite(value)
        ):
            raise ConfigError(f"issue {issue.name}: {key} must be a number, got {value!r}")
        if key == "threshold" and not 0 <= value <= 1:
            raise ConfigError(f"issue {issue.name}: threshold must lie in 0..1, got {value!r}")
        if value < 0:
            raise ConfigError(f"issue {issue.name}: {key} must not be negative, got {value!r}")
    return dataclasses.replace(issue, **{k: float(v) for k, v in change.items()})  # type: ignore[type-var]


def _imported(path: str) -> Issue:
    """An issue from outside, `package.module:Class`, with its defaults."""
    module, _, name = path.partition(":")
    try:
        issue = getattr(importlib.import_module(module), name)()
    except (ImportError, AttributeError, TypeError) as error:
        raise ConfigError(f"cannot make an issue of {path!r}: {error}") from error
    if not dataclasses.is_dataclass(issue) or not isinstance(issue, Issue):
        raise ConfigError(
            f"{path!r} is no issue: it needs name, doc, definition, reason, columns, a threshold "
            "and a call"
        )
    if issue.name in {known.name for known in ISSUES}:
        raise ConfigError(f"{path!r}: there is an issue {issue.name!r} already")
    return issue


class IssueSettings(BaseModel):
    """Which issues are looked for, and their parameters.

    In YAML, by name: `issues: {dark: {threshold: 0.7}, blurry: off, keep: 0.5}`; your own as
    `my_package.my_module:MyIssue: on`. Raises `ConfigError` for an unknown name, naming the
    nearest.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    keep: float = Field(
        default=0.5,
        ge=0,
        le=1,
        description="rows are kept from this share of an issue's threshold on; 0 keeps all > 0",
    )
    changes: dict[str, Change] = Field(
        default_factory=dict, description="by issue: off, on, or its parameters, e.g. threshold"
    )

    @model_validator(mode="before")
    @classmethod
    def _by_name(cls, data: Any) -> Any:
        """Issue names at the top level become `changes`, checked."""
        if not isinstance(data, Mapping):
            raise ConfigError(f"issues: expected names and settings, got {data!r}")
        changes = dict(data.get("changes") or {})
        changes.update({k: v for k, v in data.items() if k not in cls.model_fields})
        # YAML knows on and off; flags and JSON bring them as text
        changes = {k: _WORDS.get(v, v) if isinstance(v, str) else v for k, v in changes.items()}
        apply_changes(changes)
        return {**{k: v for k, v in data.items() if k == "keep"}, "changes": changes}

    def issues(self) -> tuple[Issue, ...]:
        """The issues that are on, with their parameters."""
        return apply_changes(self.changes)


def apply_changes(changes: Mapping[str, object]) -> tuple[Issue, ...]:
    """`ISSUES` without those that are off, the others with their parameters replaced."""
    by_name = {issue.name: issue for issue in ISSUES}
    for name, change in changes.items():
        if ":" in str(name):
            by_name[name] = _imported(str(name))
        if name not in by_name:
            raise _nearest(str(name), list(by_name), "issue")
        if change is False:
            del by_name[name]
        elif change is not True:
            by_name[name] = _changed(by_name[name], change)
    return tuple(by_name.values())


ISSUES: tuple[Issue, ...] = (
    Dark(),
    Light(),
    Blurry(),
    LowInformation(),
    Grayscale(),
    OddSize(),
    OddAspectRatio(),
    Noisy(),
    Clipped(),
    Bordered(),
    Overcompressed(),
    ExifRotated(),
    WrongExtension(),
    Corrupt(),
    Truncated(),
    Refused(),
    Unreachable(),
    TinyObject(),
    BoxOutside(),
    BoxEmpty(),
    BoxDuplicate(),
    MismatchedLabel(),
)
