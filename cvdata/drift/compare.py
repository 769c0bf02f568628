"""Two sides of a comparison -> checks, each with its distance, its limit and its verdict."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from cvdata.drift.collect import OK, Collected, numbers
from cvdata.drift.distances import (
    Distance,
    kolmogorov_smirnov,
    numeric_psi,
    psi,
    share_above,
)


@dataclass(frozen=True)
class Limits:
    """From where on a difference alarms: an effect of some size that chance does not explain.

    `alpha`: the chance of a false alarm over all checks of one kind together (Bonferroni).
    """

    psi: float = 0.2
    ks: float = 0.15
    mix: float = 0.2
    errors: float = 0.01
    frechet: float = 0.05
    mmd: float = 0.01
    agreement: float = 0.05
    alpha: float = 0.01


@dataclass(frozen=True)
class Check:
    """One comparison. `kind`: measure, labels, objects, errors, embedding, agreement.

    `value` alarms at `limit` where `p_value` is below `alpha`, its share of the false alarms.
    `reference` and `current`: what each side has, in words or a number.
    """

    kind: str
    name: str
    statistic: str
    value: float
    limit: float
    p_value: float
    alpha: float
    reference: float | None = None
    current: float | None = None

    @property
    def is_alarm(self) -> bool:
        """Whether it is too large, and no chance."""
        return abs(self.value) >= self.limit and self.p_value < self.alpha


def compare_measures(
    reference: pa.Table, current: pa.Table, names: Sequence[str], limits: Limits
) -> list[Check]:
    """PSI and KS of every numeric measure (columns `names`), in their order."""
    checks = []
    alpha = limits.alpha / max(2 * len(names), 1)
    for name in names:
        a, b = numbers(reference, name), numbers(current, name)
        middle = _median(a), _median(b)
        found = (
            ("psi", numeric_psi(a, b), limits.psi),
            ("ks", kolmogorov_smirnov(a, b), limits.ks),
        )
        checks += [_check(("measure", name, s), d, (limit, alpha), middle) for s, d, limit in found]
    return checks


def compare_counts(
    kind: str, reference: Counter[str], current: Counter[str], limit: float, alpha: float
) -> list[Check]:
    """PSI of the class mix; nothing where a side has no classes at all."""
    names = sorted(set(reference) | set(current))
    a, b = (np.array([side[n] for n in names], np.int64) for side in (reference, current))
    if not a.sum() or not b.sum():
        return []
    found = psi(a, b)
    return [
        _check(
            (kind, "mix", "psi"),
            found,
            (limit, alpha),
            (float(len(reference)), float(len(current))),
        )
    ]


def compare_errors(reference: Collected, current: Collected, limits: Limits) -> list[Check]:
    """Share of images of each error code, and of all together."""
    codes = sorted((set(reference.errors) | set(current.errors)) - {OK})
    n, m = reference.n_images, current.n_images
    alpha = limits.alpha / (len(codes) + 1)
    checks = []
    for code in ("any", *codes):
        hits = [
            side.errors[code] if code != "any" else side.n_images - side.errors[OK]
            for side in (reference, current)
        ]
        found = share_above(n, hits[0], m, hits[1])
        shares = hits[0] / max(n, 1), hits[1] / max(m, 1)
        checks.append(_check(("errors", code, "share"), found, (limits.errors, alpha), shares))
    return checks


def worst_first(checks: Iterable[Check]) -> list[Check]:
    """Alarms first, then by how near each is to its limit."""
    return sorted(
        checks,
        key=lambda c: (
            not c.is_alarm,
            -abs(c.value) / max(c.limit, 1e-9),
            c.kind,
            c.name,
            c.statistic,
        ),
    )


def _check(
    what: tuple[str, str, str],
    found: Distance,
    at: tuple[float, float],
    sides: tuple[float | None, float | None],
) -> Check:
    return Check(*what, found.value, at[0], found.p_value, at[1], *sides)


def _median(values: np.ndarray) -> float | None:
    known = values[~np.isnan(values)]
    return float(np.median(known)) if len(known) else None
