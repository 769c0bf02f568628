"""What is to be augmented: eligible images, copies of each, partners; and what is there already."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from cvdata.augment.randomness import seed_of
from cvdata.errors import ConfigError, ErrorCode
from cvdata.schema import ID, image_id
from cvdata.stages.augment import Recipe
from cvdata.workspace import Workspace

OWN_SOURCES = "augmented/"
UNSPLIT = ""
"""How images without a split are named among splits."""

TASKS = pa.schema(
    [
        ("image_id", ID),
        ("revision", pa.string()),
        ("parent_id", ID),
        ("parent_revision", pa.string()),
        ("variant", pa.int32()),
        ("seed", pa.int64()),
        ("split", pa.string()),
        ("partners", pa.list_(ID)),
    ]
)
"""One copy that is wanted."""


@dataclass(frozen=True)
class Choice:
    """Which images get how many copies.

    `splits` are those that may be augmented, "" for none; `variants` is how many copies where no
    budget says it; `is_budgeted` asks the table `budget` where there is one.
    """

    splits: tuple[str, ...] = ("train", UNSPLIT)
    variants: int = 1
    is_budgeted: bool = True


@dataclass(frozen=True)
class Wanted:
    """Every copy that is wanted, by parent in the order of their ids: a table TASKS.

    `n_parents` get copies; `n_images` may be partners.
    """

    tasks: pa.Table
    n_parents: int
    n_images: int
    is_budgeted: bool


@dataclass(frozen=True)
class Held:
    """What the rows that are there were made from, by id of the copy."""

    revision: Mapping[bytes, str] = field(default_factory=dict)
    partners: Mapping[bytes, Sequence[bytes]] = field(default_factory=dict)

    @staticmethod
    def of(rows: pa.Table) -> "Held":
        """From rows of `augmented`."""
        ids = rows["image_id"].to_pylist()
        return Held(
            dict(zip(ids, rows["revision"].to_pylist(), strict=True)),
            dict(zip(ids, rows["partners"].to_pylist(), strict=True)),
        )


def eligible(workspace: Workspace, splits: Sequence[str]) -> pa.Table:
    """image_id, revision, split of the images that may be parents or partners, by id.

    Kept by the selection, or all where there is none; readable as far as is known; of these
    splits; never copies that were ingested.
    """
    rows = workspace.read("records", ["image_id", "revision", "split", "source", "error"])
    rows = with_splits(workspace, rows)
    is_wanted = pc.is_in(pc.fill_null(rows["split"], UNSPLIT), pa.array(list(splits), pa.string()))
    is_own = pc.starts_with(rows["source"], OWN_SOURCES)
    rows = rows.filter(pc.and_not(pc.and_(is_wanted, pc.is_null(rows["error"])), is_own))
    tables = workspace.tables()
    if "measures" in tables:
        bad = workspace.read("measures", ["image_id", "error"])
        is_good = pc.or_kleene(
            pc.is_null(bad["error"]), pc.equal(bad["error"], str(ErrorCode.MEASURE_FAILED))
        )
        rows = _without(rows, bad.filter(pc.invert(is_good))["image_id"])
    if "selection" in tables:
        chosen = workspace.read("selection", ["image_id", "keep"])
        kept = chosen.filter(chosen["keep"])["image_id"]
        rows = rows.filter(pc.is_in(rows["image_id"], kept.combine_chunks()))
    return rows.select(["image_id", "revision", "split"]).combine_chunks()


def with_splits(workspace: Workspace, rows: pa.Table) -> pa.Table:
    """Rows with the split that `cvdata split` gave them, where it did."""
    if "splits" not in workspace.tables():
        return rows
    given = workspace.read("splits", ["image_id", "split"])
    at = pc.index_in(rows["image_id"], given["image_id"].combine_chunks())
    split = pc.coalesce(given["split"].take(at), rows["split"])
    return rows.set_column(rows.schema.get_field_index("split"), "split", split)


def _without(rows: pa.Table, ids: pa.ChunkedArray) -> pa.Table:
    return rows.filter(pc.invert(pc.is_in(rows["image_id"], ids.combine_chunks())))


def copies_of(workspace: Workspace, rows: pa.Table, choice: Choice) -> tuple[Any, bool]:
    """(N,) copies of each eligible image, and whether a budget said it."""
    if choice.is_budgeted and "budget" in workspace.tables():
        budget = workspace.read("budget", ["image_id", "n_copies"])
        at = pc.index_in(rows["image_id"], budget["image_id"].combine_chunks())
        return np.asarray(pc.fill_null(budget["n_copies"].take(at), 0), np.int64), True
    return np.full(len(rows), choice.variants, np.int64), False


def wanted_copies(workspace: Workspace, recipe: Recipe, choice: Choice, held: Held) -> Wanted:
    """All copies that there should be, each with its partners.

    A copy that is there keeps its partners for as long as they are eligible: new images among the
    candidates change no copy that was made.
    """
    rows = eligible(workspace, choice.splits)
    copies, is_budgeted = copies_of(workspace, rows, choice)
    pools = Pools(rows, recipe.built.n_partners)
    source, seed = recipe.source, recipe.seed
    columns: dict[str, list[Any]] = {name: [] for name in TASKS.names}
    chosen = np.flatnonzero(copies)
    ids, revisions, splits = (rows[n].to_pylist() for n in ("image_id", "revision", "split"))
    for i in chosen.tolist():
        parent = ids[i]
        for variant in range(int(copies[i])):
            copy = image_id(source, f"{parent.hex()}#{variant}".encode())
            drawn = seed_of(seed, parent, variant)
            partners = pools.partners(parent, splits[i], drawn, held.partners.get(copy))
            revision = revision_of(revisions[i], partners, pools.revisions)
            row = (copy, revision, parent, revisions[i], variant, drawn, splits[i], partners)
            for column, value in zip(columns.values(), row, strict=True):
                column.append(value)
    tasks = pa.table({n: pa.array(columns[n], TASKS.field(n).type) for n in TASKS.names})
    return Wanted(tasks, len(chosen), len(rows), is_budgeted)


class Pools:
    """Who may be mixed in: eligible images of the same split."""

    def __init__(self, rows: pa.Table, n_partners: int) -> None:
        self.n_partners = n_partners
        self.by_split: dict[str | None, list[bytes]] = {}
        self.revisions: dict[bytes, str] = {}
        self.split: dict[bytes, str | None] = {}
        if not n_partners:
            return
        columns = (rows[n].to_pylist() for n in ("image_id", "revision", "split"))
        for one, revision, split in zip(*columns, strict=True):
            self.by_split.setdefault(split, []).append(one)
            self.revisions[one] = revision
            self.split[one] = split

    def partners(
        self, parent: bytes, split: str | None, seed: int, held: Sequence[bytes] | None
    ) -> list[bytes]:
        """Those of the copy that is there, if they still are in the split; else drawn by the seed.

        Never the parent, unless it is alone in its split.
        """
        if not self.n_partners:
            return []
        if held is not None and len(held) == self.n_partners and self._are_in(held, split):
            return list(held)
        pool = self.by_split[split]
        if len(pool) == 1:
            return [parent] * self.n_partners
        found: list[bytes] = []
        for slot in range(self.n_partners):
            text = f"partner:{seed}:{slot}".encode()
            number = int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "big")
            place = number % (len(pool) - 1)
            found.append(pool[place] if pool[place] != parent else pool[-1])
        return found

    def _are_in(self, ids: Sequence[bytes], split: str | None) -> bool:
        return all(one in self.split and self.split[one] == split for one in ids)


def revision_of(revision: str, partners: Sequence[bytes], revisions: Mapping[bytes, str]) -> str:
    """The change token of a copy: its parent's, and a digest of its partners where it has some."""
    if not partners:
        return revision
    text = "\n".join([revision, *(f"{one.hex()} {revisions[one]}" for one in partners)])
    return f"{revision}+{hashlib.blake2b(text.encode(), digest_size=8).hexdigest()}"


def refuse_nothing(wanted: Wanted, workspace: Workspace, choice: Choice) -> None:
    """Say why there is nothing to do, where that is more likely a mistake than a wish."""
    if wanted.n_images:
        return
    splits = workspace.read("records", ["split"])
    there = sorted({s or UNSPLIT for s in pc.unique(splits["split"]).to_pylist()})
    raise ConfigError(
        f"no image may be augmented: of the splits {_named(choice.splits)} none is kept and "
        f"readable; the records have {_named(there)}. Choose with --splits, or look at what "
        "decide dropped"
    )


def _named(splits: Sequence[str]) -> str:
    return ", ".join(repr(s) if s else "(none)" for s in splits)


def is_held(wanted: pa.Table, held: Held) -> npt.NDArray[np.bool_]:
    """(N,) which wanted copies are there, made from what they would be made from now."""
    pairs = zip(wanted["image_id"].to_pylist(), wanted["revision"].to_pylist(), strict=True)
    found = [held.revision.get(one) == revision for one, revision in pairs]
    return np.array(found, np.bool_)
