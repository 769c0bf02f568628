"""From a comparison to the page that shows it."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cvdata.drift import worst_first
from cvdata.drift.collect import numbers
from cvdata.report.drift import CheckRow, DriftFacts, DriverRow, Spread, drift_page
from cvdata.report.inputs import CommitFacts
from cvdata.runs.drift import Drift, Driver
from cvdata.runs.drift_sides import Side
from cvdata.runs.report import thumbnails
from cvdata.schema import RECORDS
from cvdata.workspace import Workspace

PLOTTED = 8
"""Measures with a picture."""
BINS = 24


def page_of(found: Drift, current: Side) -> str:
    """The page, with thumbnails of the images that drive the difference."""
    head = current.workspace.head
    checks = worst_first(found.checks)
    moved = dict.fromkeys(c.name for c in checks if c.kind == "measure")
    facts = DriftFacts(
        found.reference,
        found.current,
        found.n_reference,
        found.n_current,
        CommitFacts(head.seq, head.job, head.created),
        tuple(
            CheckRow(
                c.kind, c.name, c.statistic, c.value, c.limit, c.p_value, c.reference, c.current,
                c.is_alarm,
            )
            for c in checks
        ),
        tuple(_spread(name, *found.samples) for name in list(moved)[:PLOTTED]),
        found.mixes,
        tuple(DriverRow(d.image_id, d.key, _fact(d)) for d in found.drivers),
        _pictures(current.workspace, [d.image_id for d in found.drivers]),
    )  # fmt: skip
    return drift_page(facts)


def _pictures(workspace: Workspace, ids: list[bytes]) -> dict[bytes, bytes]:
    wanted = pa.array(ids, pa.binary(16))
    found = [RECORDS.empty_table()]
    for id_range in workspace.ranges():
        rows = workspace.read("records", id_range=id_range)
        found.append(rows.filter(pc.is_in(rows["image_id"], wanted)))
    return dict(thumbnails(pa.concat_tables(found)))


def _fact(driver: Driver) -> str:
    if driver.reason == "embedding":
        return f"{driver.score:.3f} more like the current images"
    return f"{driver.reason}: {driver.score:.1f} spreads out"


def _spread(name: str, reference: pa.Table, current: pa.Table) -> Spread:
    """Between the 1st and 99th percentile of both together; what lies beyond is in the end bins."""
    a, b = (x[~np.isnan(x)] for x in (numbers(reference, name), numbers(current, name)))
    pooled = np.concatenate([a, b])
    if not len(pooled):
        return Spread(name, ((0.0, 1.0, 0.0, 0.0),))
    low, high = np.percentile(pooled, [1, 99])
    edges = np.linspace(low, high if high > low else low + 1, BINS + 1)
    shares = [
        np.histogram(np.clip(x, edges[0], edges[-1]), edges)[0] / max(len(x), 1) for x in (a, b)
    ]
    rows = zip(edges[:-1], edges[1:], *shares, strict=True)
    return Spread(name, tuple((float(w), float(x), float(y), float(z)) for w, x, y, z in rows))
