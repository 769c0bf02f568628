"""What the report shows of the models: their metrics, as `infer` committed them."""

import json
from collections.abc import Mapping
from typing import Any

from cvdata.parts import parts_digest
from cvdata.report.model_facts import ModelFacts
from cvdata.workspace import Workspace


def gather_models(workspace: Workspace) -> tuple[ModelFacts, ...]:
    """Every model that was measured or compared, by the name of its table."""
    head = workspace.head
    found = []
    for name in sorted(head.tables):
        artifact = f"{name}.json"
        if not name.startswith("metrics/") or artifact not in head.artifacts:
            continue
        told = json.loads(workspace.artifact(artifact))
        state = head.tables.get(told["table"])
        parts = [*(state.parts if state else ()), *head.tables["records"].parts]
        is_current = head.tables[name].meta.get("inputs") == parts_digest(parts)
        found.append(_facts(told, is_current))
    return tuple(found)


def _facts(told: Mapping[str, Any], is_current: bool) -> ModelFacts:
    comparison = told["comparison"]
    if comparison is not None and "flips" in comparison:
        comparison = {**comparison, "flips": [_with_id(row) for row in comparison["flips"]]}
    return ModelFacts(
        table=told["table"],
        model=told["model"],
        task=told["task"],
        kind=told["kind"],
        n_images=told.get("n_images", 0),
        n_unlabelled=told.get("n_unlabelled", 0),
        n_failed=told.get("n_failed", 0),
        summary=told.get("summary", {}),
        splits=told.get("splits", {}),
        classes=told.get("classes", ()),
        confusions=told.get("confusions", ()),
        calibration=told.get("calibration"),
        hardest=[_with_id(row) for row in told.get("hardest", ())],
        comparison=comparison,
        is_current=is_current,
    )


def _with_id(row: Mapping[str, Any]) -> dict[str, Any]:
    return {**row, "image_id": bytes.fromhex(row["image_id"])}
