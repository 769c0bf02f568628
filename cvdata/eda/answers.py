"""The ten questions, answered from the tables: the content of summary.json."""

from collections.abc import Callable
from typing import Any

from cvdata.eda import answers_classes as classes
from cvdata.eda import answers_images as images
from cvdata.eda.answer import Answer, bars, grid, histogram, known, listed, number, plural, unknown
from cvdata.eda.groups import MAX_LABELS
from cvdata.eda.numbers import LABEL_SKETCH, WIDE_SKETCH
from cvdata.eda.tables import SummaryTables, View
from cvdata.kernels.sketches import Quantiles


def files(view: View) -> Answer:
    """Formats, modes, sizes and compression of the files."""
    formats, size = view.counts("format"), view.statistics("size_bytes")
    if not (formats and size):
        return unknown("file")
    total = sum(formats.values())
    text = (
        f"By format: {listed(formats, total)}; by mode: {listed(view.counts('mode'), total)}. "
        f"A file has {number(size['p50'] / 1024)} KiB in the median, "
        f"{number(size['max'] / 1024)} KiB at most."
    )
    quality = view.statistics("jpeg_quality")
    if quality:
        text += f" The median JPEG quality is {number(quality['p50'])}."
    numbers = {"formats": formats, "modes": view.counts("mode"), "size_bytes": size}
    return Answer(
        text,
        {**numbers, "jpeg_quality": quality},
        (bars("format"), bars("mode"), histogram("size_bytes"), histogram("jpeg_quality")),
    )


def boxes(view: View) -> Answer:
    """Sizes and places of the boxes."""
    area, side = view.statistics("box_area"), view.statistics("box_side")
    if not side:
        return Answer("The images have no boxes.", {}, (), ("records.boxes",))
    text = f"The median box has a side of {number(side['p50'])} pixels"
    if area:
        text += f" and covers {100 * area['p50']:.2g} % of its image"
    return Answer(
        text + ".",
        {
            "box_side": side,
            "box_area": area,
            "box_aspect_ratio": view.statistics("box_aspect_ratio"),
        },
        (
            grid("box_center_x", "box_center_y"),
            grid("box_width", "box_height"),
            histogram("box_area"),
            {"table": "cooccurrence"},
        ),
    )


QUESTIONS: tuple[tuple[str, str, Callable[[View], Answer]], ...] = (
    ("dimensions", "How large are the images?", images.dimensions),
    ("aspect_ratios", "What shapes do they have?", images.aspect_ratios),
    ("colors", "What colours do they have?", images.colors),
    ("brightness", "How bright are they, and how strong is their contrast?", images.brightness),
    ("edges", "Are they sharp or smooth?", images.edges),
    ("textures", "How do textures differ between classes?", classes.textures),
    ("balance", "Are the classes balanced?", classes.balance),
    ("objects", "Which objects are most common?", classes.objects),
    ("metadata", "When, where and with what were they taken?", classes.metadata),
    ("likeness", "Are backgrounds and lighting alike within a class?", classes.likeness),
)
ALSO: tuple[tuple[str, str, Callable[[View], Answer]], ...] = (
    ("files", "What files are they?", files),
    ("boxes", "How large are the boxes, and where?", boxes),
)


def answer_all(tables: SummaryTables) -> dict[str, Any]:
    """JSON-ready: n_images, n_errors, errors by code, the ten `questions`, `also`, `notes`.

    Each is number, key, question, answer (sentences), numbers, picture (which rows of which table
    draw it) and needs (measures, or columns of `records`, that are missing for it).
    """
    view = View(tables)
    codes = view.counts("error")
    errors = {code: n for code, n in codes.items() if code != "ok"}
    return {
        "n_images": sum(codes.values()),
        "n_errors": sum(errors.values()),
        "errors": errors,
        "text": _overview(sum(codes.values()), errors),
        "questions": [_entry(i, q, view) for i, q in enumerate(QUESTIONS, 1)],
        "notes": _notes(view),
        "also": [_entry(i, q, view) for i, q in enumerate(ALSO, len(QUESTIONS) + 1)],
    }


def _overview(total: int, errors: dict[str, int]) -> str:
    failed = sum(errors.values())
    if not failed:
        return f"{plural(total, 'image')}, all readable."
    return f"{plural(total, 'image')}, {failed:,} not readable: {listed(known(errors), total, 5)}."


def _notes(view: View) -> list[str]:
    """What a reader of the tables must know: where they are approximate, and what is pooled."""
    wide, label = (Quantiles(k).stated_error for k in (WIDE_SKETCH, LABEL_SKETCH))
    notes = [
        f"Quantiles are exact up to about {WIDE_SKETCH:,} values ({LABEL_SKETCH} for a label); "
        f"beyond, their rank is within {100 * wide:.2f} % ({100 * label:.1f} % for a label).",
    ]
    n_labels = len(known(view.counts("label")))
    if n_labels > MAX_LABELS:
        notes.append(
            f"Of {n_labels:,} labels the {MAX_LABELS} most frequent have statistics of their own; "
            "the others are pooled as (other)."
        )
    return notes


def _entry(
    position: int, question: tuple[str, str, Callable[[View], Answer]], view: View
) -> dict[str, Any]:
    key, text, ask = question
    answer = ask(view)
    codes = view.counts("error")
    if not codes.get("ok") and any(not need.startswith("records.") for need in answer.needs):
        # no measure that is added would tell more
        answer = Answer("No image could be read." if codes else "There are no images.", {})
    return {
        "number": position,
        "key": key,
        "question": text,
        "answer": answer.text,
        "numbers": dict(answer.numbers),
        "picture": [rows for rows in answer.picture if view.exists(rows)],
        "needs": list(answer.needs),
    }
