"""SQL conditions over the live tables: DuckDB in memory, which can read nothing else."""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.dataset as ds

from cvdata.decide.rules import SqlRule
from cvdata.errors import ConfigError
from cvdata.parts import open_part
from cvdata.workspace import Workspace

_CLOCKS = frozenset(
    [
        "current_date",
        "current_time",
        "current_timestamp",
        "get_current_time",
        "get_current_timestamp",
        "localtime",
        "localtimestamp",
        "now",
        "today",
        "transaction_timestamp",
    ]
)
_KEY = ("image_id", "revision")
BATCH_ROWS = 262_144


class Database:
    """The tables of one commit as views, and `images`: records and measures side by side.

    External access is off and the configuration locked before the first expression: no files, no
    network, no extensions. Rows of images that are gone are not in the views. What does not fit in
    memory spills into a temporary folder.
    """

    def __init__(self, workspace: Workspace, spill: str, memory: str = "") -> None:
        options: dict[str, str | bool | int | float | list[str]] = {
            "enable_external_access": "false",
            "autoload_known_extensions": "false",
            "autoinstall_known_extensions": "false",
            "temp_directory": spill,
            "preserve_insertion_order": "false",
        }
        if memory:
            options["memory_limit"] = memory
        self._connection = duckdb.connect(":memory:", config=options)
        self._tables = _register(self._connection, workspace)
        self._connection.execute("SET lock_configuration = true")

    def close(self) -> None:
        """End it."""
        self._connection.close()

    def check(self, rule: SqlRule) -> None:
        """Raise `ConfigError` where the condition is not one, without running it."""
        if not rule.where.strip():
            raise _refused(rule, "it is empty")
        try:
            statements = duckdb.extract_statements(_statement(rule))
        except duckdb.Error as error:
            raise _refused(rule, str(error)) from None
        if len(statements) != 1 or statements[0].type != duckdb.StatementType.SELECT:
            raise _refused(rule, "it must be one condition, as after WHERE")
        if names := self._unsteady(rule):
            raise _refused(rule, f"{names} gives another answer each time: decisions must repeat")
        self._run(rule, f"SELECT * FROM ({_statement(rule)}) LIMIT 0").fetchall()  # noqa: S608

    def _unsteady(self, rule: SqlRule) -> str:
        """The functions of a condition that answer otherwise another time, as its tree has them."""
        found = self._run(rule, "SELECT json_serialize_sql(?)", [_statement(rule)]).fetchone()
        tree = json.loads(found[0])
        if tree["error"]:
            raise _refused(rule, tree["error_message"])
        called = set(_called(tree))
        volatile = self._connection.execute(
            "SELECT DISTINCT function_name FROM duckdb_functions() WHERE stability = 'VOLATILE'"
        ).fetchall()
        return ", ".join(sorted(called & (_CLOCKS | {name for (name,) in volatile})))

    def matching(self, rule: SqlRule) -> Iterator[pa.Array]:
        """Ids of the images for which the condition is true, batch by batch."""
        try:
            for batch in self._connection.sql(_statement(rule)).to_arrow_reader(BATCH_ROWS):
                yield batch.column(0).cast(pa.binary(16))
        except (duckdb.Error, pa.ArrowException, OSError) as error:
            raise _refused(rule, str(error)) from None

    def is_matched(self, rule: SqlRule, image_id: bytes) -> bool:
        """Whether the condition is true for one image."""
        text = f"SELECT count(*) FROM ({_statement(rule)}) WHERE image_id = ?"  # noqa: S608
        found = self._run(rule, text, [image_id]).fetchone()
        return bool(found and found[0])

    def _run(self, rule: SqlRule, text: str, values: Sequence[Any] = ()) -> Any:
        try:
            return self._connection.execute(text, list(values))
        except duckdb.Error as error:
            raise _refused(rule, str(error)) from None

    @property
    def tables(self) -> tuple[str, ...]:
        """Names of the views."""
        return self._tables


@contextmanager
def database(workspace: Workspace, spill: str, memory: str = "") -> Iterator[Database]:
    """A `Database` that is closed at the end."""
    made = Database(workspace, spill, memory)
    try:
        yield made
    finally:
        made.close()


def _statement(rule: SqlRule) -> str:
    # the line break ends a comment that the condition may close with; what the operator writes
    # there runs in a database that holds nothing but views and can reach nothing else
    return f"SELECT image_id FROM images WHERE (\n{rule.where}\n)"  # noqa: S608


def _called(tree: Any) -> Iterator[str]:
    """Functions in a syntax tree; clocks may stand there without brackets, as columns do."""
    if isinstance(tree, list):
        for one in tree:
            yield from _called(one)
    elif isinstance(tree, dict):
        if tree.get("function_name"):
            yield str(tree["function_name"]).lower()
        yield from _CLOCKS & {str(name).lower() for name in tree.get("column_names") or ()}
        yield from _called(list(tree.values()))


def _refused(rule: SqlRule, why: str) -> ConfigError:
    first = why.strip().splitlines()[0] if why.strip() else why
    return ConfigError(f"sql rule {rule.name!r}, `{rule.where.strip()}`: {first}")


def _register(connection: Any, workspace: Workspace) -> tuple[str, ...]:
    names = sorted(set(workspace.tables()) - {"measures"}, key=lambda n: (n != "records", n))
    for name in names:
        _view(connection, workspace, name)
    sets = [n for n in workspace.head.tables if n.startswith("measures/")]
    for name in sets:
        _view(connection, workspace, name)
    _wide(connection, workspace, sets)
    return (*names, "measures", "images") if sets else (*names, "images")


def _view(connection: Any, workspace: Workspace, name: str) -> None:
    """The live rows of a table."""
    raw = f"__{name}"
    connection.register(raw, _dataset(workspace, name))
    columns = workspace_columns(workspace, name)
    live = ""
    if name != "records" and set(_KEY) <= set(columns):
        live = f" SEMI JOIN records USING ({', '.join(_KEY)})"
    connection.execute(f'CREATE VIEW "{name}" AS SELECT * FROM "{raw}"{live}')  # noqa: S608


def workspace_columns(workspace: Workspace, name: str) -> list[str]:
    """Columns of a table as it is stored, one measure set by its own name."""
    return [str(column) for column in _dataset(workspace, name).schema.names]


def _dataset(workspace: Workspace, name: str) -> Any:
    parts = workspace.head.tables[name].parts
    store = workspace.store
    with open_part(store, parts[0].path) as file:
        schema = file.schema_arrow.remove_metadata()
    files = [store.path(part.path) for part in parts]
    return ds.dataset(files, schema=schema, format="parquet", filesystem=store.fs)


def _wide(connection: Any, workspace: Workspace, sets: Sequence[str]) -> None:
    """`measures`: all sets joined; `images`: records with them."""
    seen: set[str] = set()
    chosen: list[str] = []
    joins = ""
    errors: list[str] = []
    for i, name in enumerate(sets):
        mine = workspace_columns(workspace, name)
        errors += [f's{i}."error"'] if "error" in mine else []
        fresh = [c for c in mine if c not in {*_KEY, "error", "error_detail"} and c not in seen]
        seen |= set(fresh)
        chosen += [f's{i}."{c}"' for c in fresh]
        joins += f' LEFT JOIN "{name}" s{i} USING ({", ".join(_KEY)})'
    key = ", ".join(f"records.{c}" for c in _KEY)
    error = f"coalesce({', '.join([*errors, 'NULL::VARCHAR'])}) AS error"
    facts = ", ".join([key, error, *chosen])
    if sets:
        connection.execute(f"CREATE VIEW measures AS SELECT {facts} FROM records{joins}")  # noqa: S608
    own = [
        f'records."{c}"'
        for c in workspace_columns(workspace, "records")
        if c not in {*_KEY, "error", "error_detail"} and c not in seen
    ]
    every = ", ".join([key, error if sets else "records.error", *own, *chosen])
    connection.execute(f"CREATE VIEW images AS SELECT {every} FROM records{joins}")  # noqa: S608
