"""Augmented copies in the form of the rows that go out."""

import json
from collections.abc import Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from cvdata.commits import Commit
from cvdata.errors import ConfigError
from cvdata.maintenance import MADE_TABLES
from cvdata.parts import Part, read_columns
from cvdata.schema import RECORDS
from cvdata.schema_augmented import AUGMENTED
from cvdata.sinks.names import extension_of
from cvdata.storage import Store

LABELS = AUGMENTED.field("labels").type

ROWS = pa.schema(
    [
        *RECORDS,
        pa.field("labels", LABELS),
        pa.field("sha256", AUGMENTED.field("sha256").type),
        pa.field("parent_id", AUGMENTED.field("parent_id").type),
        pa.field("parent_revision", pa.string()),
    ]
)
"""What goes out: `records`, with what only copies have. The parent of a record is itself; `labels`
are set where several were mixed; `sha256` is what the bytes of a copy must have."""


def copies_of(head: Commit, policies: Sequence[str]) -> list[Part]:
    """The parts of these policies' copies; `ConfigError` for a policy that there is none of."""
    parts: list[Part] = []
    for policy in policies:
        state = head.tables.get(f"{MADE_TABLES}{policy}")
        if state is None:
            made = [n.removeprefix(MADE_TABLES) for n in head.tables if n.startswith(MADE_TABLES)]
            raise ConfigError(
                f"there are no copies of policy {policy!r}, only of: "
                f"{', '.join(made) or 'none'}; run `cvdata augment` first"
            )
        parts += sorted(state.parts, key=lambda part: part.path)
    return parts


def is_copies(path: str) -> bool:
    """Whether a part is one of augmented copies."""
    return path.startswith(MADE_TABLES)


def read_rows(store: Store, path: str) -> pa.Table:
    """All rows of a part, of `records` or of copies, as `ROWS`."""
    part = Part(path, 0, 0, "")
    if is_copies(path):
        return _copies(read_columns(store, [part], AUGMENTED))
    rows = read_columns(store, [part], RECORDS)
    columns = {
        "parent_id": rows["image_id"],
        "parent_revision": rows["revision"],
    }
    return _as_rows(rows, columns)


def _copies(rows: pa.Table) -> pa.Table:
    """Copies are read by their digest: their `revision` names the parent's, not the file's."""
    known = rows.select(
        ["parent_id", "variant", "policy", "label", "labels", "extra", "uri"]
    ).to_pylist()
    mixed = [row["labels"] if _is_mixed(row) else None for row in known]
    columns: dict[str, Any] = {
        "revision": pa.repeat("", len(rows)),
        "source": pa.array([f"{MADE_TABLES}{row['policy']}" for row in known], pa.string()),
        "key": pa.array([_key(row) for row in known], pa.binary()),
        "uri": pc.fill_null(rows["uri"], ""),
        "labels": pa.array(mixed, LABELS),
        "extra": pa.array([_extra(row) for row in known], pa.string()),
        "parent_id": rows["parent_id"],
        "parent_revision": rows["parent_revision"],
    }
    return _as_rows(rows, columns)


def _as_rows(rows: pa.Table, columns: dict[str, Any]) -> pa.Table:
    """The columns given, else those of `rows`, else nulls."""
    made = {
        field.name: columns[field.name]
        if field.name in columns
        else rows[field.name]
        if field.name in rows.column_names
        else pa.nulls(len(rows), field.type)
        for field in ROWS
    }
    return pa.table(made, schema=ROWS)


def _is_mixed(row: dict[str, Any]) -> bool:
    return bool(row["labels"]) and [pair["label"] for pair in row["labels"]] != [row["label"]]


def _key(row: dict[str, Any]) -> bytes:
    """`<parent's hex id>-<variant>.<extension>`: what the file of a copy is called."""
    extension = extension_of((row["uri"] or "").encode("utf-8", "surrogateescape")) or "png"
    return f"{row['parent_id'].hex()}-{row['variant']}.{extension}".encode()


def _extra(row: dict[str, Any]) -> str:
    own = json.loads(row["extra"]) if row["extra"] else {}
    own["augmented"] = {
        "parent": row["parent_id"].hex(),
        "variant": row["variant"],
        "policy": row["policy"],
    }
    return json.dumps(own, sort_keys=True, separators=(",", ":"))
