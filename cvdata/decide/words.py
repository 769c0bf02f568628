"""What was found about one image, in words."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from cvdata.decide.findings import kind_of
from cvdata.errors import printable

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Known:
    """All that the tables say of one image, as rows; `names` are other images' names by id.

    `selection` is None where nothing was decided. `rules` are those of the decision, `matched` the
    names of its sql rules that hold, `listed` the lists it is in. `thresholds` by issue. `floor` is
    the one of its class. `plan` is its class's part of the balance.
    """

    record: Row
    facts: Row
    selection: Row | None
    rules: Mapping[str, Any] = field(default_factory=dict)
    issues: Sequence[Row] = ()
    thresholds: Mapping[str, float] = field(default_factory=dict)
    groups: Sequence[Row] = ()
    leaks: Sequence[Row] = ()
    outliers: Sequence[Row] = ()
    label_issues: Sequence[Row] = ()
    augmented: Sequence[Row] = ()
    n_copies: int = 0
    matched: Sequence[str] = ()
    names: Mapping[bytes, str] = field(default_factory=dict)
    plan: Row | None = None
    split: str | None = None


def tell(known: Known) -> list[str]:
    """The story of one image, line by line: what it is, what was found, what was decided."""
    return [
        *_head(known),
        *_verdict(known),
        *_section("issues", [_issue(row, known) for row in known.issues]),
        *_section("copies", [line for row in known.groups for line in _group(row, known)]),
        *_section("leaks", [_leak(row, known) for row in known.leaks]),
        *_section("outliers", [_outlier(row) for row in known.outliers]),
        *_section("label", [_label_issue(row) for row in known.label_issues]),
        *_section("augmented copies", _augmented(known)),
        *_section("facts", _facts(known.facts)),
    ]


def _section(title: str, lines: Sequence[str]) -> list[str]:
    return [f"{title}:", *(f"  {line}" for line in lines)] if lines else []


def _head(known: Known) -> list[str]:
    record = known.record
    boxes = record["boxes"]
    what = [
        f"id {record['image_id'].hex()}",
        f"source {printable(record['source'])}",
        f"split {known.split or 'none'}",
        f"label {printable(record['label']) if record['label'] is not None else 'none'}",
        *([f"{len(boxes)} boxes"] if boxes is not None else []),
    ]
    return [printable(record["uri"], limit=1000), "  " + ", ".join(what)]


def _verdict(known: Known) -> list[str]:
    """Kept or dropped, and each reason in words."""
    selection = known.selection
    if selection is None:
        return ["not decided yet: run `cvdata decide`"]
    reasons: list[str] = list(selection["reasons"])
    if not selection["keep"]:
        told = [_reason(reason, known) for reason in reasons]
        return _section("DROPPED", told)
    head = f"KEPT, weight {selection['weight']:.4g}"
    drops = [r for r in reasons if _would_drop(r, known)]
    lines = [_reason(reason, known) + _kept_anyway(reason, drops, known) for reason in reasons]
    if known.plan is not None:
        lines.append(_planned(known.plan, known.n_copies))
    return _section(head, lines) or [f"{head}: nothing speaks against it"]


def _would_drop(reason: str, known: Known) -> bool:
    """Whether the rules drop for this reason."""
    kind, _, name = reason.partition(":")
    rules = known.rules
    if kind == "issue":
        return bool(_action(rules.get("issues", {}), name) == "drop")
    if kind == "outlier":
        return bool(_action(rules.get("outliers", {}), name) == "drop")
    if kind == "label_issue":
        table = rules.get("label_issues", {})
        return any(_action(table, row["method"]) == "drop" for row in known.label_issues)
    if kind == "duplicate":
        return rules.get("duplicates", {}).get("action") in ("remove", "merge")
    return False


def _action(table: Mapping[str, str], name: str) -> str:
    return table.get(name, table.get("other", "warn"))


def _kept_anyway(reason: str, drops: Sequence[str], known: Known) -> str:
    if reason not in drops:
        return "" if kind_of(reason) == "user" else " (only a warning)"
    listed = any(r == "user" for r in (known.selection or {}).get("reasons", ()))
    return " (but you keep it)" if listed else " (but the floor of its class keeps it)"


def _reason(reason: str, known: Known) -> str:
    kind, _, rest = reason.partition(":")
    if kind == "issue":
        return f"{reason}: {_issue_words(rest, known)}"
    if kind == "duplicate":
        method, _, keeper = rest.partition(":")
        name = known.names.get(bytes.fromhex(keeper), keeper)
        return f"{reason}: a copy of {printable(name)} ({method})"
    if kind == "leak":
        return f"{reason}: shows what an image in {printable(rest)} shows"
    if kind == "outlier":
        return f"{reason}: unlike all others by {rest}"
    if kind == "label_issue":
        return f"{reason}: its label is doubted"
    if kind == "user":
        rules = ", ".join(repr(name) for name in known.matched)
        return f"{reason}: " + (f"your sql rule {rules}" if rules else "your list names it")
    return f"{reason}: its class was cut to its target, and others are more diverse"


def _issue_words(name: str, known: Known) -> str:
    row = next((r for r in known.issues if r["issue"] == name), None)
    error = known.facts.get("error") or known.record.get("error")
    if error and (row is None or row["severity"] is None or row["severity"] == 1.0):
        detail = known.facts.get("error_detail") or known.record.get("error_detail") or ""
        return f"it cannot be read: {error} {printable(detail)}".strip()
    return "flagged" if row is None else _measured(row, known)


def _measured(row: Row, known: Known) -> str:
    threshold = known.thresholds.get(row["issue"])
    severity = "unknown" if row["severity"] is None else f"{row['severity']:.3f}"
    limit = "" if threshold is None else f", flagged above {threshold:g}"
    return f"severity {severity}{limit}"


def _issue(row: Row, known: Known) -> str:
    flag = "flagged" if row["is_flagged"] else "not flagged"
    return f"{row['issue']}: {flag}, {_measured(row, known)}"


def _group(row: Row, known: Known) -> list[str]:
    """One method's group: who keeps it, and the nearest others."""
    others = row["others"]
    place = "keeper of" if row["is_keeper"] else "in"
    lines = [f"{row['method']}: {place} a group of {row['size']}"]
    for other in others:
        name = printable(known.names.get(other["image_id"], other["image_id"].hex()))
        role = "keeper" if other["is_keeper"] else "copy"
        fate = {True: ", kept", False: ", dropped", None: ""}[other["keep"]]
        distance = "" if other["distance"] is None else f", distance {_far(other['distance'])}"
        lines.append(f"  {role} {name}{distance}{fate}")
    if row["size"] - 1 > len(others):
        lines.append(f"  and {row['size'] - 1 - len(others)} more")
    return lines


def _leak(row: Row, known: Known) -> str:
    name = printable(known.names.get(row["other"], row["other"].hex()))
    return (
        f"{row['method']}: in {printable(row['split'])}, its copy {name} in "
        f"{printable(row['other_split'])}, distance {_far(row['distance'])}"
    )


def _far(distance: float) -> str:
    """A distance; what float32 leaves of 1 - cosine of equal vectors is 0."""
    return f"{max(0.0, round(distance, 6)):.4g}"


def _outlier(row: Row) -> str:
    flag = "flagged" if row["is_flagged"] else "not flagged"
    within = f" within {printable(row['class'])}" if row["class"] is not None else ""
    why = _explained(row["explanation"])
    return f"{row['method']}{within}: {flag}, score {row['score']:.4g}, rank {row['rank']:,}{why}"


def _label_issue(row: Row) -> str:
    flag = "flagged" if row["is_flagged"] else "not flagged"
    better = f", looks like {printable(row['suggested'])}" if row["suggested"] else ""
    return (
        f"{row['method']}: {flag}, doubt {row['score']:.3f}, rank {row['rank']:,}{better}"
        f"{_explained(row['explanation'])}"
    )


def _explained(text: str | None) -> str:
    """JSON of an explanation on one line."""
    if not text:
        return ""
    try:
        value = json.loads(text)
    except ValueError:
        return f": {printable(text)}"
    return f": {printable(json.dumps(value, sort_keys=True), limit=400)}"


def _planned(plan: Row, n_copies: int) -> str:
    copies = f", {n_copies} copies of this one" if n_copies else ""
    return (
        f"balance: {printable(plan['label'])} goes from {plan['n']:,} to {plan['achieved']:,} "
        f"images{copies}"
    )


def _augmented(known: Known) -> list[str]:
    rows = sorted(known.augmented, key=lambda r: (r["policy"], r["variant"]))
    return [
        f"{r['policy']} {r['variant']}: {printable(r['uri'] or r['error'] or '')}" for r in rows
    ]


def _facts(facts: Row) -> list[str]:
    """Every measure of one value; histograms and digests are left out."""
    out = []
    for name, value in facts.items():
        if name in ("image_id", "revision") or value is None or isinstance(value, list):
            continue
        if isinstance(value, bytes):
            out.append(f"{name} {value.hex()}")
        elif isinstance(value, float):
            out.append(f"{name} {value:.6g}" if math.isfinite(value) else f"{name} {value}")
        else:
            out.append(f"{name} {printable(str(value))}")
    return out
