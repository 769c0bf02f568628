"""The page of all measures: `python -m cvdata.measures.doc > docs/measures.md`."""

import dataclasses
import inspect
import sys

from cvdata.measures.base import Measure
from cvdata.measures.catalogue import DEFAULT_MEASURES, MEASURES

_HEAD = """# Measures

One decode, one row an image. Every measure below is asked for by its name in a scan's config;
those marked *on request* are not in the default set. A column is null where its line says so, and
where its measure failed on an image; no column ever holds NaN or an infinity.

The hashes equal `imagehash` 4.3.2 on Pillow 13 or later, bit for bit; earlier Pillow releases
reduce tall images in another order, and so do hashes stored with them.

This page is generated: `python -m cvdata.measures.doc > docs/measures.md`.
"""


def page() -> str:
    """The whole page as Markdown."""
    return "\n".join([_HEAD, *(_section(measure) for measure in MEASURES)])


def _section(measure: type[Measure]) -> str:
    on_request = "" if measure.name in DEFAULT_MEASURES else " (on request)"
    lines = [f"## {measure.name}{on_request}", "", inspect.getdoc(measure) or "", ""]
    parameters = dataclasses.fields(measure)  # type: ignore[arg-type]
    if parameters:
        names = ", ".join(f"`{field.name}` = {field.default!r}" for field in parameters)
        lines += [f"Parameters: {names}. Version {measure.version}.", ""]
    else:
        lines += [f"Version {measure.version}.", ""]
    lines += ["| column | type | what |", "|---|---|---|"]
    lines += [f"| `{field.name}` | {field.dtype} | {field.doc} |" for field in measure.fields]
    return "\n".join([*lines, ""])


if __name__ == "__main__":
    sys.stdout.write(page())
