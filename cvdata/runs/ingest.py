"""From a source's stream of records to the parts of the `records` table."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cvdata.commits import Commit
from cvdata.config import Prices
from cvdata.engine.capacity import Needs, capacity
from cvdata.engine.session import Session
from cvdata.errors import ConfigError
from cvdata.keys import KeySet, id_words, key_columns
from cvdata.runs.estimate import COMMITS_LOOKED_AT, Pending, estimate, measured_rate
from cvdata.runs.scan import scan_cost
from cvdata.tables import KEY_COLUMNS
from cvdata.workspace import Workspace

SMALLEST_PART, AVERAGE_PART, LARGEST_PART = 8_192, 32_768, 65_536
SHRINK_LIMIT = 0.2


def cut(tables: Iterable[pa.Table]) -> Iterator[pa.Table]:
    """Records in (uri, offset) order -> parts whose borders depend on the ids near them only.

    A part ends after a row whose id is 0 modulo 32,768 (never before 8,192 rows, always at
    65,536): an image that is added or removed moves the parts beside it and no other, and the
    unchanged parts keep their names, so they are not written again.
    """
    held: list[pa.Table] = []
    n_held = 0
    for table in tables:
        held.append(table)
        n_held += len(table)
        if n_held < LARGEST_PART:
            continue
        rest = pa.concat_tables(held)
        while len(rest) >= LARGEST_PART:
            end = _border(rest)
            yield rest.slice(0, end).combine_chunks()
            rest = rest.slice(end)
        held, n_held = [rest], len(rest)
    rest = pa.concat_tables(held) if held else None
    while rest is not None and len(rest):
        end = _border(rest)
        yield rest.slice(0, end).combine_chunks()
        rest = rest.slice(end)


def _border(rows: pa.Table) -> int:
    window = rows["image_id"].slice(0, LARGEST_PART)
    words = id_words(window)[SMALLEST_PART - 1 :, 1]
    hits = np.flatnonzero(words % AVERAGE_PART == 0)
    return SMALLEST_PART + int(hits[0]) if len(hits) else len(window)


@dataclass(frozen=True)
class Listed:
    """What a source lists, and what of it the workspace does not have yet in the same revision."""

    n_images: int
    n_new: int
    new_bytes: int

    def n_changed(self, n_before: int) -> int:
        """Images that came, changed or went, of a source that had `n_before`."""
        return max(self.n_new, n_before - (self.n_images - self.n_new))


def listed(workspace: Workspace, tables: Iterable[pa.Table]) -> Listed:
    """Count a source's records; nothing is written."""
    held = KeySet.empty()
    if "records" in workspace.head.tables:
        rows = workspace.read("records", KEY_COLUMNS)
        held = KeySet.of(rows["image_id"], rows["revision"])
    n_images = n_new = new_bytes = 0
    for table in tables:
        is_new = ~held.contains(*key_columns(table["image_id"], table["revision"]))
        n_images += len(table)
        n_new += int(is_new.sum())
        new_bytes += pc.sum(table["size_bytes"].filter(pa.array(is_new))).as_py() or 0
    return Listed(n_images, n_new, new_bytes)


def scan_plan(
    workspace: Workspace, session: Session, found: Listed, prices: Prices
) -> tuple[tuple[str, ...], dict[str, Any]]:
    """What is listed, and what a scan of the new images would take: lines, and numbers."""
    cost = scan_cost()
    commits = [workspace.log.read(n) for n in workspace.log.numbers()[-COMMITS_LOOKED_AT:]]
    rate = measured_rate(commits, "measures", cost)
    pending = Pending(found.n_new, found.new_bytes)
    cost_of_new = estimate(pending, cost, rate, Needs(), capacity(session))
    lines = (
        f"plan: list {found.n_images:,} images, {found.n_new:,} of them new or changed",
        f"  a scan of those reads {found.new_bytes / 1e9:,.2f} GB:",
        *cost_of_new.lines(prices),
    )
    return lines, {"n_records": found.n_images, "estimate": cost_of_new.numbers(prices)}


def n_held(head: Commit, source: str) -> int:
    """Images of a source as committed."""
    held = head.tables.get("records")
    return sum(p.rows for p in held.parts if p.tag == source) if held else 0


def refuse_shrink(n_before: int, n_now: int, source: str) -> None:
    """Stop where a listing lost more than 20 % of its images: it may have failed half-way."""
    if n_before and n_now < n_before * (1 - SHRINK_LIMIT):
        raise ConfigError(
            f"the source {source!r} had {n_before:,} images and lists {n_now:,} now; "
            "if they were really removed, pass --allow-shrink"
        )
