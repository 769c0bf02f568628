"""The dataset card: what is in an export, what is not and why, what made it, how it is read."""

import html
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from cvdata.errors import printable
from cvdata.sinks.base import Facts
from cvdata.sinks.text import compact

if TYPE_CHECKING:
    from cvdata.runs.export import ExportOptions

CLASSES_SHOWN = 200
_VERSIONS = ("cvdata", "python", "pillow", "pyarrow", "numpy")


def card(
    options: "ExportOptions", facts: Facts, figures: Mapping[str, Any], how: Sequence[str]
) -> str:
    """README.md of an export: no time and no path in it, so that the same export has the same."""
    front = getattr(options.sink, "front_matter", None)  # only what Hugging Face's reader needs
    head = f"---\n{compact(front(facts))}\n---\n" if front else ""
    lines = [
        f"# {plain(options.title) or 'Dataset'}",
        "",
        f"{figures['n_images']:,} images in the format `{options.format}`, exported by cvdata "
        f"{figures['versions']['cvdata']} from commit {figures['commit']} of a workspace.",
        *_licence(options),
        *_splits(figures),
        *_table("Images", figures["classes"], "class"),
        *_table("Boxes", figures["objects"], "class"),
        *_left_out(figures),
        *_pixels(options, figures),
        "",
        "## How to read it",
        "",
        *(f"- `{line}`" for line in how),
        "- `sha256sum -c SHA256SUMS` checks every file.",
        "",
        "`export.json` holds the options, versions and counts of this page for machines;"
        " `provenance.jsonl` the id, source and key of each image.",
        "",
        "Made with " + ", ".join(f"{k} {figures['versions'].get(k)}" for k in _VERSIONS) + ".",
        "",
    ]
    return head + "\n".join(lines)


def plain(text: str | None) -> str:
    """Anybody's text in Markdown: on one line, with nothing that means anything there."""
    if text is None:
        return "–"
    safe = html.escape(printable(text), quote=False)
    return "".join(f"\\{c}" if c in "\\`*_{}[]|#" else c for c in safe)


def _licence(options: "ExportOptions") -> list[str]:
    text = options.licence
    return [
        "",
        "## Licence",
        "",
        plain(text)
        if text
        else "Not stated. An export gives no rights: each image keeps the licence of its source.",
    ]


def _splits(figures: Mapping[str, Any]) -> list[str]:
    counts: Counter[str | None] = Counter()
    for split, _, n in figures["classes"]:
        counts[split] += n
    origin = "assigned by `cvdata split`" if figures["has_assigned_splits"] else "of the source"
    return [
        "",
        f"## Splits ({origin})",
        "",
        "| split | images |",
        "|---|---:|",
        *(f"| {plain(split)} | {n:,} |" for split, n in counts.items()),
    ]


def _table(what: str, rows: Sequence[Sequence[Any]], name: str) -> list[str]:
    """Counts by class and split; the most frequent classes where there are many."""
    splits = list(dict.fromkeys(row[0] for row in rows))
    total: Counter[str | None] = Counter()
    for _, label, n in rows:
        total[label] += n
    if not total or set(total) == {None}:
        return []
    counts = {(split, label): n for split, label, n in rows}
    shown = sorted(total, key=lambda label: (-total[label], label is None, label or ""))
    title = ["", f"## {what} by class", ""]
    if len(shown) > CLASSES_SHOWN:
        title += [f"The {CLASSES_SHOWN} most frequent of {len(shown):,} classes.", ""]
    return [
        *title,
        f"| {name} | " + " | ".join(map(plain, splits)) + " | all |",
        "|---|" + "---:|" * (len(splits) + 1),
        *(
            f"| {plain(label)} | "
            + " | ".join(f"{counts.get((split, label), 0):,}" for split in splits)
            + f" | {total[label]:,} |"
            for label in shown[:CLASSES_SHOWN]
        ),
    ]


def _left_out(figures: Mapping[str, Any]) -> Iterator[str]:
    n_records = figures["n_records"]
    yield from ("", "## What is not in it", "")
    yield f"- Of {n_records:,} images of the workspace, {figures['n_images']:,} are here."
    if not figures["is_selected"]:
        yield "- Nothing was selected (`cvdata decide` was not run): every readable image is here."
    if figures["n_unreadable"]:
        yield f"- {figures['n_unreadable']:,} images that cannot be read."
    for reason, n in figures["reasons"].items():
        yield f"- {n:,} images dropped, among other reasons for `{plain(reason)}`."
    for what, n in figures["misfits"].items():
        yield f"- {n:,} images that {plain(what)}."
    for code, n in figures["errors"].items():
        yield f"- {n:,} images that failed while they were written: `{code}`."
    for what, n in figures["left_out"].items():
        yield f"- {n:,} {plain(what)}, for which this format has no place."


def _pixels(options: "ExportOptions", figures: Mapping[str, Any]) -> Iterator[str]:
    yield from ("", "## Pixels", "")
    if not options.sink.places.needs_bytes:
        yield "No image was copied."
        return
    n_rendered = figures["n_rendered"]
    untouched = figures["n_images"] - n_rendered
    yield f"{untouched:,} files are byte for byte those of the source."
    if n_rendered:
        asked = options.rendering
        yield (
            f"{n_rendered:,} were written anew (longest side at most "
            f"{asked.max_side or 'any'}, quality {asked.quality}), upright and without metadata."
        )
    if figures["n_turned"]:
        yield (
            f"{figures['n_turned']:,} carry an EXIF orientation. Boxes and sizes are those of the "
            "upright image: a reader that ignores EXIF must turn these, or export with `--upright`."
        )


def lines_of(figures: Mapping[str, Any], target: str) -> Iterator[str]:
    """What an export did, for the terminal."""
    if figures["is_current"]:
        yield f"export: {target} holds this very export already; nothing was written"
        return
    yield (
        f"export: {figures['n_images']:,} of {figures['n_records']:,} images as "
        f"{figures['format']} to {target}, {figures['n_bytes'] / 1e6:,.1f} MB in "
        f"{figures['n_files']:,} files"
    )
    if not figures["is_selected"]:
        yield "  nothing is selected (`cvdata decide`): every readable image was written"
    if figures["n_chunks_found"]:
        yield f"  {figures['n_chunks_found']:,} chunks were finished by an earlier run"
    for what, n in figures["misfits"].items():
        yield f"  left out: {n:,} images {what}"
    for what, n in figures["left_out"].items():
        yield f"  left out: {n:,} {what}, for which the format has no place"
    for code, n in figures["errors"].items():
        yield f"  failed: {n:,} images ({code})"
    if figures["n_turned"]:
        yield (
            f"  {figures['n_turned']:,} images carry an EXIF orientation: sizes and boxes are "
            "those of the upright image; for readers that ignore EXIF export with --upright"
        )
