"""From counts and a target distribution to what each class gives or gets."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from cvdata.balance.settings import Balance
from cvdata.errors import ConfigError

I64 = npt.NDArray[np.int64]


@dataclass(frozen=True)
class ClassPlan:
    """One class: `n` images now, `exact` its share of the total, and what is done.

    `n_cut` images drop, `n_extra` copies (or repeats) are added; `achieved` = n − n_cut + n_extra.
    """

    label: str
    n: int
    exact: float
    n_cut: int
    n_extra: int

    @property
    def achieved(self) -> int:
        """Images in the end, copies counted."""
        return self.n - self.n_cut + self.n_extra

    @property
    def is_met(self) -> bool:
        """Within one image of its share."""
        return abs(self.achieved - self.exact) < 1


@dataclass(frozen=True)
class Plan:
    """What balancing does to each class, by name; `means` in a word for the table."""

    classes: tuple[ClassPlan, ...]

    @property
    def n_cut(self) -> int:
        """Images that drop."""
        return sum(c.n_cut for c in self.classes)

    @property
    def n_extra(self) -> int:
        """Copies or repeats."""
        return sum(c.n_extra for c in self.classes)

    def by_label(self) -> dict[str, ClassPlan]:
        """Each class by its name."""
        return {c.label: c for c in self.classes}

    def to_json(self) -> list[dict[str, Any]]:
        """For balance.json."""
        return [
            {
                "label": c.label,
                "n": c.n,
                "target": round(c.exact, 3),
                "n_cut": c.n_cut,
                "n_extra": c.n_extra,
                "achieved": c.achieved,
                "is_met": c.is_met,
            }
            for c in self.classes
        ]


def solve(
    counts: Mapping[str, int], settings: Balance, least: Mapping[str, int] | None = None
) -> Plan:
    """The plan that brings `counts` (images a class) to the target of `settings`.

    Each class ends within one image of total × share, unless it may not be cut, may not grow, has
    too few images for `max_copies`, or must keep `least` images. Raises `ConfigError` for a class
    without images.
    """
    shares = _shares(counts, settings)
    _refuse_empty(counts, shares)
    labels = sorted(shares)
    n = np.array([counts[label] for label in labels], np.int64)
    p = np.array([shares[label] for label in labels], np.float64)
    exact = _total(n, p, settings) * p
    goal = np.maximum(rounded(exact), 1)
    floor = np.array([(least or {}).get(label, 0) for label in labels], np.int64)
    low = n if settings.undersample == "none" else np.minimum(n, np.maximum(floor, 1))
    high = n if settings.oversample == "none" else n * (1 + settings.max_copies)
    goal = np.clip(goal, low, high)
    return Plan(
        tuple(
            ClassPlan(label, have, share, max(0, have - want), max(0, want - have))
            for label, have, share, want in zip(
                labels, n.tolist(), exact.tolist(), goal.tolist(), strict=True
            )
        )
    )


def _shares(counts: Mapping[str, int], settings: Balance) -> dict[str, float]:
    if settings.shares:
        raw = dict(settings.shares)
    elif settings.target == "equal":
        raw = dict.fromkeys(counts, 1.0)
    elif settings.target == "sqrt":
        raw = {label: math.sqrt(n) for label, n in counts.items()}
    else:
        raw = {label: float(n) for label, n in counts.items()}
    total = sum(raw.values())
    return {label: share / total for label, share in raw.items()} if total else raw


def _refuse_empty(counts: Mapping[str, int], shares: Mapping[str, float]) -> None:
    empty = sorted(label for label in shares if not counts.get(label))
    if empty:
        known = ", ".join(sorted(label for label, n in counts.items() if n)) or "none"
        raise ConfigError(
            f"cannot balance class {', '.join(map(repr, empty))}: no image of it is left in the "
            f"balanced splits, and there is nothing to copy. Classes with images: {known}. Give it "
            "a floor, add images, or name the classes you want in `shares`"
        )


def _total(n: I64, p: npt.NDArray[np.float64], settings: Balance) -> float:
    """How many images in all: as asked, else what the means allow."""
    if settings.total:
        return float(settings.total)
    if settings.undersample == "none":
        return float((n / p).max())
    if settings.oversample == "none":
        return float((n / p).min())
    return float(n.sum())


def rounded(exact: npt.NDArray[np.float64]) -> I64:
    """(C,) whole numbers within one of `exact` whose sum is the rounded sum (largest remainders).

    Ties go to the first.
    """
    counts = np.floor(exact + 1e-9).astype(np.int64)
    missing = round(float(exact.sum())) - int(counts.sum())
    for i in np.argsort(counts - exact, kind="stable")[: max(missing, 0)]:
        counts[i] += 1
    return counts


def spread(ranks: I64, n: int, total: int) -> I64:
    """(R,) how many of `total` copies the images of these ranks among `n` get.

    Everyone gets total // n, and the remainder is spread evenly over the ranks; over all ranks the
    sum is exactly `total`.
    """
    each, rest = divmod(total, n)
    return each + ((ranks + 1) * rest // n - ranks * rest // n)
