"""Outliers: which methods flag how many, the strangest images of each, and why."""

import json
from collections.abc import Mapping
from typing import Any

from cvdata.report.charts import bars
from cvdata.report.display import (
    Cell,
    DataTable,
    count,
    csv_text,
    heading,
    name,
    number,
    plural,
    share,
)
from cvdata.report.inputs import ReportInput
from cvdata.report.outlier_facts import OutlierFacts, OutlierMethod
from cvdata.report.section import Section, fill
from cvdata.report.sets import ImageSet, Shown, names_of, without_picture
from cvdata.report.thumbnail import Album

CHAPTER = "Issues"
BUDGET = 900_000
"""Bytes of the pictures of this section."""
FILE = "outliers.csv"
FIRST, OTHERS = 12, 6
"""Images of the consensus, and of each method."""
CONSENSUS = "consensus"

TITLES: Mapping[str, tuple[str, str]] = {
    CONSENSUS: ("All together", "several methods agree"),
    "robust_z": ("Measures", "a measure lies far from its median"),
    "histogram": ("Histograms", "colours or textures are spread unlike the mean"),
    "knn": ("Far from neighbours", "mean distance to the nearest embeddings"),
    "lof": ("Sparser than its neighbours", "local outlier factor"),
    "isolation_forest": ("Soon set apart", "isolation forest"),
    "one_class_svm": ("Outside the region of most", "one-class SVM"),
    "mahalanobis": ("Against the spread", "Mahalanobis distance, covariance shrunk"),
    "kmeans": ("Far from common clusters", "distance to the nearest common k-means centre"),
    "objects": ("Unexpected objects", "objects that hardly occur elsewhere"),
    "reconstruction": ("Not given back", "error of an autoencoder trained on the dataset"),
}


def outliers(data: ReportInput) -> list[Section]:
    """One section; where nobody has looked it says how to."""
    facts = data.outliers
    if facts is None:
        html = fill("empty.html", what="Outliers have not been looked for.", add="cvdata outliers")
        return [Section("Outliers", "outliers", html, CHAPTER)]
    album, names = Album(data.thumbs, BUDGET), names_of(data)
    rows = facts.rows.to_pylist()
    sets = [_set(m, _of(rows, m.name), album, names) for m in _ordered(facts) if m.n_flagged]
    sets = [one for one in sets if one.images]
    html = fill(
        "outliers.html",
        facts=facts,
        answer=_answer(facts),
        fitted=_fitted(facts),
        table=_table(facts),
        plots=_plots(facts),
        sets=sets,
        without=without_picture(sets),
        file=FILE,
        listed=len(rows),
    )
    head = ("method", "rank", "key", "score", "explanation")
    listing = csv_text(head, (_line(row, names) for row in rows))
    downloads = {FILE: listing} if rows else {}
    return [Section("Outliers", "outliers", html, CHAPTER, downloads=downloads)]


def shown_outliers(facts: OutlierFacts | None) -> list[bytes]:
    """The images that the section shows, in its order."""
    if facts is None:
        return []
    rows = facts.rows.to_pylist()
    return [
        row["image_id"]
        for method in _ordered(facts)
        for row in _of(rows, method.name)[: _most(method.name)]
    ]


def _most(method: str) -> int:
    return FIRST if method == CONSENSUS else OTHERS


def _of(rows: list[dict[str, Any]], method: str) -> list[dict[str, Any]]:
    return [row for row in rows if row["method"] == method]


def _ordered(facts: OutlierFacts) -> list[OutlierMethod]:
    order = list(TITLES)
    return sorted(
        facts.methods, key=lambda m: (order.index(m.name) if m.name in order else 99, m.name)
    )


def _title(method: str) -> str:
    return TITLES[method][0] if method in TITLES else name(method, 40)


def _answer(facts: OutlierFacts) -> str:
    n = facts.method(CONSENSUS).n_flagged
    if n:
        verb = "is unlike" if n == 1 else "are unlike"
        return (
            f"{plural(n, 'image')} ({share(n, facts.n_images)}) {verb} the others, by several "
            "methods at once."
        )
    some = max((m.n_flagged for m in facts.methods), default=0)
    if some:
        return f"No image is unlike the others by several methods; one alone flags {count(some)}."
    return f"None of {plural(facts.n_images, 'image')} is unlike the others."


def _fitted(facts: OutlierFacts) -> str:
    text = f"Fitted on {plural(facts.n_sample, 'image')}, of which the strangest were left out"
    if facts.dimension and facts.variance:
        text += (
            f"; {name(facts.embeddings, 60)} in {facts.dimension} dimensions that hold "
            f"{share(facts.variance, 1)} of their variance"
        )
    if facts.recall is not None and facts.recall < 1:
        text += f"; {share(facts.recall, 1)} of the true neighbours found"
    if facts.n_classes:
        classes = plural(facts.n_classes, "class", "classes")
        text += f"; images were scored within {classes} as well"
    return text + "."


def _table(facts: OutlierFacts) -> DataTable:
    rows: list[tuple[Cell, ...]] = [
        (
            _title(m.name),
            m.left_out or (TITLES[m.name][1] if m.name in TITLES else ""),
            *((None,) * 4 if m.left_out else _numbers(m)),
        )
        for m in _ordered(facts)
    ]
    head = ("method", "what it says", "flagged", "within its class", "usual score", "flagged above")
    return DataTable(head, tuple(rows))


def _numbers(m: OutlierMethod) -> tuple[Cell, Cell, Cell, Cell]:
    return m.n_flagged, m.n_flagged_in_class, m.usual, m.threshold


def _plots(facts: OutlierFacts) -> list[Any]:
    values = [(_title(m.name), float(m.n_flagged)) for m in _ordered(facts) if not m.left_out]
    plots = []
    if any(n for _, n in values):
        plots.append(bars("plot-outliers", "Flagged images by method.", values))
    if facts.clusters:
        sizes = [(title, float(n)) for title, n in facts.clusters]
        plots.append(bars("plot-rare-clusters", "Rare clusters.", sizes, "Images of the sample."))
    return plots


def _set(
    method: OutlierMethod, rows: list[dict[str, Any]], album: Album, names: Mapping[bytes, str]
) -> ImageSet:
    shown = rows[: _most(method.name)]
    images = tuple(
        Shown(
            names.get(row["image_id"], row["image_id"].hex()),
            album.picture(row["image_id"]),
            reason(row["method"], row["explanation"]),
        )
        for row in shown
    )
    return ImageSet(f"{_title(method.name)}: {plural(method.n_flagged, 'image')}", images)


def reason(method: str, explanation: str | None) -> str:
    """An explanation in few words: `entropy, z 12`, `0.86, usually 0.59`."""
    told = json.loads(explanation or "{}")
    for kind in ("measures", "errors"):
        if kind in told:
            first = told[kind][0]
            return f"{heading(str(first['name']))}, z {number(first['z'], 3)}"
    if "objects" in told:
        others = plural(told["objects"][0]["other_images"], "other image")
        return f"{name(str(told['objects'][0]['label']), 40)}: in {others}"
    if "flagged_by" in told:
        return f"by {plural(len(told['flagged_by']), 'method')}"
    if told.get("cluster", {}).get("is_rare"):
        return name(str(told["cluster"]["name"]), 60)
    if "score" in told and "usual" in told:
        return f"{number(told['score'], 3)}, usually {number(told['usual'], 3)}"
    return name(method, 40)


def _line(row: dict[str, Any], names: Mapping[bytes, str]) -> tuple[Cell, ...]:
    key = names.get(row["image_id"], row["image_id"].hex())
    return row["method"], row["rank"], key, row["score"], row["explanation"]
