"""A section of the report: what a later job adds, in one file of its own."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from cvdata.report import display


@dataclass(frozen=True)
class Section:
    """`html` under a heading; `part` is the chapter it belongs to in the contents.

    `anchor` is unique on the page. `downloads` maps a file name to CSV text: a button with
    `data-download="<file name>"` anywhere in `html` offers it. `number` hangs beside the heading,
    `short` stands in the contents where the title is long.
    """

    title: str
    anchor: str
    html: Markup
    part: str = ""
    number: str = ""
    short: str = ""
    downloads: Mapping[str, str] = field(default_factory=dict)


def fill(template: str, **values: Any) -> Markup:
    """A template of `templates/` with `values`, everything escaped that is not `Markup`."""
    return Markup(environment().get_template(template).render(**values))  # noqa: S704  autoescaped


@cache
def environment() -> Environment:
    """Jinja with autoescape always on and the report's ways of showing numbers."""
    made = Environment(
        loader=PackageLoader("cvdata.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters.update(
        count=display.count,
        file=display.file_of,
        folder=display.folder_of,
        name=display.name,
        number=display.number,
        share=display.share,
        size=display.size,
    )
    made.globals["plural"] = display.plural
    return made
