"""A deduplication from its images to its tables: most of a crowd of equal files stands aside."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cvdata.duplicates.crowd_tables import (
    foreign_leaks_with_followers,
    leaks_with_followers,
    pairs_with_followers,
    place_of,
    with_followers,
)
from cvdata.duplicates.crowds import Crowds, crowds_of
from cvdata.duplicates.history import ORPHAN, History
from cvdata.engine.session import Session
from cvdata.kernels.graph import I64
from cvdata.leaks import conflicts_table
from cvdata.runs.against import External, Other, external_leaks, with_external
from cvdata.runs.components import HAS_VECTOR, Images
from cvdata.runs.dedup import codes, find_candidates, group, load_images, past
from cvdata.runs.dedup_options import DedupOptions
from cvdata.runs.dedup_tables import Outcome, tables_of
from cvdata.workspace import Workspace


def compared(
    session: Session, workspace: Workspace, others: Sequence[Other], options: DedupOptions
) -> tuple[DedupOptions, Images, Outcome]:
    """Find, look, group, and tell of all images: (options as they were used, images, tables)."""
    whole = load_images(workspace, options)
    crowds = crowds_among(workspace, whole, options)
    images = staying(whole, crowds)
    options, found = find_candidates(session, workspace, images, options)
    cover = group(session, workspace, images, found, options)
    leaks = [external_leaks(session, workspace, images, o, options) for o in others]
    outcome = tables_of(workspace, images, found, cover)
    if len(crowds.follower):
        outcome = _told_of_all(workspace, outcome, whole, crowds)
        leaks = [_external_of_all(e, whole, crowds) for e in leaks]
    return options, whole, with_external(outcome, leaks)


def crowds_among(workspace: Workspace, images: Images, options: DedupOptions) -> Crowds:
    """Who stands aside: not those whom a copy has for a keeper since an earlier run."""
    n = len(images)
    digest, is_bound = codes(images.table, "sha256"), np.zeros(n, bool)
    crowds = crowds_of(digest, [], images.order, is_bound, options.crowd)
    if not len(crowds.follower):
        return crowds  # the usual case: the past need not be read
    table = images.table
    alike = [images.split, images.pixels, codes(table, "phash"), codes(table, options.hash_column)]
    alike.append(np.asarray(table[HAS_VECTOR]).astype(np.int64))
    for method in (*options.methods, "any"):
        history = past(workspace, images, method, options.is_fresh)
        leader = history.keeper[(history.keeper >= 0) & (history.keeper != np.arange(n))]
        is_bound[leader] = True
        alike += _decided(history)
    return crowds_of(digest, alike, images.order, is_bound, options.crowd)


def _decided(history: History) -> list[I64]:
    """Columns that are equal for images of which one method decided the same."""
    n = len(history.keeper)
    keeper = np.where(history.keeper == np.arange(n), n, history.keeper)
    lost = {removed: k for k, removed in enumerate(sorted(set(history.lost.values())))}
    for row, removed in history.lost.items():
        keeper[row] = ORPHAN - 1 - lost[removed]
    return [keeper, history.distance.view(np.int32).astype(np.int64)]


def staying(images: Images, crowds: Crowds) -> Images:
    """The images that are compared, in the order that they had."""
    if not len(crowds.follower):
        return images
    rows = crowds.stays
    place = np.full(len(images), -1, np.int64)
    place[rows] = np.arange(len(rows))
    order = place[images.order]
    return Images(
        images.table.take(pa.array(rows)).combine_chunks(),
        order[order >= 0],
        images.pixels[rows],
        images.split[rows],
        crowds.weight(),
    )


def _told_of_all(workspace: Workspace, outcome: Outcome, images: Images, crowds: Crowds) -> Outcome:
    """The tables and figures with those that stood aside."""
    pairs = pairs_with_followers(outcome.pairs, images.table["image_id"], crowds)
    duplicates = with_followers(outcome.duplicates, images.table, crowds)
    methods = {
        method: {**told, **_n_pairs(pairs, method, images)}
        for method, told in outcome.figures["methods"].items()
    }
    aside = {"n_set_aside": len(crowds.follower), "n_crowds": crowds.n_crowds}
    return replace(
        outcome,
        pairs=pairs,
        duplicates=duplicates,
        leaks=leaks_with_followers(outcome.leaks, images.table, crowds),
        conflicts=conflicts_table(
            duplicates, workspace.read("records", ["image_id", "label", "boxes"])
        ),
        figures={**outcome.figures, "methods": methods, **aside},
    )


def _n_pairs(pairs: pa.Table, method: str, images: Images) -> dict[str, int]:
    """Pairs of a method, and those that nobody turned down; of `any`: each pair once."""
    rows = pairs if method == "any" else pairs.filter(pc.equal(pairs["method"], method))
    ids = images.table["image_id"]
    key = place_of(rows["id_a"], ids) * len(ids) + place_of(rows["id_b"], ids)
    stands = np.asarray(pc.fill_null(rows["is_verified"], True), bool)
    return {"n_pairs": len(np.unique(key)), "n_standing": len(np.unique(key[stands]))}


def _external_of_all(external: External, images: Images, crowds: Crowds) -> External:
    """The leaks into an evaluation set with those that stood aside, and their figures."""
    leaks = foreign_leaks_with_followers(external.leaks, images.table["image_id"], crowds)
    ours = leaks.filter(pc.equal(leaks["method"], "any"))["id_a"]
    figures: dict[str, Any] = {
        **external.figures,
        "n_leaks": len(ours),
        "n_leaking": len(pc.unique(ours)),
    }
    return replace(external, leaks=leaks, figures=figures)
