"""What a filled table is worth: metrics where there is truth, and what moved since the last commit.

Computed within the run that filled the table and published by the same commit.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from pydantic import Field

from cvdata.commits import TableState
from cvdata.config import Frozen
from cvdata.evaluate.comparison import FEW, PredictionChanges, VectorChanges
from cvdata.models import Task
from cvdata.parts import parts_digest
from cvdata.runs.truth import Asked, Measured, Row, Verdict, View, classes, scopes, vectors
from cvdata.runs.truth_dense import boxes, masks
from cvdata.schema import METRICS
from cvdata.stages.predict import Inference
from cvdata.workspace import Change

EVALUATION_VERSION = 2
"""Moves whenever the numbers of the same rows can change."""

MEASURED: Mapping[Task, tuple[Measured, ...]] = {
    Task.EMBED: (vectors,),
    Task.CLASSIFY: (classes,),
    Task.DETECT: (boxes,),
    Task.SEGMENT: (masks, boxes),
    Task.KEYPOINTS: (boxes,),
}
"""What each task can be held against; the first that finds any truth is the one told of."""

LISTED_FLIPS = 200

COMPARED_RANGES = 4
"""Ranges of `truth.RANGE_ROWS` ids of which the vectors are compared: ids are digests, so those of
the first ranges are a fair sample of any number of images."""


class EvaluationSettings(Frozen):
    """What is measured of the predictions, and which changes make a run end with 3."""

    evaluate: bool = True
    """Measure against labels, boxes or masks, where the records have any."""
    classes: dict[str, str] = Field({})
    """Class of the model (name or number) by label of the dataset, where the names differ."""
    sorted_labels: bool = False
    """The i-th of the labels in sorted order is class i: folders of wnids."""
    mask_values: dict[int, str] = Field({})
    """Class by pixel value of the masks, `ignore` for pixels left out; not given: all but 0 is
    one class."""
    evaluated_images: int = Field(20_000, ge=1)
    """Images at most for boxes, masks and retrieval: those of the smallest ids, a fair sample."""
    max_label_flips: float | None = Field(None, ge=0, le=1)
    """Exit with 3 when a larger share of the images got another label than in the last commit."""
    max_score_drift: float | None = Field(None, ge=0, le=1)
    """Exit with 3 when the Kolmogorov-Smirnov distance of the best scores to those of the last
    commit is larger, or, with 100 new images or more, that between new and held images."""
    max_embedding_drift: float | None = Field(None, ge=0, le=2)
    """Exit with 3 when 1 - cosine of an image's old and new embedding is larger in the mean."""


@dataclass(frozen=True)
class Evaluation:
    """What was found, in lines for a person; `alarms` are the limits that were passed."""

    lines: tuple[str, ...] = ()
    alarms: tuple[str, ...] = ()


def metrics_table(table: str) -> str:
    """Where the numbers of a table stand: `metrics/<model>`, with `-embed` for embeddings."""
    kind, _, name = table.partition("/")
    return f"metrics/{name}-embed" if kind == "embeddings" else f"metrics/{name}"


def evaluate(change: Change, inference: Inference, settings: EvaluationSettings) -> Evaluation:
    """Measure and compare what the run filled, unless these very numbers are committed already.

    Publishes `metrics/<model>` (METRICS) and the artefact `metrics/<model>.json`.
    """
    table, name = inference.table, metrics_table(inference.table)
    state = change.filled(table)
    held, before = change.base.tables.get(name), change.base.tables.get(table)
    records = change.base.tables["records"]
    inputs = parts_digest([*state.parts, *records.parts])
    meta = {"inputs": inputs, "settings": settings_of(settings), "computed_from": change.base.seq}
    if not state.parts:  # no image, no column to read
        return Evaluation()
    if held is not None and all(held.meta.get(k) == meta[k] for k in ("inputs", "settings")):
        return Evaluation()
    view = View(change.store, replace(change.base, tables={**change.base.tables, table: state}))
    verdict = measure(view, inference, settings) if settings.evaluate else None
    compared = compare_with(change, view, inference, before, state)
    if verdict is None and not compared:
        if held is not None:
            change.drop(name)
        return Evaluation()
    rows = [*(verdict.rows if verdict else ()), *scopes(compared.get("numbers", {}), {})]
    change.replace(name, [_table(rows)], METRICS, meta=meta)
    told = {
        "table": table,
        "model": inference.model.name,
        "task": str(inference.model.task),
        "weights": inference.model.weights_digest,
        **(verdict.to_json() if verdict else {"kind": ""}),
        "comparison": compared or None,
    }
    text = json.dumps(told, indent=1, sort_keys=False, allow_nan=False)
    change.artifact(f"{name}.json", text.encode(), "metrics", ".json")
    return Evaluation(_lines(verdict, compared), alarms(compared.get("numbers", {}), settings))


def settings_of(settings: EvaluationSettings) -> dict[str, Any]:
    """What of the settings can change a number: limits only change the exit code."""
    limits = {"max_label_flips", "max_score_drift", "max_embedding_drift"}
    names = set(EvaluationSettings.model_fields) - limits
    found = settings.model_dump(mode="json", include=names)
    return {"version": EVALUATION_VERSION, **found}


def measure(view: View, inference: Inference, settings: EvaluationSettings) -> Verdict | None:
    """The table against the truth of the records; None where there is none."""
    asked = Asked(
        inference.table,
        class_names(inference),
        settings.classes,
        settings.sorted_labels,
        settings.mask_values,
        settings.evaluated_images,
    )
    for measured in MEASURED.get(inference.model.task, ()):
        if (verdict := measured(view, asked)) is not None:
            return verdict
    return None


def class_names(inference: Inference) -> Sequence[str]:
    """Names by class id; where only the weights have them the model is loaded here, on the CPU."""
    if inference.model.task is Task.EMBED or inference.model.labels:
        return inference.model.labels
    return replace(inference, device="cpu").runner().model.labels


def compare_with(
    change: Change,
    view: View,
    inference: Inference,
    before: TableState | None,
    after: TableState,
) -> dict[str, Any]:
    """Numbers, and the surest flips, of the table against what the last commit held of it."""
    if before is None or not before.parts or before.meta.get("task") != after.meta.get("task"):
        return {}
    if {p.path for p in before.parts} == {p.path for p in after.parts}:
        return {}
    old = View(change.store, change.base)
    if inference.model.task is Task.EMBED:
        if before.meta.get("dimension") != inference.model.dimension:
            return {}
        moved = VectorChanges()
        for id_range in view.ranges()[:COMPARED_RANGES]:
            wanted = ["image_id", "embedding"]
            moved.add(*(v.read(inference.table, wanted, id_range) for v in (old, view)))
        return {"since": change.base.seq, "numbers": moved.result()}
    if inference.model.task is Task.IMAGE:
        return {}
    changes = PredictionChanges()
    for id_range in view.ranges():
        wanted = ["image_id", "labels", "scores"]
        changes.add(*(v.read(inference.table, wanted, id_range) for v in (old, view)))
    found = changes.result()
    numbers = {"n_compared": float(found.n), "n_new": float(found.n_only_after)}
    if found.n:
        drifts = {"score_shift": found.score_shift, "score_drift": found.score_drift}
        numbers |= {"label_flips": found.flip_rate, **drifts}
    if found.new_score_drift is not None:
        numbers["new_score_drift"] = found.new_score_drift
    flips = [
        {**row, "image_id": row["image_id"].hex()}
        for row in found.flips.slice(0, LISTED_FLIPS).to_pylist()
    ]
    return {"since": change.base.seq, "numbers": numbers, "flips": flips}


def alarms(numbers: Mapping[str, float], settings: EvaluationSettings) -> tuple[str, ...]:
    """The limits that these numbers pass, in words."""
    limits = [
        ("label_flips", settings.max_label_flips, "--max-label-flips"),
        ("score_drift", settings.max_score_drift, "--max-score-drift"),
        ("embedding_drift", settings.max_embedding_drift, "--max-embedding-drift"),
    ]
    if numbers.get("n_new", 0) >= FEW:
        limits.append(("new_score_drift", settings.max_score_drift, "--max-score-drift"))
    return tuple(
        f"{metric} {numbers[metric]:.4g} is over {flag} {limit:g}"
        for metric, limit, flag in limits
        if limit is not None and numbers.get(metric, 0.0) > limit
    )


def _lines(verdict: Verdict | None, compared: Mapping[str, Any]) -> tuple[str, ...]:
    lines = []
    if verdict is not None:
        told = [
            f"{m} {v:.4g}" for scope, _, m, v in verdict.rows if scope == "all" and v is not None
        ]
        lines.append(f"  {verdict.kind}: {', '.join(told)}")
    if compared:
        told = [f"{name} {value:.4g}" for name, value in compared["numbers"].items()]
        lines.append(f"  since commit {compared['since']}: {', '.join(told)}")
    return tuple(lines)


def _table(rows: Sequence[Row]) -> Any:
    import pyarrow as pa

    columns = list(zip(*rows, strict=True)) or [()] * len(METRICS)
    return pa.table([list(c) for c in columns], schema=METRICS)
