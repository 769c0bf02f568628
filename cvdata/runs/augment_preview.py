"""A grid of copies to look at: originals on the left, variants to the right, boxes drawn."""

import base64
import hashlib
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from jinja2 import Environment
from PIL import Image as PilImage
from PIL import ImageDraw, ImageFont

from cvdata.errors import ConfigError
from cvdata.runs.augment import AugmentOptions
from cvdata.runs.augment_chunks import merged_of, records_of, with_merged
from cvdata.runs.augment_plan import Held, refuse_nothing, wanted_copies
from cvdata.stages.augment import Augment, Gallery
from cvdata.stages.augment_rows import Known, made_row
from cvdata.workspace import Change, Workspace

PARENTS, VARIANTS = 6, 5
CELL, GAP, LINE = 224, 8, 15
COLORS = ("#e6194b", "#3cb44b", "#4363d8", "#f58231", "#911eb4", "#008080", "#9a6324", "#808000")
ORIGINAL = ({"horizontal_flip": {"chance": 0}},)
"""A policy that changes nothing: the original is drawn from what the sandbox decoded."""

Font = ImageFont.FreeTypeFont | ImageFont.ImageFont


@dataclass(frozen=True)
class Cell:
    """One picture of the grid, what it is, and what was done to it."""

    picture: PilImage.Image
    title: str
    lines: tuple[str, ...] = ()


def write_preview(change: Change, options: AugmentOptions, path: str) -> list[str]:
    """Write the grid to `path`, .png or .html; what to say of it. Nothing else is written."""
    suffix = Path(path).suffix.lower()
    if suffix not in (".png", ".html"):
        raise ConfigError(f"--preview writes .png or .html, not {path!r}")
    rows = _grid(change, options)
    if not rows:
        raise ConfigError("none of the chosen images can be decoded; run `cvdata scan` to see why")
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    if suffix == ".png":
        _sheet(rows).save(target, "PNG")
    else:
        target.write_text(_page(rows, options), encoding="utf-8")
    n = sum(len(row) - 1 for row in rows)
    return [f"preview: {n} copies of {len(rows)} images by {options.recipe.policy} in {path}"]


def _grid(change: Change, options: AugmentOptions) -> list[list[Cell]]:
    """A row a parent: the original, then its copies."""
    workspace = Workspace(change.store.url, store=change.store).pin(change.base.seq)
    choice = replace(options.choice, variants=VARIANTS, is_budgeted=False)
    wanted = wanted_copies(workspace, options.recipe, choice, Held())
    refuse_nothing(wanted, workspace, choice)
    tasks = _some(wanted.tasks, options.recipe.seed)
    partners = pc.list_flatten(tasks["partners"].combine_chunks())
    ids = pc.unique(pa.concat_arrays([tasks["parent_id"].combine_chunks(), partners]))
    known = Known(with_merged(records_of(change, ids), merged_of(workspace)))
    stage = Augment(options.recipe, Gallery(change.store, ""), options.fill.confinement)
    rows = tasks.to_pylist()
    making = replace(options.recipe.making, operations=ORIGINAL)
    plain = replace(stage, recipe=replace(options.recipe, making=making))
    firsts = [{**row, "partners": []} for row in rows if row["variant"] == 0]
    originals = _cells(plain, firsts, known, is_original=True)
    copies = _cells(stage, rows, known, is_original=False)
    grid = [[originals[i], *copies[i * VARIANTS : (i + 1) * VARIANTS]] for i in range(len(firsts))]
    return [[cell for cell in row if cell is not None] for row in grid if row[0] is not None]


def _some(tasks: pa.Table, seed: int) -> pa.Table:
    """The copies of some parents, chosen by their ids and the seed."""
    parents = pc.unique(tasks["parent_id"].combine_chunks()).to_pylist()
    chosen = sorted(parents, key=lambda p: hashlib.blake2b(p + str(seed).encode()).digest())
    kept = pa.array(chosen[:PARENTS], pa.binary(16))
    return tasks.filter(pc.is_in(tasks["parent_id"], kept)).combine_chunks()


def _cells(
    stage: Augment, tasks: Sequence[dict[str, Any]], known: Known, *, is_original: bool
) -> list[Cell | None]:
    found: list[Cell | None] = [None] * len(tasks)
    for places, outcome in stage.made(tasks, known):
        for place, made in zip(places, outcome, strict=True):
            if "error" in made:
                found[place] = None if is_original else _failed(made["detail"] or made["error"])
                continue
            row = made_row(tasks[place], stage.recipe.policy, made, known)
            picture = _drawn(made, row)
            title = row["label"] or "" if is_original else _labels(row)
            lines = () if is_original else tuple(_told(json.loads(made["params"])))
            found[place] = Cell(picture, f"original  {title}" if is_original else title, lines)
    return found


def _failed(detail: str) -> Cell:
    return Cell(PilImage.new("RGB", (CELL, CELL), "#777777"), "failed", (detail,))


def _labels(row: dict[str, Any]) -> str:
    labels = row["labels"] or []
    if len(labels) < 2:
        return row["label"] or ""
    return " + ".join(f"{w['weight']:.2f} {w['label'] or 'none'}" for w in labels)


def _told(done: Sequence[dict[str, Any]]) -> list[str]:
    """A line a step: its name and what was drawn, in short."""
    lines = []
    for params in done:
        if params.get("is_flipped") is False:
            continue
        said = [
            f"{key} {_short(value)}"
            for key, value in params.items()
            if key not in ("step", "operation", "seed")
        ]
        lines.append(f"{params['operation'].rpartition(':')[2]}: {', '.join(sorted(said))}")
    return lines


def _short(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.3g}"
    if isinstance(value, list):
        return "[" + ", ".join(_short(v) for v in value) + "]"
    return str(value)


def _drawn(made: dict[str, Any], row: dict[str, Any]) -> PilImage.Image:
    """The copy within a cell, its mask tinted, its boxes outlined."""
    picture = PilImage.open(io.BytesIO(made["image"])).convert("RGB")
    scale = CELL / max(picture.size)
    size = tuple(max(1, round(side * scale)) for side in picture.size)
    small = picture.resize((size[0], size[1]), PilImage.Resampling.BILINEAR)
    if made["mask"] is not None:
        small = _tinted(small, made["mask"])
    pen = ImageDraw.Draw(small)
    for box in row["boxes"] or []:
        corners = [float(v) * scale for v in box["xyxy"]]
        name = box["label"] or ""
        color = COLORS[hashlib.blake2b(name.encode(), digest_size=1).digest()[0] % len(COLORS)]
        pen.rectangle(corners, outline=color, width=2)
        pen.text((corners[0] + 3, corners[1] + 1), name, fill=color, font=_font(10))
    for _, _, x, y, is_inside in made["keypoints"]:
        if is_inside:
            pen.ellipse(
                [x * scale - 2, y * scale - 2, x * scale + 2, y * scale + 2], fill="#ffe119"
            )
    return small


def _tinted(picture: PilImage.Image, mask: bytes) -> PilImage.Image:
    layer = PilImage.open(io.BytesIO(mask)).resize(picture.size, PilImage.Resampling.NEAREST)
    is_in = np.asarray(layer) > 0
    tint = PilImage.new("RGB", picture.size, "#e6194b")
    return PilImage.composite(
        PilImage.blend(picture, tint, 0.4), picture, PilImage.fromarray(is_in)
    )


def _font(size: int) -> Font:
    return ImageFont.load_default(size)


def _sheet(rows: Sequence[Sequence[Cell]]) -> PilImage.Image:
    """All cells on one picture, their titles and steps below them."""
    tall = [max(cell.picture.height for cell in row) for row in rows]
    heights = [
        top + (1 + max(len(cell.lines) for cell in row)) * LINE + 2 * GAP
        for top, row in zip(tall, rows, strict=True)
    ]
    wide = max(len(row) for row in rows)
    sheet = PilImage.new("RGB", (GAP + wide * (CELL + GAP), GAP + sum(heights)), "white")
    pen = ImageDraw.Draw(sheet)
    for i, row in enumerate(rows):
        top = GAP + sum(heights[:i])
        for j, cell in enumerate(row):
            left = GAP + j * (CELL + GAP)
            x = left + (CELL - cell.picture.width) // 2
            sheet.paste(cell.picture, (x, top + (tall[i] - cell.picture.height) // 2))
            for n, text in enumerate((cell.title, *cell.lines)):
                font = _font(12 if n == 0 else 10)
                pen.text((left, top + tall[i] + 2 + n * LINE), _fit(text, font), "#222222", font)
    return sheet


def _fit(text: str, font: Font) -> str:
    """As much of the text as a cell is wide."""
    while text and font.getlength(text) > CELL:
        text = text[:-2].rstrip("…") + "…" if len(text) > 2 else ""
    return text


_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{{ title }}</title>
<meta http-equiv="Content-Security-Policy"
 content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<style>
:root { color-scheme: light dark }
body { font: 14px/1.4 system-ui, sans-serif; margin: 16px }
h1 { font-size: 18px }
.row { display: grid; grid-template-columns: repeat(auto-fill, minmax(150px, 1fr)); gap: 12px;
  padding: 12px 0; border-top: 1px solid #8886 }
figure { margin: 0; min-width: 0 }
img { max-width: 100%; height: auto; display: block }
figcaption { font-size: 12px; overflow-wrap: anywhere }
ul { margin: 4px 0 0; padding-left: 16px; color: #888 }
</style></head><body>
<h1>{{ title }}</h1>
{% for row in rows %}<div class="row">
{% for cell in row %}<figure><img alt="{{ cell.title }}" src="{{ cell.src }}">
<figcaption>{{ cell.title }}{% if cell.lines %}<ul>
{% for line in cell.lines %}<li>{{ line }}</li>{% endfor %}</ul>{% endif %}</figcaption></figure>
{% endfor %}</div>
{% endfor %}</body></html>
"""


def _page(rows: Sequence[Sequence[Cell]], options: AugmentOptions) -> str:
    """The grid as one page without any other file."""
    page = Environment(autoescape=True).from_string(_PAGE)
    told = [
        [{"title": c.title, "lines": c.lines, "src": _embedded(c.picture)} for c in row]
        for row in rows
    ]
    title = f"Augmentation: {options.recipe.policy}, seed {options.recipe.seed}"
    return page.render(title=title, rows=told)


def _embedded(picture: PilImage.Image) -> str:
    data = io.BytesIO()
    picture.save(data, "JPEG", quality=88)
    return "data:image/jpeg;base64," + base64.b64encode(data.getvalue()).decode()
