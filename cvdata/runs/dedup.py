"""Deduplication as a run: candidates from tables, verification where the pixels are, groups."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cvdata.duplicates import candidates as find
from cvdata.duplicates.candidates import Candidates
from cvdata.duplicates.groups import Stars, star
from cvdata.duplicates.history import NEW, History, continued, history_of
from cvdata.duplicates.keep import with_derived
from cvdata.duplicates.verdicts import Verdicts
from cvdata.engine.session import Session
from cvdata.errors import ConfigError
from cvdata.kernels.graph import I64, Neighbors
from cvdata.kernels.verification import VerifyOptions
from cvdata.runs.components import HAS_VECTOR, Images, components
from cvdata.runs.dedup_options import DedupOptions, DedupRequest, affordable, resolved
from cvdata.runs.eda import refuse_without_measures
from cvdata.runs.hash_search import HashSearch
from cvdata.stages.verify import Grouped, VerifyComponents
from cvdata.workspace import Change, Workspace


@dataclass
class Cover:
    """Everything that a run found, by method: groups over all rows, and pairs of rows."""

    stars: dict[str, Stars]
    neighbors: dict[str, Neighbors]
    verdicts: Verdicts
    n_unread: int = 0


def load_images(workspace: Workspace, options: DedupOptions) -> Images:
    """The rows of `measures` without an error, joined with label, boxes and split."""
    derived = {"pixels": ["width", "height"], "is_labeled": []}
    known = set(workspace.columns("measures")) | set(workspace.columns("records"))
    wanted = [c for name in options.keep.needs for c in derived.get(name, [name])]
    wanted += ["sha256", "pixel_digest", "phash", options.hash_column, "error"]
    _refuse_missing(options, known)
    mine = [c for c in dict.fromkeys(wanted) if c in set(workspace.columns("measures"))]
    rows = workspace.read("measures", list(dict.fromkeys(["image_id", "revision", *mine])))
    records = workspace.read("records", ["image_id", "label", "boxes", "split"])
    at = pc.index_in(rows["image_id"], value_set=records["image_id"].combine_chunks())
    for name in ("label", "boxes", "split"):
        rows = rows.append_column(name, records[name].take(at))
    rows = with_derived(rows.filter(pc.is_null(rows["error"])).combine_chunks())
    rows = rows.append_column(HAS_VECTOR, _has_vector(workspace, rows, options.table))
    return Images(
        rows,
        options.keep.order(rows),
        codes(rows, "pixel_digest"),
        codes(rows, "split"),
        np.ones(len(rows), np.int64),
    )


def _has_vector(workspace: Workspace, rows: pa.Table, table: str) -> pa.ChunkedArray:
    """Which images are embedded in `table`; none where there is no such table."""
    if table not in workspace.head.tables:
        return pa.chunked_array([np.zeros(len(rows), bool)])
    found = workspace.read(table, ["image_id", "error"])
    found = found.filter(pc.is_null(found["error"]))
    return pc.is_in(rows["image_id"], value_set=found["image_id"].combine_chunks())


def checked(change: Change, workspace: Workspace, request: DedupRequest) -> DedupOptions:
    """`resolved`; `ConfigError` where a method or the keep policy needs what was not measured."""
    if change.records:
        refuse_without_measures(change.base, workspace.store.url)
    options = resolved(workspace, request)
    known = {*workspace.columns("measures"), "label", "boxes", "split", "is_labeled"}
    _refuse_missing(options, known)
    options.keep.check(sorted(known | ({"pixels"} if {"width", "height"} <= known else set())))
    return options


def _refuse_missing(options: DedupOptions, known: set[str]) -> None:
    needs = {
        "exact_sha256": "sha256",
        "exact_pixels": "pixel_digest",
        "perceptual": options.hash_column,
        "dihedral": "phash",
    }
    for method in options.methods:
        column = needs.get(method)
        if column is not None and column not in known:
            raise ConfigError(
                f"{method} needs the column {column}: run `cvdata scan` with the measure that "
                "gives it (docs/measures.md), or leave the method out"
            )


def codes(rows: pa.Table, column: str) -> I64:
    """(N,) equal numbers for equal values, -1 for null or where there is no such column."""
    if column not in rows.column_names or not len(rows):
        return np.full(len(rows), -1, np.int64)
    values = rows[column].combine_chunks()
    binary = values if pa.types.is_string(values.type) else values.cast(pa.binary())
    codes = binary.dictionary_encode().indices.fill_null(-1)
    return np.asarray(codes, np.int64)


def find_candidates(
    session: Session, workspace: Workspace, images: Images, options: DedupOptions
) -> tuple[DedupOptions, dict[str, Candidates]]:
    """Who may be a copy of whom, by method; tables only. And the options as they were used."""
    found: dict[str, Candidates] = {}
    for method in options.methods:
        if method.startswith("exact"):
            column = "sha256" if method == "exact_sha256" else "pixel_digest"
            found[method] = find.exact(method, images.table[column])
        elif method in ("perceptual", "dihedral"):
            column = options.hash_column if method == "perceptual" else "phash"
            search = HashSearch(column, options.radius, options.search)
            found[method] = search(session, workspace, images.table[column], method)
        else:
            rows = workspace.read(options.table, ["image_id", "embedding"])
            at = pc.index_in(images.table["image_id"], value_set=rows["image_id"].combine_chunks())
            column = rows["embedding"].take(at)
            known, vectors = find.unit_vectors(column)
            options = affordable(options, vectors[_first_of_each(images.pixels[known])])
            found[method] = find.semantic(column, options.threshold)
    return options, found


def _first_of_each(codes: I64) -> I64:
    """Rows of the first of each code, rising; -1 equals nothing."""
    own = np.where(codes >= 0, codes, -1 - np.arange(len(codes)))
    return np.asarray(np.sort(np.unique(own, return_index=True)[1]), np.int64)


def group(
    session: Session,
    workspace: Workspace,
    images: Images,
    found: Mapping[str, Candidates],
    options: DedupOptions,
) -> Cover:
    """Stars by method and for `any`: copies of old keepers stay with them, no group chains."""
    exact = {m: c.neighbors for m, c in found.items() if m.startswith("exact")}
    near = {m: c.neighbors for m, c in found.items() if not m.startswith("exact")}
    histories = {m: past(workspace, images, m, options.is_fresh) for m in (*found, "any")}
    known = Verdicts.of(len(images), [], [], [])
    if options.is_verified and not options.is_fresh:
        known = _earlier_verdicts(workspace, images, histories["any"])
    cover = Cover({}, {}, known)
    for method, neighbors in exact.items():
        cover.stars[method] = _continued(neighbors, images, histories[method])
        cover.neighbors[method] = neighbors
    cover.neighbors.update(near)
    radii = {m: max(c.radius, 1e-9) for m, c in found.items()}
    n = len(images)
    for method in (*near, "any"):
        keeper = histories[method].keeper
        base = np.where(keeper >= 0, keeper, np.arange(n)).astype(np.int32)
        cover.stars[method] = Stars(base, histories[method].distance.copy())
    work = VerifyComponents(VerifyOptions(features=options.has_features), options.is_verified)
    items = list(components(workspace, images, {**exact, **near}, radii, histories, known))
    new: list[Grouped] = []
    for part in session.run(work, items):
        _take(cover, part, set(near) | {"any"})
        new.append(part)
    cover.verdicts = known.joined(_new_verdicts(n, new))
    return cover


def past(workspace: Workspace, images: Images, method: str, is_fresh: bool) -> History:
    """What the last committed run decided; nothing where there was none."""
    if is_fresh or "deduplicated" not in workspace.head.tables:
        n = len(images)
        return History(np.full(n, -1, np.int64), np.zeros(n, np.float32), {})
    rows = workspace.read_all("duplicates")
    rows = rows.filter(pc.equal(rows["method"], method))
    known = workspace.read_all("deduplicated")
    if method in ("semantic", "any"):
        known = _without_late(known, images)
    return history_of(images.table, known, rows)


def _without_late(known: pa.Table, images: Images) -> pa.Table:
    """Without those embedded since: they were not compared, so nothing was decided of them."""
    if HAS_VECTOR not in known.column_names:
        return known
    now = images.table.filter(images.table[HAS_VECTOR])["image_id"].combine_chunks()
    is_late = pc.is_in(known["image_id"], value_set=now)
    is_late = pc.and_(is_late, pc.invert(pc.fill_null(known[HAS_VECTOR], True)))
    return known.filter(pc.invert(is_late))


def _earlier_verdicts(workspace: Workspace, images: Images, history: History) -> Verdicts:
    """What earlier runs saw of images that are the same still.

    No pair is looked at twice: without this, those that were turned down could come to stand.
    """
    if "deduplicated" not in workspace.head.tables:
        return Verdicts.of(len(images), [], [], [])
    rows = workspace.read_all("pairs")
    rows = rows.filter(pc.is_valid(rows["is_verified"]))
    ids = images.table["image_id"].combine_chunks()
    a, b = (np.asarray(pc.fill_null(pc.index_in(rows[c], ids), -1)) for c in ("id_a", "id_b"))
    is_same = np.append(history.keeper != NEW, False)  # the last one: an image that is gone
    is_old = is_same[a] & is_same[b]
    verdicts = np.asarray(rows["is_verified"])[is_old]
    return Verdicts.of(len(images), a[is_old], b[is_old], verdicts)


def _new_verdicts(n: int, parts: list[Grouped]) -> Verdicts:
    if not parts:
        return Verdicts.of(n, [], [], [])
    a, b = (np.concatenate([getattr(p, side) for p in parts]) for side in ("pair_a", "pair_b"))
    return Verdicts.of(n, a, b, np.concatenate([p.is_copy for p in parts]))


def _continued(neighbors: Neighbors, images: Images, history: History) -> Stars:
    if (history.keeper < 0).all():
        return star(neighbors, images.order)
    return continued(neighbors, images.order, history)


def _take(cover: Cover, part: Grouped, methods: set[str]) -> None:
    """Put a task's groups into the whole."""
    for method in methods & set(part.keeper):
        stars = cover.stars[method]
        stars.keeper[part.rows] = part.keeper[method]
        stars.distance[part.rows] = part.distance[method]
    cover.n_unread += part.n_unread
