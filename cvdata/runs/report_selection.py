"""What the report shows of the decide job: its figures, and whether they still hold."""

import json
from collections.abc import Mapping
from typing import Any

from cvdata.report.selection_facts import GroupFacts, ReasonFacts, SelectionFacts
from cvdata.runs.decide_inputs import is_decided
from cvdata.workspace import Workspace


def gather_selection(workspace: Workspace) -> SelectionFacts | None:
    """Counts of the committed selection; None where nothing was decided."""
    head = workspace.head
    if "selection" not in head.tables or "selection.json" not in head.artifacts:
        return None
    figures = json.loads(workspace.artifact("selection.json"))
    balanced = json.loads(workspace.artifact("balance.json"))
    return SelectionFacts(
        n_images=figures["n_images"],
        n_kept=figures["n_kept"],
        reasons=tuple(
            ReasonFacts(name, n["dropped"], n["alone"], n["warned"])
            for name, n in figures["reasons"].items()
        ),
        classes=_groups(figures["classes"]),
        splits=_groups(figures["splits"]),
        floors=figures["floors"],
        unmet=tuple(
            (c["label"], c["achieved"], c["target"]) for c in balanced["classes"] if not c["is_met"]
        ),
        n_cut=balanced["n_cut"],
        n_copies=balanced["n_copies"],
        n_led_anew=figures["n_led_anew"],
        weights=balanced["settings"]["weights"],
        balanced_splits=balanced["splits"],
        absent=figures["absent"],
        is_current=is_decided(workspace),
    )


def _groups(counts: Mapping[str, Mapping[str, Any]]) -> tuple[GroupFacts, ...]:
    return tuple(GroupFacts(name, n["n"], n["kept"], n["copies"]) for name, n in counts.items())
