"""From a workspace to the plain data that a report is rendered from."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from cvdata.commits import Commit
from cvdata.errors import ErrorCode, ImageError
from cvdata.image import Limits, open_image
from cvdata.issues import ISSUES
from cvdata.report.inputs import ERROR_ROWS, CommitFacts, IssueNote, ReportInput
from cvdata.report.thumbnail import encode_thumb
from cvdata.schema import ISSUES as ISSUES_SCHEMA
from cvdata.schema import RECORDS
from cvdata.sources.fetch import Fetcher
from cvdata.stages.isolation import shared_sandbox
from cvdata.storage import digest
from cvdata.workspace import Workspace

LONG_TABLES = ("summary", "counts", "histograms", "joint", "cooccurrence", "class_profile")


@dataclass(frozen=True)
class ThumbMaker:
    """What the sandbox runs for a thumbnail: bytes -> JPEG bytes without metadata."""

    limits: Limits

    def __call__(self) -> Callable[[bytes, str], bytes]:
        """Build it where the pixels will be."""
        limits = self.limits

        def thumb(data: bytes, name: str) -> bytes:
            return encode_thumb(open_image(data, limits, name).rgb)

        return thumb


def gather(workspace: Workspace, title: str, per_issue: int, per_error: int) -> ReportInput:
    """Everything that the report shows, bounded: some rows of each kind, all of them counted."""
    counts, shown = _issues(workspace, per_issue)
    n_records, errors, error_rows = _errors(workspace, per_error)
    wanted = pa.concat_tables([shown.select(["image_id"]), error_rows.select(["image_id"])])
    records = _records(workspace, wanted["image_id"])
    pictures = records.filter(pc.is_in(records["image_id"], shown["image_id"].combine_chunks()))
    head = workspace.head
    has = set(workspace.tables())
    return ReportInput(
        title=title,
        commit=_facts(head, workspace.tables()),
        n_records=n_records,
        n_ok=n_records - sum(errors.values()),
        errors=errors,
        error_rows=error_rows,
        records=records,
        issues=shown,
        issue_counts=counts,
        issue_notes=_notes(head),
        tables={name: workspace.read(name) for name in LONG_TABLES if name in has},
        answers=json.loads(workspace.artifact("summary.json"))
        if "summary.json" in head.artifacts
        else {},
        thumbs=dict(_thumbs(pictures)),
        statistics=_statistics(workspace),
    )


def _issues(workspace: Workspace, per_issue: int) -> tuple[dict[str, int], pa.Table]:
    """Flagged images by issue, and the worst of each."""
    if "issues" not in workspace.head.tables:
        return {}, ISSUES_SCHEMA.empty_table()
    counts: dict[str, int] = {}
    worst: dict[str, pa.Table] = {}
    for id_range in workspace.ranges():
        rows = workspace.read("issues", id_range=id_range)
        rows = rows.filter(rows["is_flagged"])
        for name in pc.unique(rows["issue"]).to_pylist():
            mine = rows.filter(pc.equal(rows["issue"], name))
            counts[name] = counts.get(name, 0) + len(mine)
            both = pa.concat_tables([mine, worst[name]]) if name in worst else mine
            order = [("severity", "descending"), ("image_id", "ascending")]
            worst[name] = both.sort_by(order).slice(0, per_issue)
    shown = pa.concat_tables([ISSUES_SCHEMA.empty_table(), *worst.values()])
    return dict(sorted(counts.items(), key=lambda kv: (-kv[1], kv[0]))), shown


def _errors(workspace: Workspace, per_error: int) -> tuple[int, dict[str, int], pa.Table]:
    """Records, error rows by code, and the first of each code by key."""
    n_records = 0
    counts: dict[str, int] = {}
    tables = [ERROR_ROWS.empty_table()]
    for id_range in workspace.ranges():
        n_records += len(workspace.read("records", ["image_id"], id_range=id_range))
        rows = workspace.read("measures", ["image_id", "error", "error_detail"], id_range=id_range)
        rows = rows.filter(pc.is_valid(rows["error"]))
        for item in rows["error"].value_counts():
            code = item["values"].as_py()
            counts[code] = counts.get(code, 0) + item["counts"].as_py()
        records = _records(workspace, rows["image_id"], id_range)
        at = pc.index_in(rows["image_id"], value_set=records["image_id"].combine_chunks())
        named = records.select(["key", "uri"]).take(at)
        table = rows.append_column("key", named["key"]).append_column("uri", named["uri"])
        tables.append(table.select(ERROR_ROWS.names).cast(ERROR_ROWS))
    found = pa.concat_tables(tables).sort_by([("error", "ascending"), ("uri", "ascending")])
    kept = [
        found.filter(pc.equal(found["error"], code)).slice(0, per_error) for code in sorted(counts)
    ]
    return n_records, counts, pa.concat_tables([ERROR_ROWS.empty_table(), *kept])


def _records(
    workspace: Workspace, ids: pa.ChunkedArray, id_range: tuple[bytes, bytes | None] | None = None
) -> pa.Table:
    ranges = workspace.ranges() if id_range is None else [id_range]
    wanted = pc.unique(ids) if len(ids) else pa.array([], RECORDS.field("image_id").type)
    found = [RECORDS.empty_table()]
    for one in ranges:
        rows = workspace.read("records", id_range=one)
        found.append(rows.filter(pc.is_in(rows["image_id"], wanted)))
    return pa.concat_tables(found)


def _thumbs(records: pa.Table) -> Iterator[tuple[bytes, bytes]]:
    """Re-encoded pictures; one that cannot be read any more has none."""
    limits = Limits(formats=Limits().formats)
    order = [("uri", "ascending"), ("offset", "ascending")]
    records = records.sort_by(order)
    ids: list[bytes] = []

    def fetched() -> Iterator[tuple[bytes, str]]:
        found = Fetcher(max_bytes=limits.max_bytes).fetch(records)
        for image_id, uri, data in zip(
            records["image_id"].to_pylist(), records["uri"].to_pylist(), found, strict=True
        ):
            if not isinstance(data, ImageError):
                ids.append(image_id)
                yield data, uri

    with shared_sandbox(ThumbMaker(limits)) as sandbox:
        for n, thumb in enumerate(sandbox.map(fetched())):
            if not isinstance(thumb, ImageError):
                yield ids[n], thumb


def _notes(head: Commit) -> tuple[IssueNote, ...]:
    changed = head.tables["issues"].meta.get("thresholds", {}) if "issues" in head.tables else {}
    codes = {str(code) for code in ErrorCode}
    return tuple(
        IssueNote(
            name=i.name,
            doc=i.doc,
            definition=i.definition,
            threshold=changed.get(i.name, i.threshold),
            reason=i.reason,
            is_error=i.columns == ("error",) or i.name in codes,
        )
        for i in ISSUES
    )


def _facts(head: Commit, tables: dict[str, int]) -> CommitFacts:
    config = digest(json.dumps(dict(head.config), sort_keys=True).encode())[:12]
    return CommitFacts(head.seq, head.job, head.created, config, head.versions, tables)


def _statistics(workspace: Workspace) -> dict[str, str | float]:
    """Numbers of the newest scan."""
    for commit in reversed(workspace.commits()):
        if commit.job in ("scan", "curate") and commit.stats:
            return {k: v for k, v in commit.stats.items() if isinstance(v, str | int | float)}
    return {}
