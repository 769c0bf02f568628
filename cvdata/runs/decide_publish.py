"""What a decision publishes in its one commit."""

import json
from collections.abc import Mapping
from typing import Any

from cvdata.commits import TableState
from cvdata.runs.decide_outcome import DecideOptions, Decision
from cvdata.runs.decide_write import SPECS, figures_of
from cvdata.schema import BUDGET, MERGED
from cvdata.workspace import Change


def publish(
    change: Change,
    decision: Decision,
    options: DecideOptions,
    meta: Mapping[str, Any],
) -> None:
    """selection, budget, merged, synthetic, and the figures, in one commit."""
    spec = SPECS["selection"]
    parts = decision.parts
    change.put_state("selection", TableState(spec.fingerprint, parts["selection"], meta))
    held = change.base.tables
    if parts["budget"]:
        change.put_state("budget", TableState(SPECS["budget"].fingerprint, parts["budget"], meta))
    elif options.balance.oversample == "augment":
        # a plan of no copies is a plan: without the table augment would choose for itself
        change.replace("budget", [], BUDGET, meta=meta)
    elif "budget" in held:
        change.drop("budget")
    if decision.merged is not None:
        change.replace("merged", [decision.merged], MERGED, meta=meta)
    elif "merged" in held:
        change.drop("merged")
    made = ""
    if decision.synthetic is not None:
        made, rows = f"synthetic/{options.balance.embeddings}", decision.synthetic
        change.replace(made, [rows], rows.schema, meta=meta)
    for name in held:
        if name.startswith("synthetic/") and name != made:
            change.drop(name)
    figures = figures_json(decision, options)
    text = json.dumps(figures, indent=1, sort_keys=True)
    change.artifact("selection.json", text.encode(), "summary", ".json")
    balanced = json.dumps(balance_json(decision, options), indent=1, sort_keys=True)
    change.artifact("balance.json", balanced.encode(), "summary", ".json")


def figures_json(decision: Decision, options: DecideOptions) -> dict[str, Any]:
    """What the selection came to."""
    linked = decision.linked
    return {
        **figures_of(decision.tally),
        "floors": dict(decision.restored),
        "n_unscanned": decision.n_unscanned,
        "n_led_anew": 0 if linked is None else linked.n_led_anew,
        "duplicates": options.rules.duplicates.action,
        "absent": list(decision.inputs.absent),
        "stale": list(decision.inputs.stale),
    }


def balance_json(decision: Decision, options: DecideOptions) -> dict[str, Any]:
    """What balancing does to each class; read by augment and by the report."""
    balanced = decision.balanced
    plan = balanced.plan
    return {
        "settings": options.balance.model_dump(mode="json"),
        "splits": None if balanced.scope.splits is None else list(balanced.scope.splits),
        "n_cut": 0 if plan is None else plan.n_cut,
        "n_copies": plan.n_extra if plan and options.balance.oversample == "augment" else 0,
        "n_synthetic": 0 if decision.synthetic is None else len(decision.synthetic),
        "classes": [] if plan is None else plan.to_json(),
        "weights": {label: round(w, 6) for label, w in sorted(balanced.weights.items())},
        "repeat_factors": {o: round(f, 6) for o, f in sorted(balanced.factors.items())},
    }
