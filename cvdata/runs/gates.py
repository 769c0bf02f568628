"""Gates: what the tables hold against the limits that were set for it, after a run or by itself.

A gate that cannot be checked, because its table or its number is not there, fails: nobody looked.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields

import pyarrow as pa
import pyarrow.compute as pc

from cvdata.config import Gates
from cvdata.drift import Limits
from cvdata.engine.session import EngineConfig, Session
from cvdata.errors import ConfigError
from cvdata.issues import ISSUES
from cvdata.keys import KeySet, key_columns
from cvdata.parts import parts_digest
from cvdata.runs.drift import LEAST_IMAGES, DriftOptions, compare
from cvdata.runs.drift_sides import Side
from cvdata.tables import KEY_COLUMNS
from cvdata.workspace import Workspace

LAST = "last"
NOTHING = "there is nothing to check it on"
_ISSUES = frozenset(issue.name for issue in ISSUES)
DRIFT_ROWS, DRIFT_VECTORS, DRIFT_DRIVERS = 50_000, 5_000, 3


@dataclass(frozen=True)
class Checked:
    """One gate: the value (None where it could not be known), its limit, and what to know of it."""

    name: str
    value: float | None
    limit: float
    is_failed: bool
    note: str = ""

    def line(self) -> str:
        """For a person."""
        value = "unknown" if self.value is None else f"{self.value:.4g}"
        verdict = "FAILED" if self.is_failed else "passed"
        tail = f" ({self.note})" if self.note else ""
        return f"gate {self.name}: {verdict}, {value} against {self.limit:g}{tail}"


def check_gates(workspace: Workspace, gates: Gates, before: int | None = None) -> list[Checked]:
    """Every gate that is set, on the newest commit; `before` is the commit that a run found.

    Drift from `last` holds the images that came after it against those that were there; without
    `before` those that came with the last change of `records`.
    """
    workspace.refresh()
    found = [*_shares(workspace, gates), *_metrics(workspace, gates)]
    if gates.drift_from:
        found.append(_drift(workspace, gates, before))
    return found


def refuse_unknown(gates: Gates) -> None:
    """`ConfigError` for what could never be checked, before any work is done."""
    limits_of(gates)
    if gates.drift_from not in ("", LAST):
        Side.open(gates.drift_from)
    for name in (*gates.min_metrics, *gates.max_metrics):
        if not name.rpartition(":")[0]:
            raise ConfigError(f"gates: {name!r} is no MODEL:METRIC")


def limits_of(gates: Gates) -> Limits:
    """The limits of the drift gate; `ConfigError` for a name that there is not."""
    known = [field.name for field in fields(Limits)]
    if unknown := sorted(set(gates.drift_limits) - set(known)):
        raise ConfigError(f"drift_limits: unknown {', '.join(unknown)}; there are {known}")
    return Limits(**gates.drift_limits)


def _shares(workspace: Workspace, gates: Gates) -> Iterator[Checked]:
    if gates.max_bad is not None:
        yield _at_most("max_bad", _share(workspace, "measures", ["error"], _bad), gates.max_bad)
    flagged = _flagged(workspace) if gates.max_flagged else {}
    for issue, limit in sorted(gates.max_flagged.items()):
        yield _at_most(f"max_flagged:{issue}", flagged.get(issue), limit)
    if gates.max_copies is not None:
        share = _share(workspace, "duplicates", ["image_id", "is_keeper"], _copies)
        yield _at_most("max_copies", share, gates.max_copies)
    if gates.max_leaks is not None:
        n = workspace.tables().get("leaks")
        yield _at_most("max_leaks", None if n is None else float(n), gates.max_leaks)
    if gates.min_kept is not None:
        share = _share(workspace, "selection", ["keep"], _kept)
        yield _at_least("min_kept", share, gates.min_kept)


def _n_images(workspace: Workspace) -> int:
    return max(workspace.tables().get("records", 0), 1)


def _share(
    workspace: Workspace, table: str, columns: list[str], count: Callable[[pa.Table], int]
) -> float | None:
    """Counted images of all; None where the table is not there."""
    if table not in workspace.tables():
        return None
    pieces = workspace.ranges()
    n = sum(count(workspace.read(table, columns, id_range=piece)) for piece in pieces)
    return n / _n_images(workspace)


def _flagged(workspace: Workspace) -> dict[str, float]:
    """Share of the images that each issue flags; of issues that nobody looked for nothing."""
    if "issues" not in workspace.tables():
        return {}
    counts = Counter(dict.fromkeys(_ISSUES, 0))  # no row: no image has anything of it
    for piece in workspace.ranges():
        rows = workspace.read("issues", ["issue", "is_flagged"], id_range=piece)
        for row in rows.group_by("issue").aggregate([("is_flagged", "sum")]).to_pylist():
            counts[row["issue"]] += row["is_flagged_sum"] or 0
    return {issue: n / _n_images(workspace) for issue, n in counts.items()}


def _bad(rows: pa.Table) -> int:
    return len(rows) - int(rows["error"].null_count)


def _copies(rows: pa.Table) -> int:
    copies = rows.filter(pc.invert(rows["is_keeper"]))
    return int(pc.count_distinct(copies["image_id"]).as_py())


def _kept(rows: pa.Table) -> int:
    return int(pc.sum(rows["keep"]).as_py() or 0)


def _metrics(workspace: Workspace, gates: Gates) -> Iterator[Checked]:
    for name, limit in sorted(gates.min_metrics.items()):
        value, missing = _metric(workspace, name)
        yield _at_least(f"min_metrics:{name}", value, limit, missing)
    for name, limit in sorted(gates.max_metrics.items()):
        value, missing = _metric(workspace, name)
        yield _at_most(f"max_metrics:{name}", value, limit, missing)


def _metric(workspace: Workspace, name: str) -> tuple[float | None, str]:
    """A number of `metrics/MODEL` that is of all images; None, and why, where there is none."""
    model, _, metric = name.rpartition(":")
    table = f"metrics/{model}"
    if table not in workspace.tables():
        return None, NOTHING
    rows = workspace.read_all(table)
    rows = rows.filter(pc.equal(rows["scope"], "all"))
    values = dict(zip(rows["metric"].to_pylist(), rows["value"].to_pylist(), strict=True))
    if metric not in values:
        return None, f"{table} has no {metric}, it has {', '.join(sorted(values))}"
    return values[metric], NOTHING


def _drift(workspace: Workspace, gates: Gates, before: int | None) -> Checked:
    """Checks of `cvdata drift` that alarm, of at most none."""
    name, url = f"drift_from:{gates.drift_from}", workspace.store.url
    reference, current = gates.drift_from, url
    if gates.drift_from == LAST:
        seq = _last_complete(workspace, before)
        if seq is None:
            return Checked(name, 0.0, 0.0, False, "nothing was there before")
        if (n := _n_new(workspace, seq)) < LEAST_IMAGES:
            return Checked(name, 0.0, 0.0, False, f"{n} new images since commit {seq}: too few")
        reference, current = f"{url}@{seq}", f"{url}@{seq}+"
    options = DriftOptions(None, DRIFT_ROWS, DRIFT_VECTORS, DRIFT_DRIVERS, 0, limits_of(gates))
    try:
        with Session(EngineConfig("serial")) as session:
            found = compare(session, Side.open(reference), Side.open(current), options)
    except ConfigError as error:  # too few images, no measures: of what is committed by now
        return Checked(name, None, 0.0, True, str(error))
    worst = ", ".join(f"{c.kind} {c.name} {c.value:.3g}" for c in found.alarms[:5])
    note = f"{len(found.alarms)} of {len(found.checks)} checks alarm" + (worst and f": {worst}")
    return Checked(name, float(len(found.alarms)), 0.0, bool(found.alarms), note)


def _last_complete(workspace: Workspace, before: int | None) -> int | None:
    """The newest commit in which each image was measured: up to `before`, or with other images."""
    head = workspace.head.tables.get("records")
    for commit in reversed(workspace.commits()):
        records = commit.tables.get("records")
        if before is not None and commit.seq > before:
            continue
        if records is None or (before is None and head and records.parts == head.parts):
            continue
        covers = parts_digest(records.parts)
        sets = [s for n, s in commit.tables.items() if n.startswith("measures/")]
        if any(state.meta.get("covers") == covers for state in sets):
            return commit.seq
    return None


def _n_new(workspace: Workspace, seq: int) -> int:
    """Readable images that commit `seq` did not hold."""
    old, n = Workspace(workspace.store.url).pin(seq), 0
    for piece in workspace.ranges():
        rows = workspace.read("measures", [*KEY_COLUMNS, "error"], id_range=piece)
        rows = rows.filter(pc.is_null(rows["error"]))
        held = old.read("records", KEY_COLUMNS, id_range=piece)
        known = KeySet.of(held["image_id"], held["revision"])
        n += int((~known.contains(*key_columns(rows["image_id"], rows["revision"]))).sum())
    return n


def _at_most(name: str, value: float | None, limit: float, missing: str = NOTHING) -> Checked:
    if value is None:
        return Checked(name, None, limit, True, missing)
    return Checked(name, value, limit, value > limit)


def _at_least(name: str, value: float | None, limit: float, missing: str = NOTHING) -> Checked:
    if value is None:
        return Checked(name, None, limit, True, missing)
    return Checked(name, value, limit, value < limit)
