"""Assembles the page: sections in order, contents, a CSP that names every script and style."""

import base64
import hashlib
import json
from collections.abc import Callable, Sequence
from importlib.resources import files
from typing import Protocol

from markupsafe import Markup

from cvdata.report.colophon import colophon
from cvdata.report.conflicts import conflicts
from cvdata.report.duplicates import duplicates
from cvdata.report.failures import failures
from cvdata.report.gallery import galleries
from cvdata.report.inputs import CommitFacts, ReportInput
from cvdata.report.labels import labels
from cvdata.report.leaks import leaks
from cvdata.report.map import embedding_map
from cvdata.report.models import models
from cvdata.report.outliers import outliers
from cvdata.report.overview import overview
from cvdata.report.questions import questions
from cvdata.report.section import Section, fill
from cvdata.report.selection import selection
from cvdata.report.sharing import without_paths

SECTIONS: tuple[Callable[[ReportInput], list[Section]], ...] = (
    overview,
    failures,
    galleries,
    outliers,
    duplicates,
    leaks,
    conflicts,
    labels,
    embedding_map,
    selection,
    questions,
    models,
    colophon,
)
"""The report, in reading order. A later job adds one file and one name here."""


def render(data: ReportInput, *, share: bool = False) -> str:
    """The whole report as one HTML document without remote assets.

    Deterministic: the same input gives the same bytes. With `share`, no absolute path or
    storage URL of the machine it was made on is left in it.
    """
    shown = without_paths(data) if share else data
    return assemble(shown, [section for build in SECTIONS for section in build(shown)])


class Page(Protocol):
    """What stands above the sections."""

    @property
    def title(self) -> str:
        """The heading."""
        ...

    @property
    def commit(self) -> CommitFacts:
        """What it was made from."""
        ...


def assemble(data: Page, sections: Sequence[Section]) -> str:
    """One HTML document of these sections, with contents and downloads."""
    downloads = {name: text for s in sections for name, text in s.downloads.items()}
    style, script = _asset("style.css"), _asset("script.js")
    return str(
        fill(
            "page.html",
            data=data,
            sections=sections,
            style=style,
            script=script,
            payload=embedded_json({"downloads": downloads}),
            csp=_policy(style, script),
        )
    )


def embedded_json(value: object) -> Markup:
    """JSON that no HTML parser can leave: `<`, `>`, `&` and the line separators as escapes."""
    text = json.dumps(value, ensure_ascii=True, sort_keys=True, separators=(",", ":"))
    for char in "<>&":
        text = text.replace(char, f"\\u{ord(char):04x}")
    return Markup(text)  # noqa: S704  the three characters that matter were escaped above


def _policy(style: Markup, script: Markup) -> str:
    """Nothing from anywhere, but pictures within the page and exactly these two inline assets."""
    return (
        f"default-src 'none'; img-src data:; style-src '{_hash(style)}'; "
        f"script-src '{_hash(script)}'; base-uri 'none'; form-action 'none'"
    )


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _asset(name: str) -> Markup:
    text = files("cvdata.report.templates").joinpath(name).read_text("utf-8")
    return Markup(text)  # noqa: S704  our own file
