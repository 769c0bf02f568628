"""Augmented copies as records: what an export adds to a selection, and a manifest to ingest."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from cvdata.errors import ConfigError
from cvdata.maintenance import MADE_TABLES, MANIFEST
from cvdata.parts import read_columns
from cvdata.runs.augment import Augmented, AugmentOptions, gallery_of
from cvdata.runs.filling import Tally
from cvdata.schema import RECORDS
from cvdata.schema_augmented import AUGMENTED
from cvdata.stages.augment import Gallery
from cvdata.workspace import Workspace


def augmented_records(workspace: Workspace, policy: str) -> pa.Table:
    """The good copies of a policy as rows of `schema.RECORDS`, by id.

    `source` is `augmented/<policy>`, `key` is `<parent's hex id>#<variant>`; `extra` holds parent,
    variant, policy and, of mixed images, the labels with their weights.
    """
    name = f"{MADE_TABLES}{policy}"
    if name not in workspace.tables():
        made = [
            n.removeprefix(MADE_TABLES) for n in workspace.tables() if n.startswith(MADE_TABLES)
        ]
        known = ", ".join(made) or "none yet"
        raise ConfigError(f"no copies by policy {policy!r}; there are: {known} (`cvdata augment`)")
    rows = workspace.read(name)
    rows = rows.filter(pc.is_null(rows["error"]))
    keys = [f"{p.hex()}#{v}" for p, v in zip(*_lists(rows, "parent_id", "variant"), strict=True)]
    columns: dict[str, Any] = {
        "image_id": rows["image_id"],
        "revision": [digest.hex() for digest in rows["sha256"].to_pylist()],
        "source": pa.repeat(name, len(rows)),
        "key": [key.encode() for key in keys],
        "extra": [_extra(row) for row in rows.select(_EXTRA).to_pylist()],
        **{n: rows[n] for n in ("uri", "size_bytes", "split", "label", "boxes", "mask_uri")},
    }
    return pa.table(
        {f.name: columns.get(f.name, pa.nulls(len(rows), f.type)) for f in RECORDS}, schema=RECORDS
    )


_EXTRA = ["parent_id", "variant", "policy", "label", "labels", "extra"]


def _lists(rows: pa.Table, *names: str) -> list[list[Any]]:
    return [rows[name].to_pylist() for name in names]


def _extra(row: dict[str, Any]) -> str:
    own = json.loads(row["extra"]) if row["extra"] else {}
    own["augmented"] = {
        "parent": row["parent_id"].hex(),
        "variant": row["variant"],
        "policy": row["policy"],
    }
    if _is_mixed(row):
        own["labels"] = row["labels"]
    return json.dumps(own, sort_keys=True, separators=(",", ":"))


def _is_mixed(row: dict[str, Any]) -> bool:
    return bool(row["labels"]) and [w["label"] for w in row["labels"]] != [row["label"]]


def publish_manifest(workspace: Workspace, options: AugmentOptions) -> str:
    """Write `manifest.jsonl` beside the images, one line a good copy; its path or URL.

    `cvdata ingest` reads it (docs/augment.md). It is a view: the next run writes it anew.
    """
    with workspace.change("manifest", {}) as change:
        gallery = gallery_of(change, options)
        change.cancel()
    path = f"{gallery.folder}/{MANIFEST}"
    lines = "".join(_lines(workspace, options.recipe.source, gallery))
    gallery.store.put(path, lines.encode())
    return gallery.store.path(path) if gallery.store.is_local else gallery.uri(path)


def _lines(workspace: Workspace, table: str, gallery: Gallery) -> Iterator[str]:
    state = workspace.refresh().head.tables[table]
    base = gallery.uri(gallery.folder) + "/"
    for id_range in workspace.ranges():
        rows = read_columns(workspace.store, state.parts, AUGMENTED, None, id_range)
        rows = rows.filter(pc.is_null(rows["error"])).sort_by("image_id")
        for row in rows.to_pylist():
            yield json.dumps(_line(row, base), sort_keys=True, separators=(",", ":")) + "\n"


def _line(row: dict[str, Any], base: str) -> dict[str, Any]:
    mask = row["mask_uri"]
    return {
        "uri": row["uri"].removeprefix(base),
        "id": f"{row['parent_id'].hex()}#{row['variant']}",
        "parent": row["parent_id"].hex(),
        "variant": row["variant"],
        "policy": row["policy"],
        "split": row["split"],
        "label": row["label"],
        "labels": row["labels"] if _is_mixed(row) else None,
        "boxes": row["boxes"],
        "mask": None if mask is None else mask.removeprefix(base),
        "coco": json.loads(row["extra"])["coco"] if row["extra"] else None,
    }


@dataclass(frozen=True)
class Outcome:
    """What a run made: the conservation law of the policy's table, and where the copies are."""

    work: Augmented
    counted: Tally
    manifest: str

    @staticmethod
    def of(work: Augmented, manifest: str) -> "Outcome":
        """From a run that ended well."""
        if work.state is None:
            raise ValueError("a plan has no outcome")
        errors = work.state.errors
        n_ok = work.state.rows - sum(errors.values())
        return Outcome(work, Tally(work.state.rows, n_ok, errors), manifest)

    def lines(self) -> tuple[str, ...]:
        """For a person."""
        work = self.work
        return (
            f"augment: {work.n_pending:,} copies made, {work.n_dropped:,} dropped; "
            f"{work.wanted.n_parents:,} of {work.wanted.n_images:,} images have copies",
            f"  {self.counted.line().replace('records', 'copies', 1)}",
            f"  images and their list: {self.manifest}",
        )

    def numbers(self) -> dict[str, object]:
        """For a machine."""
        return {
            **self.work.numbers(),
            "n_ok": self.counted.n_ok,
            "errors": dict(self.counted.errors),
        }

    def exceeds(self, rate: float) -> bool:
        """Whether a larger share of all copies are errors."""
        return self.counted.n_errors > rate * self.counted.n_records
