"""Deduplication as a run: candidates from tables, verification where the pixels are, groups."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cvdata.duplicates import candidates as find
from cvdata.duplicates.candidates import Candidates
from cvdata.duplicates.groups import Stars, star
from cvdata.duplicates.history import NEW, History, continued, history_of
from cvdata.duplicates.keep import KeepPolicy, with_derived
from cvdata.engine.session import Session
from cvdata.errors import ConfigError
from cvdata.kernels.graph import I64, Neighbors
from cvdata.runs.components import Images, components
from cvdata.stages.verify import Grouped, VerifyComponents
from cvdata.workspace import Workspace


@dataclass(frozen=True)
class DedupOptions:
    """What counts as a copy, and which copy is kept."""

    methods: tuple[str, ...] = ("exact_sha256", "exact_pixels", "perceptual", "dihedral")
    hash_column: str = "phash"
    radius: int = 6
    embeddings: str = ""
    threshold: float = 0.9
    keep: KeepPolicy = field(default_factory=KeepPolicy)
    is_verified: bool = True
    is_fresh: bool = False
    """Forget who was a keeper: decide everything anew."""


@dataclass
class Cover:
    """Everything that a run found, by method: groups over all rows, and pairs of rows."""

    stars: dict[str, Stars]
    neighbors: dict[str, Neighbors]
    n_refused: dict[str, int]
    verdicts: dict[tuple[int, int], bool]
    n_unread: int = 0
    n_unresolved: int = 0


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
    return Images(
        rows, options.keep.order(rows), _codes(rows, "pixel_digest"), _codes(rows, "split")
    )


def _refuse_missing(options: DedupOptions, known: set[str]) -> None:
    unknown = set(options.methods) - set(find.METHODS) | set(options.methods) & {"any"}
    if unknown:
        methods = ", ".join(m for m in find.METHODS if m != "any")
        raise ConfigError(f"unknown methods {', '.join(sorted(unknown))}; there are: {methods}")
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


def _codes(rows: pa.Table, column: str) -> I64:
    """(N,) equal numbers for equal values, -1 for null or where there is no such column."""
    if column not in rows.column_names or not len(rows):
        return np.full(len(rows), -1, np.int64)
    values = rows[column].combine_chunks()
    binary = values if pa.types.is_string(values.type) else values.cast(pa.binary())
    codes = binary.dictionary_encode().indices.fill_null(-1)
    return np.asarray(codes, np.int64)


def find_candidates(
    workspace: Workspace, images: Images, options: DedupOptions
) -> dict[str, Candidates]:
    """Who may be a copy of whom, by method; tables only."""
    found: dict[str, Candidates] = {}
    for method in options.methods:
        if method.startswith("exact"):
            column = "sha256" if method == "exact_sha256" else "pixel_digest"
            found[method] = find.exact(method, images.table[column])
        elif method == "perceptual":
            found[method] = find.perceptual(images.table[options.hash_column], options.radius)
        elif method == "dihedral":
            found[method] = find.dihedral(images.table["phash"], options.radius)
        else:
            rows = workspace.read(f"embeddings/{options.embeddings}", ["image_id", "embedding"])
            at = pc.index_in(images.table["image_id"], value_set=rows["image_id"].combine_chunks())
            found[method] = find.semantic(rows["embedding"].take(at), options.threshold)
    return found


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
    histories = {m: _history(workspace, images, m, options.is_fresh) for m in (*found, "any")}
    cover = Cover({}, {}, {m: c.n_refused for m, c in found.items()}, {})
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
    if options.is_verified and not options.is_fresh:
        cover.verdicts.update(_earlier_verdicts(workspace, images, histories["any"]))
    work = VerifyComponents(is_looking=options.is_verified)
    items = list(components(workspace, images, {**exact, **near}, radii, histories))
    for part in session.run(work, items):
        _take(cover, part, set(near) | {"any"})
    return cover


def _history(workspace: Workspace, images: Images, method: str, is_fresh: bool) -> History:
    """What the last committed run decided; nothing where there was none."""
    if is_fresh or "deduplicated" not in workspace.head.tables:
        n = len(images)
        return History(np.full(n, -1, np.int64), np.zeros(n, np.float32), {})
    rows = workspace.read_all("duplicates")
    rows = rows.filter(pc.equal(rows["method"], method))
    return history_of(images.table, workspace.read_all("deduplicated"), rows)


def _earlier_verdicts(
    workspace: Workspace, images: Images, history: History
) -> dict[tuple[int, int], bool]:
    """What earlier runs saw of images that are the same still.

    Settled pairs are not looked at again: without this, those turned down would stand.
    """
    if "deduplicated" not in workspace.head.tables:
        return {}
    rows = workspace.read_all("pairs")
    rows = rows.filter(pc.is_valid(rows["is_verified"]))
    ids = images.table["image_id"].combine_chunks()
    a, b = (np.asarray(pc.fill_null(pc.index_in(rows[c], ids), -1)) for c in ("id_a", "id_b"))
    is_same = np.append(history.keeper != NEW, False)  # the last one: an image that is gone
    is_old = is_same[a] & is_same[b]
    low, high = np.minimum(a, b)[is_old], np.maximum(a, b)[is_old]
    verdicts = np.asarray(rows["is_verified"])[is_old]
    return dict(zip(zip(low.tolist(), high.tolist(), strict=True), verdicts.tolist(), strict=True))


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
    for a, b, verdict in zip(
        part.pair_a.tolist(), part.pair_b.tolist(), part.is_copy.tolist(), strict=True
    ):
        cover.verdicts[min(a, b), max(a, b)] = verdict
    cover.n_unread += part.n_unread
    cover.n_unresolved += part.n_unresolved
