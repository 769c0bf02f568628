"""The two acts that most tests of tables need: ingest made-up records, run a stage on them."""

from collections.abc import Sequence
from dataclasses import replace

import pyarrow as pa

from cvdata.engine.session import EngineConfig, Session
from cvdata.engine.verbs import map_chunks
from cvdata.parts import PartSpec
from cvdata.schema import RECORDS
from cvdata.storage import digest
from cvdata.tables import check_complete, plan
from cvdata.workspace import Workspace
from tests.tables.stages import KeyLength, make_records


def ingest(workspace: Workspace, keys: Sequence[str], revision: str = "1", tag: str = "s") -> None:
    with workspace.change("ingest", {}) as change:
        rows = make_records(list(keys), revision, tag)
        change.replace("records", [rows], RECORDS, keep=lambda p: p.tag != tag, tag=tag)


def run_stage(
    workspace: Workspace,
    stage: KeyLength | None = None,
    engine: EngineConfig | None = None,
    chunk_rows: int = 0,
) -> int:
    """Run the stage on what is pending; how many rows that was."""
    stage = stage or KeyLength()
    with (
        workspace.change("lengths", {}) as change,
        Session(engine or EngineConfig("serial")) as session,
    ):
        tables = {
            name: change.keyed(PartSpec(name, stage.fingerprints[name], schema))
            for name, schema in stage.schemas.items()
        }
        work = plan(change.store, change.records, list(tables.values()), chunk_rows)
        for names, chunks in work.groups().items():
            map_chunks(session, replace(stage, tables=names), chunks, tables)
        for table in tables.values():
            check_complete(table, work.chunks, change.store)
    return work.n_rows


def rows_digest(table: pa.Table) -> str:
    """Digest of the rows of a table, whatever its chunks."""
    return digest(repr(table.combine_chunks().to_pylist()).encode())


def part_digests(workspace: Workspace, table: str) -> dict[str, str]:
    """The live parts and their sha256."""
    return {p.path: p.sha256 for p in workspace.refresh().head.tables[table].parts}
