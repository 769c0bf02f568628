"""Reading committed tables: rows of images that still exist, `measures` as one wide table."""

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from cvdata.commits import Commit, TableState
from cvdata.errors import ConfigError, ErrorCode
from cvdata.keys import KeySet, key_columns, locate
from cvdata.parts import open_part, read_columns
from cvdata.schema import RECORDS
from cvdata.schema_augmented import live_columns
from cvdata.storage import Store
from cvdata.tables import KEY_COLUMNS

IdRange = tuple[bytes, bytes | None]
Fetch = Callable[..., pa.Table]
"""`parts.read_columns`, or what gives the same rows for a range from elsewhere."""
WIDE = "measures"
_FIRST = ["image_id", "revision", "error", "error_detail"]


def table_rows(head: Commit) -> dict[str, int]:
    """Rows by logical table name; the sets of `measures` count as one table."""
    rows: dict[str, int] = {}
    for name, state in sorted(head.tables.items()):
        logical = WIDE if name.startswith(f"{WIDE}/") else name
        rows[logical] = max(rows.get(logical, 0), state.rows)
    return rows


def read(
    store: Store,
    head: Commit,
    name: str,
    columns: list[str] | None,
    id_range: IdRange | None,
    fetch: Fetch = read_columns,
) -> pa.Table:
    """See `Workspace.read`. `fetch` gives the rows of parts."""
    rows_of = partial(fetch, store)
    sets = states(head, name)
    schemas = [stored_schema(store, state) for state in sets]
    names = _check_columns(name, schemas, columns)
    if name == "records":
        return _sorted(rows_of(sets[0].parts, RECORDS, names, id_range), names)
    current = _current(rows_of, head, id_range)
    if name == WIDE:
        return _wide(rows_of, sets, schemas, names, current, id_range)
    if "revision" not in schemas[0].names:
        return rows_of(sets[0].parts, schemas[0], names, id_range)
    keys = live_columns(schemas[0])
    if keys != KEY_COLUMNS and id_range is not None:
        current = _current(rows_of, head, None)
    asked = list(dict.fromkeys(["image_id", *keys, *names]))
    rows = rows_of(sets[0].parts, schemas[0], asked, id_range)
    kept = KeySet.of(current["image_id"], current["revision"]).contains(
        *key_columns(rows[keys[0]], rows[keys[1]])
    )
    return _sorted(rows.filter(pa.array(kept)), names)


def read_all(store: Store, head: Commit, name: str) -> pa.Table:
    """See `Workspace.read_all`."""
    (state,) = states(head, name)
    return read_columns(store, state.parts, stored_schema(store, state))


def columns(store: Store, head: Commit, name: str) -> list[str]:
    """Columns of a table; those of all sets of `measures`."""
    schemas = [stored_schema(store, state) for state in states(head, name)]
    return list(dict.fromkeys(n for schema in schemas for n in schema.names))


def id_ranges(head: Commit, rows: int) -> list[IdRange]:
    """Ranges of image_id with about `rows` records each: ids are digests, so they spread evenly."""
    total = table_rows(head).get("records", 0)
    n = max(1, -(-total // rows))
    edges = [(i * 2**128 // n).to_bytes(16, "big") for i in range(n)]
    return list(zip(edges, [*edges[1:], None], strict=True))


def states(head: Commit, name: str) -> list[TableState]:
    """How a table is stored: one state, or one for each measure set; `ConfigError` for none."""
    if name == WIDE:
        found = [s for n, s in head.tables.items() if n.startswith(f"{WIDE}/")]
        found.sort(key=lambda s: -int(s.meta.get("order", 0)))
    else:
        found = [head.tables[name]] if name in head.tables else []
    if not found:
        known = ", ".join(table_rows(head)) or "none yet"
        raise ConfigError(f"no table {name!r} in commit {head.seq}; there are: {known}")
    return found


def stored_schema(store: Store, state: TableState) -> pa.Schema:
    """The schema of a table as it is stored; of one without parts its keys."""
    if not state.parts:
        return pa.schema([RECORDS.field(n) for n in KEY_COLUMNS])
    with open_part(store, state.parts[0].path) as file:
        return file.schema_arrow.remove_metadata()


def _check_columns(name: str, schemas: Sequence[pa.Schema], columns: list[str] | None) -> list[str]:
    known = list(dict.fromkeys(n for schema in schemas for n in schema.names))
    if columns is None:
        return known
    if missing := [c for c in columns if c not in known]:
        raise ConfigError(f"{name} has no column {', '.join(missing)}; it has: {', '.join(known)}")
    return columns


def _current(rows_of: Fetch, head: Commit, id_range: IdRange | None) -> pa.Table:
    """The live (image_id, revision) pairs, sorted."""
    state = states(head, "records")[0]
    return _sorted(rows_of(state.parts, RECORDS, KEY_COLUMNS, id_range), KEY_COLUMNS)


def _sorted(rows: pa.Table, names: list[str]) -> pa.Table:
    if "image_id" not in rows.column_names:
        return rows.select(names)
    extra = [n for n in ("issue", "method") if n in rows.column_names]
    keys = [(n, "ascending") for n in ("image_id", *extra)]
    return rows.take(pc.sort_indices(rows, sort_keys=keys)).select(names)


def _wide(
    rows_of: Fetch,
    sets: Sequence[TableState],
    schemas: Sequence[pa.Schema],
    names: list[str],
    current: pa.Table,
    id_range: IdRange | None,
) -> pa.Table:
    """The sets side by side, one row for each live image that any of them holds."""
    columns: dict[str, pa.ChunkedArray] = {n: current[n] for n in KEY_COLUMNS}
    is_held = np.zeros(len(current), np.bool_)
    for state, schema in zip(sets, schemas, strict=True):
        asked = [n for n in schema.names if n in names or n in KEY_COLUMNS or n == "error"]
        rows = rows_of(state.parts, schema, asked, id_range)
        at = positions(current, rows)
        taken = rows.take(pa.array(at, mask=at < 0))
        tells = _tells(columns.get("error"), taken, is_held)
        is_held |= at >= 0
        for n in asked:
            if n not in columns:
                columns[n] = taken[n]
            elif n in ("error", "error_detail"):
                columns[n] = pc.if_else(tells, taken[n], columns[n])
    return pa.table({n: columns[n] for n in names}).filter(pa.array(is_held))


def _tells(
    error: pa.ChunkedArray | None, older: pa.Table, is_held: npt.NDArray[np.bool_]
) -> pa.Array | pa.ChunkedArray:
    """Whether the older set says what is wrong with an image: where no newer one holds it.

    Newer limits may have let it be decoded. What the older set could not measure is wrong still.
    """
    if error is None or "error" not in older.column_names:
        return pa.array(~is_held)
    failed = pc.equal(older["error"], str(ErrorCode.MEASURE_FAILED)).fill_null(False)
    return pc.or_(pa.array(~is_held), pc.and_(pc.is_null(error), failed))


def positions(wanted: pa.Table, rows: pa.Table) -> npt.NDArray[np.int64]:
    """(len(wanted),) where in `rows` each (image_id, revision) stands; -1 where it does not."""
    high, low = key_columns(rows["image_id"], rows["revision"])
    order = np.lexsort((low, high))
    at = locate(high[order], low[order], *key_columns(wanted["image_id"], wanted["revision"]))
    return np.where(at >= 0, order[at], -1) if len(order) else at
