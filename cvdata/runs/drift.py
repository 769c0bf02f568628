"""Drift as a run: two sides folded from their tables, compared, told; nothing is written there."""

import json
from collections import Counter
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cvdata.drift import (
    Check,
    Collected,
    Drivers,
    Embedded,
    Limits,
    compare_counts,
    compare_embeddings,
    compare_errors,
    compare_measures,
)
from cvdata.engine.session import Session
from cvdata.errors import ConfigError
from cvdata.kernels.neighbors import unit_rows
from cvdata.runs.drift_sides import Side, collect_measures, collect_vectors
from cvdata.vectors import matrix

LEAST_IMAGES = 10
"""Fewer readable images on a side say nothing."""


@dataclass(frozen=True)
class DriftOptions:
    """What is compared, on how many images, and from where on it alarms."""

    embeddings: str | None
    n_rows: int
    n_vectors: int
    n_drivers: int
    seed: int
    limits: Limits


@dataclass(frozen=True)
class Driver:
    """An image of the current side: `reason` is `embedding`, or the measure that moved most."""

    image_id: bytes
    key: str
    score: float
    reason: str


@dataclass(frozen=True)
class Drift:
    """Everything that a comparison found. `samples`: a sample of each side's measures."""

    reference: str
    current: str
    n_reference: int
    n_current: int
    checks: tuple[Check, ...]
    drivers: tuple[Driver, ...]
    samples: tuple[pa.Table, pa.Table]
    mixes: tuple[Counter[str], Counter[str]]
    notes: tuple[str, ...] = ()

    @property
    def alarms(self) -> list[Check]:
        """The checks that alarm."""
        return [check for check in self.checks if check.is_alarm]

    def to_json(self) -> str:
        """One JSON document: sides, verdict, every check, the images that drive it."""
        value: dict[str, Any] = {
            "reference": {"name": self.reference, "n_images": self.n_reference},
            "current": {"name": self.current, "n_images": self.n_current},
            "is_drifted": bool(self.alarms),
            "n_alarms": len(self.alarms),
            "notes": list(self.notes),
            "checks": [{**asdict(c), "is_alarm": c.is_alarm} for c in self.checks],
            "drivers": [
                {"image_id": d.image_id.hex(), "key": d.key, "score": d.score, "reason": d.reason}
                for d in self.drivers
            ],
        }
        return json.dumps(value, indent=1, sort_keys=False, allow_nan=False)


def compare(session: Session, reference: Side, current: Side, options: DriftOptions) -> Drift:
    """All checks that the tables of both sides allow."""
    known = set(current.measures())
    names = [name for name in reference.measures() if name in known]
    sides = [
        collect_measures(session, side, names, options.n_rows, options.seed)
        for side in (reference, current)
    ]
    a, b = (_rows(found, side) for found, side in zip(sides, (reference, current), strict=True))
    limits = options.limits
    checks = compare_measures(a, b, names, limits)
    first, second = sides
    checks += compare_counts("labels", first.labels, second.labels, limits.mix, limits.alpha)
    checks += compare_counts("objects", first.objects, second.objects, limits.mix, limits.alpha)
    checks += compare_errors(first, second, limits)
    model, notes = _model(reference, current, options.embeddings)
    drivers: list[Driver] = []
    if model:
        found, driven = _embedded(session, (reference, current), model, options)
        checks += found
        drivers = _driving(driven, options.n_drivers)
    else:
        drivers = _by_measure(a, b, checks, options.n_drivers)
    return Drift(
        reference.name,
        current.name,
        first.n_images,
        second.n_images,
        tuple(checks),
        _named(current, drivers),
        (a, b),
        (first.labels, second.labels),
        notes,
    )


def _rows(found: Collected, side: Side) -> pa.Table:
    if found.rows is None or len(found.rows) < LEAST_IMAGES:
        n = 0 if found.rows is None else len(found.rows)
        raise ConfigError(f"{side.name} has {n} readable images; {LEAST_IMAGES} are needed")
    return found.rows


def _model(reference: Side, current: Side, asked: str | None) -> tuple[str, tuple[str, ...]]:
    """The embeddings to compare: those asked for, else `default`, else the first of both.

    And what was left out: vectors of other weights lie in another space.
    """
    common = [
        name.partition("/")[2]
        for name in reference.workspace.tables()
        if name.startswith("embeddings/") and current.has(name)
    ]
    alike = [name for name in common if _is_one_space(reference, current, f"embeddings/{name}")]
    if asked is None:
        left = [f"embeddings/{name}" for name in common if name not in alike]
        told = f"left out, made with other weights on either side: {', '.join(left)}"
        model = "default" if "default" in alike else next(iter(alike), "")
        return model, (told,) if left else ()
    if asked and asked not in common:
        there = ", ".join(common) or "none"
        raise ConfigError(f"embeddings/{asked} is not in both; in both are: {there}")
    if asked and asked not in alike:
        raise ConfigError(
            f"embeddings/{asked} was made with other weights on either side: run `cvdata infer` "
            "with the same model, or compare without: --embeddings ''"
        )
    return asked, ()


def _is_one_space(reference: Side, current: Side, table: str) -> bool:
    """Whether vectors of both can be compared, as far as their commits tell."""
    metas = [side.workspace.head.tables[table].meta for side in (reference, current)]
    for name in ("weights", "dimension"):
        a, b = (meta.get(name) for meta in metas)
        if None not in (a, b) and a != b:
            return False
    return True


def _embedded(
    session: Session, sides: tuple[Side, Side], model: str, options: DriftOptions
) -> tuple[list[Check], Drivers]:
    found = [collect_vectors(session, s, model, options.n_vectors, options.seed) for s in sides]
    rows = [_rows(f, s) for f, s in zip(found, sides, strict=True)]
    labels = pc.unique(rows[0]["label"].drop_null())
    embedded = [_side(table, labels) for table in rows]
    return compare_embeddings(embedded[0], embedded[1], options.limits, options.seed)


def _side(rows: pa.Table, labels: pa.Array) -> Embedded:
    at = pc.fill_null(pc.index_in(rows["label"], value_set=labels), len(labels))
    codes = np.asarray(at, np.int64)
    codes[~np.asarray(pc.is_valid(rows["label"]))] = -1
    ids = np.frombuffer(b"".join(rows["image_id"].to_pylist()), np.uint8).reshape(-1, 16)
    return Embedded(unit_rows(matrix(rows["embedding"])), ids, codes)


def _driving(found: Drivers, n: int) -> list[Driver]:
    pairs = zip(found.ids[:n], found.scores[:n].tolist(), strict=True)
    return [Driver(i.tobytes(), "", score, "embedding") for i, score in pairs]


def _by_measure(a: pa.Table, b: pa.Table, checks: list[Check], n: int) -> list[Driver]:
    """Without embeddings: the images farthest out in a measure that alarms, in its MADs."""
    from cvdata.drift.collect import numbers

    names = sorted({c.name for c in checks if c.is_alarm and c.kind == "measure"})
    if not names:
        return []
    z = np.zeros((len(b), len(names)))
    for j, name in enumerate(names):
        usual = numbers(a, name)
        usual = usual[~np.isnan(usual)]
        if not len(usual):
            continue  # it came with the current side: no image is far from what there was
        middle = np.median(usual)
        spread = 1.4826 * np.median(np.abs(usual - middle))
        z[:, j] = np.nan_to_num(np.abs(numbers(b, name) - middle) / max(spread, 1e-9))
    z = np.minimum(z, 1e6)
    best = z.argmax(axis=1)
    score = np.round(z[np.arange(len(z)), best], 4)
    ids = b["image_id"].to_pylist()
    order = np.argsort(-score, kind="stable")[:n]
    return [Driver(ids[i], "", float(score[i]), names[best[i]]) for i in order.tolist()]


def _named(side: Side, drivers: list[Driver]) -> tuple[Driver, ...]:
    """With the keys of their images."""
    wanted = pa.array([d.image_id for d in drivers], pa.binary(16))
    keys: dict[bytes, str] = {}
    for id_range in side.workspace.ranges():
        rows = side.workspace.read("records", ["image_id", "key"], id_range=id_range)
        rows = rows.filter(pc.is_in(rows["image_id"], wanted))
        for row in rows.to_pylist():
            keys[row["image_id"]] = row["key"].decode("utf-8", "backslashreplace")
    return tuple(Driver(d.image_id, keys[d.image_id], d.score, d.reason) for d in drivers)
