"""Models against the truth: the numbers, where they go wrong, how sure they are, what moved."""

from collections.abc import Mapping, Sequence
from typing import Any

from cvdata.report.axes import Axis
from cvdata.report.charts import bars, dots
from cvdata.report.curves import calibration
from cvdata.report.display import Cell, DataTable, count, csv_text, heading, name, plural, share
from cvdata.report.inputs import ReportInput
from cvdata.report.model_facts import ModelFacts
from cvdata.report.plot import Plot
from cvdata.report.section import Section, fill
from cvdata.report.sets import Shown, names_of
from cvdata.report.thumbnail import Album

CHAPTER = "Models"
SHOWN = 24
"""Hardest images of one model."""
FLIPPED = 12
"""Flips shown of one model."""
BUDGET = 800_000
"""Bytes of the pictures of all models."""
MODELS_SHOWN = 6
"""Models with pictures; the numbers of all are told."""

SHARES = frozenset(
    {"accuracy", "top5", "precision", "recall", "f1", "pixel_accuracy", "label_flips"}
)
TITLES: Mapping[str, str] = {
    "n_images": "Images",
    "n_queries": "Images with a fellow",
    "n_compared": "Images in both",
    "n_new": "New images",
    "top5": "Top 5",
    "f1": "F1",
    "auroc": "AUROC",
    "ece": "Calibration error",
    "map": "mAP",
    "map_50": "mAP at 0.50",
    "map_75": "mAP at 0.75",
    "mean_iou": "Mean IoU",
    "image_iou": "IoU an image",
    "image_dice": "Dice an image",
    "retrieval_map": "Retrieval mAP",
    "verification_auc": "Verification AUC",
    "verification_eer": "Equal error rate",
}
DOCS: Mapping[str, str] = {
    "accuracy": "the first class is the label",
    "top5": "the label is among the first five",
    "precision": "of what is called a class, the share that is; mean over the classes",
    "recall": "of a class, the share that is found; mean over the classes",
    "f1": "harmonic mean of both; mean over the classes",
    "auroc": "chance that an image of a class scores above one of another",
    "ece": "expected calibration error: how far scores are from being shares",
    "map": "COCO's mean average precision, IoU 0.50 to 0.95",
    "map_50": "the same at IoU 0.50",
    "map_75": "the same at IoU 0.75",
    "mar_100": "mean recall of the best 100 boxes",
    "mean_iou": "overlap over union of all pixels, mean over the classes",
    "mean_dice": "twice the overlap over the sum of all pixels, mean over the classes",
    "pixel_accuracy": "share of pixels of the right class",
    "image_iou": "overlap over union image by image, then the mean",
    "image_dice": "the same of Dice",
    "retrieval_map": "mean average precision of ranking by likeness",
    "verification_auc": "area under the ROC of telling pairs of a label from others",
    "verification_eer": "the error rate where both kinds of error are equal",
    "label_flips": "share of the images whose first class is another one now",
    "score_shift": "mean change of the best score",
    "score_drift": "Kolmogorov-Smirnov distance of the best scores, then and now",
    "new_score_drift": "the same between held images and new ones",
    "embedding_drift": "1 - cosine of an image's vectors then and now, the mean",
    "embedding_drift_p95": "the same, the 95th percentile",
    "new_embedding_shift": "1 - cosine of the mean vectors of held and new images",
}


def models(data: ReportInput) -> list[Section]:
    """One section a model that was measured or compared; none where no model was."""
    album, names = Album(data.thumbs, BUDGET), names_of(data)
    return [_section(facts, album, names) for facts in data.models]


def shown_hardest(facts: Sequence[ModelFacts]) -> list[bytes]:
    """The images that the sections show, in their order."""
    found: list[bytes] = []
    for one in facts[:MODELS_SHOWN]:
        found += [row["image_id"] for row in one.hardest[:SHOWN]]
        found += [row["image_id"] for row in one.flips[:FLIPPED]]
    return found


def _section(facts: ModelFacts, album: Album, names: Mapping[bytes, str]) -> Section:
    key = facts.table.replace("/", "-")
    hardest = [_shown(r, album, names, _why(r)) for r in facts.hardest[:SHOWN]]
    flips = [
        _shown(r, album, names, f"{_said(r['before'])} → {_said(r['after'])}")
        for r in facts.flips[:FLIPPED]
    ]
    file = f"{key}-hardest.csv"
    html = fill(
        "model.html",
        facts=facts,
        answer=_answer(facts),
        left_out=_left_out(facts),
        table=_table(facts),
        plots=_plots(facts, key),
        moved=_moved(facts),
        hardest=hardest,
        flips=flips,
        without=sum(one.picture is None for one in (*hardest, *flips)),
        file=file,
    )
    head = ("key", *(k for k in (facts.hardest[0] if facts.hardest else {}) if k != "image_id"))
    lines = [(names.get(r["image_id"], r["image_id"].hex()), *_cells(r)) for r in facts.hardest]
    downloads = {file: csv_text(head, lines)} if facts.hardest else {}
    title = f"{name(facts.table.partition('/')[2], 60)}, {heading(facts.task).lower()}"
    return Section(title, f"model-{key}", html, CHAPTER, downloads=downloads)


def _said(label: str | None) -> str:
    """A best label, or that there was none."""
    return "nothing found" if label is None else name(label, 30)


def _cells(row: Mapping[str, Any]) -> list[Cell]:
    return [value for key, value in row.items() if key != "image_id"]


def _answer(facts: ModelFacts) -> str:
    numbers = facts.summary
    if facts.kind == "classes":
        top = (
            f", in {share(numbers['top5'] or 0, 1)} among its first five"
            if "top5" in numbers
            else ""
        )
        right = share(numbers["accuracy"] or 0, 1)
        return (
            f"In {right} of {plural(facts.n_images, 'image')} the first class that the model names "
            f"is the label{top}."
        )
    if facts.kind == "boxes":
        return (
            f"Mean average precision {numbers['map']:.3f} by COCO's rules, over "
            f"{plural(facts.n_images, 'image')} with boxes."
        )
    if facts.kind == "masks":
        return (
            f"Masks overlap the truth by {numbers['mean_iou']:.3f} (IoU) and "
            f"{numbers['mean_dice']:.3f} (Dice), over {plural(facts.n_images, 'image')}."
        )
    if facts.kind == "retrieval":
        return (
            f"The image most like another bears the same label in "
            f"{share(numbers['precision_at_1'] or 0, 1)} of {plural(facts.n_images, 'image')}."
        )
    return "There is no ground truth to hold this model against; what moved stands below."


def _left_out(facts: ModelFacts) -> str:
    told = []
    if facts.n_unlabelled:
        told.append(f"{plural(facts.n_unlabelled, 'image')} without a truth that the model knows")
    if facts.n_failed:
        told.append(f"{plural(facts.n_failed, 'image')} that could not be measured")
    return f"Left out: {' and '.join(told)}." if told else ""


def _table(facts: ModelFacts) -> DataTable | None:
    if not facts.summary:
        return None
    splits = sorted(facts.splits)
    rows: list[tuple[Cell, ...]] = []
    for metric, value in facts.summary.items():
        others = (facts.splits[s].get(metric) for s in splits)
        cells = [_shown_number(metric, v) for v in (value, *others)]
        rows.append((_title(metric), *cells, DOCS.get(metric, "")))
    return DataTable(("measure", "all", *(name(s, 24) for s in splits), ""), tuple(rows))


def _moved(facts: ModelFacts) -> DataTable | None:
    if facts.comparison is None:
        return None
    rows = tuple(
        (_title(metric), _shown_number(metric, value), DOCS.get(metric, ""))
        for metric, value in facts.comparison["numbers"].items()
    )
    return DataTable(("measure", f"since commit {facts.comparison['since']}", ""), rows)


def _title(metric: str) -> str:
    return TITLES.get(metric) or heading(metric)


def _shown_number(metric: str, value: float | None) -> Cell:
    if value is None or value == -1:
        return "–"
    if metric.startswith("n_"):
        return count(value)
    return share(value, 1) if metric in SHARES else f"{value:.3f}"


def _plots(facts: ModelFacts, key: str) -> list[Plot]:
    plots = []
    what = "findings" if facts.kind == "boxes" else "images"
    if facts.calibration is not None and any(facts.calibration["n"]):
        plots.append(calibration(f"{key}-calibration", "Calibration.", facts.calibration, what))
    if facts.confusions:
        values = [(f"{c['truth']} → {c['predicted']}", c["n"]) for c in facts.confusions]
        plots.append(
            bars(f"{key}-confusions", "Confusions.", values, "The truth → what was said.", what)
        )
    if len(facts.classes) > 1:
        metric = next(m for m in ("f1", "map", "iou") if m in facts.classes[0])
        ranked = sorted(facts.classes, key=lambda c: (c[metric], str(c["label"])))
        points = [(str(c["label"]), float(c[metric]), 0.0) for c in ranked]
        axis = Axis(_title(metric), low=-0.03, high=1.03)
        plots.append(dots(f"{key}-classes", "Weakest classes.", points, axis))
    return plots


def _shown(row: Mapping[str, Any], album: Album, names: Mapping[bytes, str], fact: str) -> Shown:
    key = names.get(row["image_id"], row["image_id"].hex())
    return Shown(key, album.picture(row["image_id"]), fact)


def _why(row: Mapping[str, Any]) -> str:
    """What was wrong, in few words."""
    if "predicted" in row:
        return f"{name(row['truth'], 30)}, called {name(row['predicted'], 30)} ({row['score']:.2f})"
    if "iou" in row:
        return f"IoU {row['iou']:.2f}"
    words = (("missed", "missed"), ("made_up", "made up"), ("confused", "confused"))
    return ", ".join(f"{row[k]} {text}" for k, text in words if row[k])
