"""Leaks into evaluation sets in other workspaces or folders: found and listed, never grouped."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cvdata import schema
from cvdata.duplicates import crossing as find
from cvdata.duplicates.crossing import Crossing
from cvdata.duplicates.keep import KeepPolicy
from cvdata.engine.session import Session
from cvdata.errors import ConfigError
from cvdata.kernels import stars
from cvdata.kernels.graph import I64
from cvdata.kernels.verification import VerifyOptions
from cvdata.runs.against_folder import measured
from cvdata.runs.components import Images, records_of
from cvdata.runs.dedup import load_images
from cvdata.runs.dedup_options import DedupOptions
from cvdata.runs.dedup_tables import Outcome
from cvdata.runs.eda import origin
from cvdata.stages.verify import Bools, Pairs, VerifyPairs
from cvdata.workspace import Workspace

TASK_PAIRS = 256


@dataclass(frozen=True)
class Other:
    """Another workspace, pinned. `name` is its folder's, or all of its URL where that is taken."""

    name: str
    workspace: Workspace
    inputs: str


@dataclass(frozen=True)
class External:
    """LEAKS between us (a) and another workspace (b), and their figures."""

    name: str
    leaks: pa.Table
    figures: Mapping[str, Any]


def open_others(
    session: Session, workspace: Workspace, urls: Sequence[str], options: DedupOptions
) -> list[Other]:
    """The workspaces at `urls` as they are now; any other source is measured first.

    Raises `ConfigError` for what holds no images.
    """
    others: list[Other] = []
    taken = {own_name(workspace)}
    if urls and "records" in workspace.head.tables:
        taken |= set(pc.unique(workspace.read("records", ["split"])["split"]).to_pylist())
    for url in dict.fromkeys(u.rstrip("/") for u in urls):
        other = Workspace(url)
        if other.store.root == workspace.store.root:
            raise ConfigError(f"--against {url} is the workspace itself: name another")
        name = own_name(other)
        if not other.head.seq:
            other = measured(session, workspace, url, options)
        if "records" not in other.head.tables:
            raise ConfigError(f"--against {url} is a workspace without images: ingest them first")
        if options.table:
            _refuse_other_model(workspace, other, options.table)
        name = url if name in taken else name
        taken.add(name)
        others.append(Other(name, other, origin(other.head)["inputs"]))
    return others


def _refuse_other_model(workspace: Workspace, other: Workspace, table: str) -> None:
    """`ConfigError` where their vectors are not there, or say nothing beside ours."""
    if table not in other.head.tables:
        raise ConfigError(
            f"--against {other.store.url} has no {table}: run `cvdata infer` there with the same "
            "model, or leave semantic out of --methods"
        )
    mine, theirs = (w.head.tables[table].meta.get("weights") for w in (workspace, other))
    if None not in (mine, theirs) and mine != theirs:
        raise ConfigError(
            f"--against {other.store.url}: its {table} was made with other weights than ours, so "
            "no cosine can be told: run `cvdata infer` there with the same model, or leave "
            "semantic out of --methods"
        )


def own_name(workspace: Workspace) -> str:
    """What a workspace's images without a split are listed under: its folder's name."""
    return workspace.store.root.rstrip("/").rpartition("/")[2] or workspace.store.url


def external_leaks(
    session: Session, workspace: Workspace, images: Images, other: Other, options: DedupOptions
) -> External:
    """Every pair of ours and theirs that is a copy by any method, verified where not exact."""
    theirs = _their_images(other, options)
    spaces, sets = (workspace, other.workspace), (images, theirs)
    found = {m: _found(m, spaces, sets, options) for m in options.methods}
    pairs = find.joined(list(found.values()))
    is_open = np.full(len(pairs), options.is_verified)
    for method in options.methods:
        if method.startswith("exact"):
            is_open &= ~_within(pairs, found[method], len(theirs))
    stands = np.ones(len(pairs), bool)
    n_unread = 0
    work = VerifyPairs(VerifyOptions(features=options.has_features))
    for seen in session.run(work, list(_tasks(spaces, sets, pairs, is_open))):
        stands[seen.at] = seen.is_copy
        n_unread += seen.n_unread
    refused = _cut(pairs, ~stands)
    names = own_name(workspace), other.name
    tables = [
        _table(m, sets, _cut(c, ~_within(c, refused, len(theirs))), names)
        for m, c in [*found.items(), ("any", pairs)]
    ]
    figures = {
        "n_images": len(theirs),
        "n_leaks": int(stands.sum()),
        "n_leaking": len(np.unique(pairs.a[stands])),
        "n_verified": int(is_open.sum()),
        "n_turned_down": len(refused),
        "n_unread": n_unread,
    }
    return External(other.name, pa.concat_tables(tables), figures)


def with_external(outcome: Outcome, externals: Sequence[External]) -> Outcome:
    """The run's tables and figures with these leaks after its own."""
    if not externals:
        return outcome
    leaks = pa.concat_tables([outcome.leaks, *(e.leaks for e in externals)])
    figures = {**outcome.figures, "against": {e.name: dict(e.figures) for e in externals}}
    return replace(outcome, leaks=leaks, figures=figures)


def _their_images(other: Other, options: DedupOptions) -> Images:
    try:
        # nothing of theirs is kept or dropped: no column of the policy is needed
        return load_images(other.workspace, replace(options, keep=KeepPolicy(("image_id",))))
    except ConfigError as error:
        raise ConfigError(f"--against {other.workspace.store.url}: {error}") from error


def _found(
    method: str,
    spaces: tuple[Workspace, Workspace],
    images: tuple[Images, Images],
    options: DedupOptions,
) -> Crossing:
    """Candidates of one method."""
    columns = {
        "exact_sha256": "sha256",
        "exact_pixels": "pixel_digest",
        "perceptual": options.hash_column,
        "dihedral": "phash",
    }
    if method == "semantic":
        left, right = (
            _embeddings(w, i, options.table) for w, i in zip(spaces, images, strict=True)
        )
        return find.semantic(left, right, options.threshold)
    left, right = (i.table[columns[method]] for i in images)
    if method == "perceptual":
        return find.perceptual(left, right, options.radius)
    if method == "dihedral":
        return find.dihedral(left, right, options.radius)
    return find.exact(left, right)


def _embeddings(workspace: Workspace, images: Images, table: str) -> pa.ChunkedArray:
    rows = workspace.read(table, ["image_id", "embedding"])
    at = pc.index_in(images.table["image_id"], value_set=rows["image_id"].combine_chunks())
    return rows["embedding"].take(at)


def _within(pairs: Crossing, some: Crossing, n_right: int) -> Bools:
    """(P,) which of `pairs` are among `some`."""
    return np.isin(pairs.a * n_right + pairs.b, some.a * n_right + some.b)


def _cut(pairs: Crossing, kept: Bools) -> Crossing:
    return Crossing(pairs.a[kept], pairs.b[kept], pairs.distance[kept], pairs.radius)


def _tasks(
    spaces: tuple[Workspace, Workspace],
    images: tuple[Images, Images],
    pairs: Crossing,
    is_open: Bools,
) -> Iterator[Pairs]:
    """The open pairs with what fetches them, those of one component side by side."""
    wanted = np.flatnonzero(is_open)
    if not len(wanted):
        return
    n_ours = len(images[0])
    a, b = pairs.a[wanted], pairs.b[wanted] + n_ours
    edges = a.astype(np.int32), b.astype(np.int32)
    component = stars.components(n_ours + len(images[1]), *edges)
    order = np.lexsort((b, a, component[a]))
    pixels = _shared_codes(images)
    rows = np.unique(a), np.unique(b)
    ends = zip(spaces, images, rows, (0, n_ours), strict=True)
    records = pa.concat_tables(records_of(w, i, r - offset) for w, i, r, offset in ends)
    place = np.concatenate(rows)
    for start in range(0, len(order), TASK_PAIRS):
        mine = order[start : start + TASK_PAIRS]
        needed, local = np.unique(np.concatenate([a[mine], b[mine]]), return_inverse=True)
        yield Pairs(
            wanted[mine],
            records.take(pa.array(np.searchsorted(place, needed))).combine_chunks(),
            pixels[needed],
            local[: len(mine)],
            local[len(mine) :],
        )


def _shared_codes(images: tuple[Images, Images]) -> I64:
    """Equal numbers for equal pixels over both sets, ours first; -1 where they are not known."""
    tables = [i.table for i in images]
    if any("pixel_digest" not in t.column_names for t in tables):
        return np.full(sum(map(len, tables)), -1, np.int64)
    digests = pa.concat_tables([t.select(["pixel_digest"]) for t in tables])["pixel_digest"]
    codes = digests.combine_chunks().cast(pa.binary()).dictionary_encode().indices
    return np.asarray(codes.fill_null(-1), np.int64)


def _table(
    method: str, images: tuple[Images, Images], pairs: Crossing, names: tuple[str, str]
) -> pa.Table:
    """LEAKS, ours first, sorted by (id_a, id_b)."""
    ours, theirs = (i.table for i in images)
    rank_a, rank_b = schema.id_ranks(ours["image_id"]), schema.id_ranks(theirs["image_id"])
    order = np.lexsort((rank_b[pairs.b], rank_a[pairs.a]))
    a, b = pa.array(pairs.a[order]), pa.array(pairs.b[order])
    columns = {
        "id_a": ours["image_id"].take(a),
        "id_b": theirs["image_id"].take(b),
        "split_a": pc.fill_null(ours["split"].take(a), names[0]),
        "split_b": pa.array([names[1]] * len(b), pa.string()),
        "method": pa.array([method] * len(b), pa.string()),
        "distance": pa.array(pairs.distance[order], pa.float32()),
    }
    return pa.table(columns, schema=schema.LEAKS)
