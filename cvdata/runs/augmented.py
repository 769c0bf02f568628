"""What a run of augmentation made: its figures, and a manifest of the copies to ingest."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pyarrow.compute as pc

from cvdata.maintenance import MANIFEST
from cvdata.parts import read_columns
from cvdata.runs.augment import Augmented, AugmentOptions, gallery_of
from cvdata.runs.filling import Tally
from cvdata.schema_augmented import AUGMENTED
from cvdata.stages.augment import Gallery
from cvdata.workspace import Workspace


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
