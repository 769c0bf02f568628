"""The ten questions of EDA, each a section: the answer in words, plots, the numbers beneath."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from cvdata.errors import printable
from cvdata.report import classes, files, pixels
from cvdata.report.facts import Facts
from cvdata.report.inputs import ReportInput
from cvdata.report.plot import Plot
from cvdata.report.section import Section, fill

CHAPTER = "Ten questions"
BESIDES = "And besides"
ANSWER_LIMIT = 2000


@dataclass(frozen=True)
class Question:
    """`key` finds the answer in summary.json and is the anchor, `short` names it in the contents.

    `plots` draws the answer from the tables; `needs` says what to add where there is nothing.
    """

    key: str
    short: str
    asked: str
    plots: Callable[[Facts], list[Plot]]
    needs: str


QUESTIONS = (
    Question(
        "dimensions",
        "Image dimensions",
        "How large are the images?",
        pixels.dimensions,
        "the measure geometry",
    ),
    Question(
        "aspect_ratios",
        "Aspect ratios",
        "What shapes do they have?",
        pixels.aspect_ratios,
        "the measure geometry",
    ),
    Question(
        "colors",
        "Colour distribution",
        "What colours do they have?",
        pixels.colors,
        "the measures color and geometry",
    ),
    Question(
        "brightness",
        "Brightness and contrast",
        "How bright are they, and how strong is their contrast?",
        pixels.exposure,
        "the measure exposure",
    ),
    Question(
        "edges",
        "Sharp against smooth",
        "Are they sharp or smooth?",
        pixels.edges,
        "the measure sharpness",
    ),
    Question(
        "textures",
        "Textures per class",
        "How do textures differ between classes?",
        classes.textures,
        "labels, and the measures texture and sharpness",
    ),
    Question(
        "balance",
        "Class balance",
        "Are the classes balanced?",
        classes.balance,
        "labels, from the folders or a manifest",
    ),
    Question(
        "objects",
        "Most common objects",
        "Which objects are most common?",
        classes.objects,
        "labels, boxes or predictions",
    ),
    Question(
        "metadata",
        "Metadata",
        "When, where and with what were they taken?",
        files.metadata,
        "the measure file",
    ),
    Question(
        "likeness",
        "Likeness within a class",
        "Are backgrounds and lighting alike within a class?",
        classes.likeness,
        "labels on ten images of a class or more, and the measures border and exposure",
    ),
)

ALSO = (
    Question(
        "files", "Files as stored", "What files are they?", files.encoding, "the measure file"
    ),
    Question(
        "boxes", "Boxes", "How large are the boxes, and where?", classes.boxes, "boxes in records"
    ),
)


def questions(data: ReportInput) -> list[Section]:
    """The ten, numbered; then what else the tables tell, where they do."""
    facts = Facts(data.tables)
    answered = {
        entry["key"]: entry
        for part in ("questions", "also")
        for entry in data.answers.get(part, ())
        if isinstance(entry, Mapping) and "key" in entry
    }
    ten = [
        _section(question, question.plots(facts), answered.get(question.key, {}), str(number))
        for number, question in enumerate(QUESTIONS, start=1)
    ]
    besides = [(question, question.plots(facts)) for question in ALSO]
    return ten + [_section(q, plots, answered.get(q.key, {}), "") for q, plots in besides if plots]


def _section(
    question: Question, plots: list[Plot], answer: Mapping[str, Any], number: str
) -> Section:
    text = printable(str(answer.get("answer", "")), ANSWER_LIMIT).replace(" %", "\u00a0%")
    html = fill("question.html", answer=text, plots=plots, needs=question.needs)
    return Section(
        title=str(answer.get("question", question.asked)),
        anchor=question.key,
        html=html,
        part=CHAPTER if number else BESIDES,
        number=number,
        short=question.short,
    )
