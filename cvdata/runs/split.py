"""Splitting as a run: whole groups of copies to splits that never move once committed."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from cvdata import schema
from cvdata.commits import Commit
from cvdata.errors import ConfigError
from cvdata.kernels import stars
from cvdata.parts import parts_digest
from cvdata.runs.eda import origin
from cvdata.splits import assign_splits
from cvdata.workspace import Change, Workspace

SPLIT_VERSION = 1
"""Moves whenever the same tables can be split otherwise."""

_INPUTS = ("records", "deduplicated", "pairs", "duplicates")
I64 = npt.NDArray[np.int64]


@dataclass(frozen=True)
class SplitOptions:
    """`fractions` by split name, scaled to sum 1; `is_fresh` forgets what is assigned."""

    fractions: Mapping[str, float]
    seed: int = 0
    is_fresh: bool = False


@dataclass(frozen=True)
class SplitFigures:
    """What a split came to.

    `deviation` by split: the largest |share of a class in the split - its share in all images|,
    in 0..1, and the class. `n_crossing`: pairs of copies in different splits, which only
    assignments of earlier runs can leave.
    """

    n_images: Mapping[str, int]
    target: Mapping[str, float]
    deviation: Mapping[str, tuple[float, str | None]]
    n_classes: int
    n_crossing: int

    def lines(self) -> tuple[str, ...]:
        """For a person."""
        total = sum(self.n_images.values())
        head = f"split: {total:,} readable images of {self.n_classes:,} classes"
        lines = [head]
        for name, n in self.n_images.items():
            off, label = self.deviation[name]
            worst = f" ({'no label' if label is None else label})" if off else ""
            lines.append(
                f"  {name:<12} {n:>9,}  {n / max(total, 1):6.1%} of {self.target[name]:.1%}, "
                f"class balance within {off:.1%}{worst}"
            )
        if self.n_crossing:
            lines.append(
                f"  {self.n_crossing:,} pairs of copies cross: found after their images were "
                "assigned; remove one of each, or split anew with --fresh"
            )
        return tuple(lines)

    def numbers(self) -> dict[str, Any]:
        """For a machine."""
        deviation = {name: off for name, (off, _) in self.deviation.items()}
        counts = dict(self.n_images)
        return {"split": {"images": counts, "deviation": deviation, "crossing": self.n_crossing}}


def bring_up_to_date(change: Change, workspace: Workspace, options: SplitOptions) -> bool:
    """Assign what is not assigned yet; False where these very tables are split already."""
    _refuse_without_copies(change)
    meta = _meta(change.base, options)
    held = change.base.tables.get("splits")
    if held is not None and not options.is_fresh and _is_same(held.meta, meta):
        return False
    images = split_images(workspace)
    component = standing_components(workspace, images["image_id"])
    assigned = None
    if held is not None and not options.is_fresh:
        assigned = workspace.read_all("splits")
    rows = assign_splits(images, component, options.fractions, assigned, options.seed)
    if assigned is not None:
        # an image that is gone or unreadable today comes back to the split it had
        away = pc.invert(pc.is_in(assigned["image_id"], value_set=rows["image_id"]))
        rows = pa.concat_tables([rows, assigned.filter(away)]).sort_by("image_id")
    change.replace("splits", [rows], schema.SPLITS, meta=meta)
    return True


def _refuse_without_copies(change: Change) -> None:
    url, head = change.store.url, change.base
    state = head.tables.get("duplicates")
    if not change.records or state is None or "deduplicated" not in head.tables:
        raise ConfigError(
            f"{url} has no duplicates yet, so copies could land on both sides: run "
            f"`cvdata dedup --workspace {url}` first"
        )
    if state.meta.get("inputs") != origin(head)["inputs"]:
        raise ConfigError(
            f"{url} has changed since its copies were found: run `cvdata dedup --workspace {url}` "
            "again, then split"
        )


def _meta(head: Commit, options: SplitOptions) -> dict[str, Any]:
    inputs = parts_digest([p for name in _INPUTS for p in head.tables[name].parts])
    return {
        "computed_from": head.seq,
        "inputs": inputs,
        "fractions": {name: float(share) for name, share in options.fractions.items()},
        "seed": options.seed,
        "version": SPLIT_VERSION,
    }


def _is_same(held: Mapping[str, Any], wanted: Mapping[str, Any]) -> bool:
    return all(held.get(name) == v for name, v in wanted.items() if name != "computed_from")


def split_images(workspace: Workspace) -> pa.Table:
    """image_id, revision, label of the readable images: those that were looked at for copies."""
    rows = workspace.read("deduplicated", ["image_id", "revision"])
    records = workspace.read("records", ["image_id", "label"])
    at = pc.index_in(rows["image_id"], value_set=records["image_id"].combine_chunks())
    return rows.append_column("label", records["label"].take(at)).combine_chunks()


def standing_components(workspace: Workspace, ids: pa.ChunkedArray) -> I64:
    """(N,) equal numbers for images that pairs nobody turned down, or groups, connect."""
    a, b = _linked(workspace, ids)
    edges = a.astype(np.int32), b.astype(np.int32)
    return np.asarray(stars.components(len(ids), *edges), np.int64)


def _linked(workspace: Workspace, ids: pa.ChunkedArray) -> tuple[I64, I64]:
    """Rows of standing pairs of any method, and of each image with its group of `any`."""
    pairs = workspace.read("pairs", ["id_a", "id_b", "is_verified"])
    pairs = pairs.filter(pc.fill_null(pairs["is_verified"], True))
    # a group may rest on pairs of an earlier run: keepers never flip
    groups = workspace.read("duplicates", ["image_id", "group_id", "method"])
    groups = groups.filter(pc.equal(groups["method"], "any"))
    keys = ids.combine_chunks()
    ends = []
    for left, right in (("id_a", "group_id"), ("id_b", "image_id")):
        found = [pc.index_in(t[c], value_set=keys) for t, c in ((pairs, left), (groups, right))]
        ends.append(np.concatenate([np.asarray(pc.fill_null(f, -1), np.int64) for f in found]))
    is_live = (ends[0] >= 0) & (ends[1] >= 0) & (ends[0] != ends[1])
    return ends[0][is_live], ends[1][is_live]


def figures_of(workspace: Workspace) -> SplitFigures:
    """Counts of the committed `splits`, its balance, and pairs that cross."""
    state = workspace.head.tables["splits"]
    target: dict[str, float] = dict(state.meta["fractions"])
    total = sum(target.values())
    images = split_images(workspace)
    rows = workspace.read("splits")
    at = pc.index_in(images["image_id"], value_set=rows["image_id"].combine_chunks())
    names = list(target)
    split = pc.index_in(rows["split"].take(at), value_set=pa.array(names))
    code = np.asarray(pc.fill_null(split, -1), np.int64)
    coded = images["label"].combine_chunks().dictionary_encode(null_encoding="encode")
    label = np.asarray(coded.indices, np.int64)
    counts = np.zeros((len(names), len(coded.dictionary)), np.int64)
    np.add.at(counts, (code[code >= 0], label[code >= 0]), 1)
    a, b = _linked(workspace, images["image_id"])
    low, high = np.minimum(a, b), np.maximum(a, b)
    crossing = np.unique(np.stack([low, high])[:, code[a] != code[b]], axis=1).shape[1]
    return SplitFigures(
        dict(zip(names, counts.sum(axis=1).tolist(), strict=True)),
        {name: share / total for name, share in target.items()},
        dict(zip(names, _deviations(counts, coded.dictionary.to_pylist()), strict=True)),
        counts.shape[1],
        crossing,
    )


def _deviations(
    counts: npt.NDArray[np.int64], labels: list[str | None]
) -> list[tuple[float, str | None]]:
    """For each split how far a class's share in it is from the class's share in all, at most."""
    overall = counts.sum(axis=0) / max(counts.sum(), 1)
    out: list[tuple[float, str | None]] = []
    for mine in counts:
        off = np.abs(mine / max(mine.sum(), 1) - overall) if mine.any() else np.zeros(0)
        worst = int(off.argmax()) if len(off) else -1
        out.append((float(off[worst]), labels[worst]) if worst >= 0 else (0.0, None))
    return out
