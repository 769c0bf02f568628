"""The ten questions of EDA, each a section: the answer in words, plots, the numbers beneath."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from cvdata.report import classes, files, pixels
from cvdata.report.charts import Plot
from cvdata.report.facts import Facts
from cvdata.report.inputs import ReportInput
from cvdata.report.section import Section, fill

CHAPTER = "Ten questions"


@dataclass(frozen=True)
class Question:
    """`plots` draws the answer; `needs` says what to add where there is nothing to draw."""

    anchor: str
    title: str
    plots: Callable[[Facts], list[Plot]]
    needs: str


QUESTIONS = (
    Question("dimensions", "Image dimensions", pixels.dimensions, "the measure geometry"),
    Question("aspect-ratios", "Aspect ratios", pixels.aspect_ratios, "the measure geometry"),
    Question("colors", "Colour distribution", pixels.colors, "the measure color"),
    Question("exposure", "Brightness and contrast", pixels.exposure, "the measure exposure"),
    Question("edges", "Edges: sharp against smooth", pixels.edges, "the measure sharpness"),
    Question("textures", "Textures per class", classes.textures, "the measure texture, and labels"),
    Question(
        "balance", "Class balance", classes.balance, "labels, for instance label_from: parent"
    ),
    Question("objects", "The most common objects", classes.objects, "labels, boxes or predictions"),
    Question("metadata", "Metadata", files.metadata, "images with EXIF"),
    Question(
        "likeness",
        "Likeness of background and lighting within a class",
        classes.likeness,
        "labels, and the measures border and exposure",
    ),
)


def questions(data: ReportInput) -> list[Section]:
    """Ten sections, then one of the files as they are stored."""
    facts = Facts(data.tables)
    sections = [
        _section(number, question, facts, data.answers)
        for number, question in enumerate(QUESTIONS, start=1)
    ]
    stored = files.encoding(facts)
    if stored:
        html = fill("question.html", answer="", plots=stored, needs="")
        sections.append(Section("The files as stored", "files", html, CHAPTER))
    return sections


def _section(number: int, question: Question, facts: Facts, answers: Mapping[str, Any]) -> Section:
    html = fill(
        "question.html",
        answer=_answer(number, answers),
        plots=question.plots(facts),
        needs=question.needs,
    )
    return Section(question.title, question.anchor, html, CHAPTER, str(number))


def _answer(number: int, answers: Mapping[str, Any]) -> str:
    return ""
