"""Rows scored by a scope's methods, as a table on its way to ranks and to `outliers`."""

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cvdata.outliers.consensus import consensus, ranks
from cvdata.outliers.fitting import Fitted
from cvdata.outliers.rows import F64, I64, Bools, Rows
from cvdata.outliers.settings import CONSENSUS
from cvdata.schema import OUTLIERS

SCORED_KEY = ("image_id", "revision", "class")


def scored(rows: Rows, fitted: Fitted) -> pa.Table:
    """image_id, revision, class, and of each method `<m>.score`, `<m>.flag`, `<m>.why`.

    `score` is null where the method knows nothing of the image; `why` is JSON where it is flagged.
    """
    columns: dict[str, Any] = {
        "image_id": rows.table["image_id"],
        "revision": rows.table["revision"],
        "class": pa.array([fitted.scope] * len(rows), pa.string()),
    }
    for method in fitted.methods:
        scores = fitted.score(rows, method)
        flags = fitted.flags(rows, method, scores)
        columns[f"{method}.score"] = pa.array(scores, pa.float32(), from_pandas=True)
        columns[f"{method}.flag"] = pa.array(flags)
        columns[f"{method}.why"] = _reasons(rows, fitted, method, scores, flags)
    return pa.table(columns)


def _reasons(rows: Rows, fitted: Fitted, method: str, scores: F64, flags: Bools) -> pa.Array:
    at = np.flatnonzero(flags)
    told: list[str | None] = [None] * len(rows)
    if len(at):
        reasons = fitted.explain(rows.take(at), method, scores[at])
        for i, reason in zip(at, reasons, strict=True):
            told[i] = dumps(reason)
    return pa.array(told, pa.string())


def dumps(reason: object) -> str:
    """An explanation as JSON."""
    return json.dumps(reason, separators=(",", ":"), allow_nan=False)


def methods_of(table: pa.Table) -> list[str]:
    """The methods that a scored table has columns of."""
    return [n.removesuffix(".score") for n in table.column_names if n.endswith(".score")]


def scores_of(table: pa.Table, method: str) -> F64:
    """(N,) float64, NaN where null or where the table has no such method."""
    name = f"{method}.score"
    if name not in table.column_names:
        return np.full(len(table), np.nan)
    return np.asarray(table[name].cast(pa.float64()).to_numpy(), np.float64)


def ranked(scores: dict[str, F64], groups: I64) -> dict[str, tuple[F64, I64, F64]]:
    """Of each method and of the consensus: (score, rank, share) over all rows of all groups.

    Scores must be those that are stored, so that equal stored scores have equal ranks.
    """
    out: dict[str, tuple[F64, I64, F64]] = {}
    for method, values in scores.items():
        out[method] = (values, *ranks(values, groups))
    if len(scores) > 1:
        bits = consensus(np.stack([share for _, _, share in out.values()]))
        stored = bits.astype(np.float32).astype(np.float64)
        out[CONSENSUS] = (stored, *ranks(stored, groups))
    return out


def outlier_rows(table: pa.Table, places: dict[str, tuple[F64, I64, F64]], agree: int) -> pa.Table:
    """OUTLIERS of a scored table and its rows' (score, rank, share) by method.

    The consensus is flagged where at least `agree` methods flag, or all where there are fewer.
    """
    methods = methods_of(table)
    flags = {m: np.asarray(pc.fill_null(table[f"{m}.flag"], False), np.bool_) for m in methods}
    blocks = [OUTLIERS.empty_table()]
    for method, (scores, rank, _) in places.items():
        if method not in methods and method != CONSENSUS:
            continue
        at = np.flatnonzero(~np.isnan(scores))
        if method == CONSENSUS:
            flagged = _agreed(flags, places, methods, agree)
            why = _consensus_reasons(flagged, flags, places, methods)
        else:
            flagged, why = flags[method], table[f"{method}.why"].combine_chunks()
        some = table.select(["image_id", "revision", "class"]).take(pa.array(at))
        columns = {
            "image_id": some["image_id"],
            "revision": some["revision"],
            "method": pa.array([method] * len(at), pa.string()),
            "class": some["class"].cast(pa.string()),
            "score": pa.array(scores[at], pa.float32()),
            "rank": pa.array(rank[at]),
            "is_flagged": pa.array(flagged[at]),
            "explanation": why.take(pa.array(at)),
        }
        blocks.append(pa.table(columns, schema=OUTLIERS))
    found = pa.concat_tables(blocks)
    keys = [("image_id", "ascending"), ("method", "ascending"), ("class", "ascending")]
    return found.sort_by(keys)


def _agreed(
    flags: dict[str, Bools],
    places: dict[str, tuple[F64, I64, F64]],
    methods: Sequence[str],
    agree: int,
) -> Bools:
    votes = np.sum([flags[m] for m in methods], axis=0)
    asked = np.sum([places[m][1] > 0 for m in methods], axis=0)
    return np.asarray((votes > 0) & (votes >= np.minimum(agree, asked)))


def _consensus_reasons(
    flagged: Bools,
    flags: dict[str, Bools],
    places: dict[str, tuple[F64, I64, F64]],
    methods: Sequence[str],
) -> pa.Array:
    told: list[str | None] = [None] * len(flagged)
    for i in np.flatnonzero(flagged):
        by = {m: int(places[m][1][i]) for m in methods if places[m][1][i] > 0}
        share = {m: float(f"{places[m][2][i]:.4g}") for m in by}
        told[i] = dumps(
            {
                "score": float(f"{places[CONSENSUS][0][i]:.5g}"),
                "flagged_by": [m for m in methods if flags[m][i]],
                "rank_by_method": dict(sorted(by.items(), key=lambda kv: kv[1])),
                "share_by_method": share,
            }
        )
    return pa.array(told, pa.string())
