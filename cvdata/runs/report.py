"""From a workspace to the plain data that a report is rendered from."""

import json
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from urllib.parse import unquote, urlsplit

import pyarrow as pa
import pyarrow.compute as pc

from cvdata.commits import Commit
from cvdata.errors import ErrorCode, ImageError
from cvdata.image import Limits, open_image
from cvdata.issues import ISSUES
from cvdata.issues.labels import MismatchedLabel
from cvdata.report.inputs import ERROR_ROWS, CommitFacts, DuplicateFacts, IssueNote, ReportInput
from cvdata.report.label_facts import LabelFacts
from cvdata.report.model_facts import ModelFacts
from cvdata.report.outlier_facts import OutlierFacts
from cvdata.report.pictured import shown_images
from cvdata.report.thumbnail import encode_thumb
from cvdata.runs.eda import origin
from cvdata.runs.report_duplicates import gather_duplicates
from cvdata.runs.report_labels import gather_labels, gather_maps
from cvdata.runs.report_models import gather_models
from cvdata.runs.report_outliers import gather_outliers
from cvdata.runs.report_selection import gather_selection
from cvdata.schema import ID, RECORDS
from cvdata.schema import ISSUES as ISSUES_SCHEMA
from cvdata.sources.fetch import Fetcher
from cvdata.stages.isolation import shared_sandbox
from cvdata.storage import digest
from cvdata.workspace import Workspace

LONG_TABLES = ("summary", "counts", "histograms", "joint", "cooccurrence", "class_profile")

TITLED = 3
"""Sources named in the title."""


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
    """Everything that the report shows, bounded: some rows of each kind, all of them counted.

    Without a `title` the page is named after the folders that were ingested.
    """
    head = workspace.head
    has = set(workspace.tables())
    notes = _notes(head)
    flags = _issues(workspace, notes, per_issue)
    read = _errors(workspace, per_error)
    duplicates, models = gather_duplicates(workspace), gather_models(workspace)
    outliers, labels = gather_outliers(workspace), gather_labels(workspace)
    data = ReportInput(
        title=title or source_names(workspace),
        commit=_facts(head, workspace.tables()),
        n_records=read.n_records,
        n_ok=read.n_ok,
        errors=read.counts,
        error_rows=read.rows,
        records=_records(
            workspace, _named(flags.worst, read.rows, duplicates, models, outliers, labels)
        ),
        issues=flags.worst,
        issue_counts=flags.counts,
        n_flagged=flags.n_images,
        issue_notes=notes,
        tables={name: workspace.read(name) for name in LONG_TABLES if name in has},
        answers=json.loads(workspace.artifact("summary.json"))
        if "summary.json" in head.artifacts
        else {},
        duplicates=duplicates,
        outliers=outliers,
        selection=gather_selection(workspace),
        models=models,
        labels=labels,
        maps=gather_maps(workspace),
        statistics=_statistics(workspace),
        is_eda_current=_is_eda_current(head),
    )
    shown = pa.array(shown_images(data), RECORDS.field("image_id").type)
    pictures = data.records.filter(pc.is_in(data.records["image_id"], shown))
    return replace(data, thumbs=dict(thumbnails(pictures)))


def _is_eda_current(head: Commit) -> bool:
    issues = head.tables.get("issues")
    return issues is None or issues.meta.get("inputs") == origin(head)["inputs"]


def source_names(workspace: Workspace) -> str:
    """What the ingested folders, files or buckets are called; else the name of the workspace."""
    found: dict[str, str] = {}
    for commit in workspace.commits():
        if "source_name" in commit.config and "source" in commit.config:
            found[str(commit.config["source_name"])] = _last_name(str(commit.config["source"]))
    parts = workspace.head.tables["records"].parts if "records" in workspace.head.tables else ()
    tags = {part.tag for part in parts}
    names = list(dict.fromkeys(n for source, n in sorted(found.items()) if source in tags and n))
    if not names:
        return _last_name(workspace.store.url) or "Images"
    some = ", ".join(names[:TITLED])
    return some if len(names) <= TITLED else f"{some} and {len(names) - TITLED} more"


def _last_name(source: str) -> str:
    """The last part of a path or URL, without a query: that may hold a secret."""
    if "://" in source:
        parsed = urlsplit(source)
        source = unquote(parsed.path).strip("/") or parsed.hostname or ""
    name = source.rstrip("/").rpartition("/")[2]
    return "" if name in (".", "..") else name


def _named(
    issues: pa.Table,
    errors: pa.Table,
    duplicates: DuplicateFacts | None,
    models: Sequence[ModelFacts],
    outliers: OutlierFacts | None,
    labels: LabelFacts | None,
) -> pa.ChunkedArray:
    """Every image of which the report tells the name."""
    told = [row["image_id"] for one in models for row in (*one.hardest, *one.flips)]
    columns = [issues["image_id"], errors["image_id"], pa.chunked_array([pa.array(told, ID)])]
    if outliers is not None:
        columns.append(outliers.rows["image_id"])
    if labels is not None:
        columns.append(labels.rows["image_id"])
    if duplicates is not None:
        columns += [duplicates.groups["image_id"], duplicates.conflicts["image_id"]]
        columns += [duplicates.leaks["id_a"], duplicates.leaks["id_b"]]
    return pa.chunked_array([chunk for column in columns for chunk in column.chunks], ID)


@dataclass(frozen=True)
class Flags:
    """Flagged images by issue, how many images that are, and the worst rows of each issue."""

    counts: dict[str, int]
    n_images: int | None
    worst: pa.Table


def _issues(workspace: Workspace, notes: tuple[IssueNote, ...], per_issue: int) -> Flags:
    """Counted range by range: no image is in two of them."""
    if "issues" not in workspace.head.tables:
        return Flags({}, None, ISSUES_SCHEMA.empty_table())
    in_pictures = pa.array([note.name for note in notes if not note.is_error], pa.string())
    counts: Counter[str] = Counter()
    worst: dict[str, pa.Table] = {}
    n_images = 0
    for id_range in workspace.ranges():
        rows = workspace.read("issues", id_range=id_range)
        rows = rows.filter(rows["is_flagged"])
        seen = rows.filter(pc.is_in(rows["issue"], in_pictures))
        n_images += pc.count_distinct(seen["image_id"]).as_py()
        for name in pc.unique(rows["issue"]).to_pylist():
            mine = rows.filter(pc.equal(rows["issue"], name))
            counts[name] += len(mine)
            both = pa.concat_tables([mine, worst[name]]) if name in worst else mine
            order = [("severity", "descending"), ("image_id", "ascending")]
            worst[name] = both.sort_by(order).slice(0, per_issue)
    shown = pa.concat_tables([ISSUES_SCHEMA.empty_table(), *worst.values()])
    ordered = sorted(counts.items(), key=lambda kv: (-kv[1], kv[0]))
    return Flags(dict(ordered), n_images, shown)


@dataclass(frozen=True)
class Read:
    """Records, those with facts and no error, error rows by code, and the first of each code."""

    n_records: int
    n_ok: int
    counts: dict[str, int]
    rows: pa.Table


def _errors(workspace: Workspace, per_error: int) -> Read:
    """Each term of the conservation law counted by itself, so that a breach of it shows."""
    n_records = n_ok = 0
    counts: Counter[str] = Counter()
    tables = [ERROR_ROWS.empty_table()]
    for id_range in workspace.ranges():
        n_records += len(workspace.read("records", ["image_id"], id_range=id_range))
        rows = workspace.read("measures", ["image_id", "error", "error_detail"], id_range=id_range)
        n_ok += rows["error"].null_count
        rows = rows.filter(pc.is_valid(rows["error"]))
        for item in rows["error"].value_counts():
            counts[item["values"].as_py()] += item["counts"].as_py()
        records = _records(workspace, rows["image_id"], id_range)
        at = pc.index_in(rows["image_id"], value_set=records["image_id"].combine_chunks())
        named = records.select(["key", "uri"]).take(at)
        table = rows.append_column("key", named["key"]).append_column("uri", named["uri"])
        tables.append(table.select(ERROR_ROWS.names).cast(ERROR_ROWS))
    found = pa.concat_tables(tables).sort_by([("error", "ascending"), ("uri", "ascending")])
    kept = [
        found.filter(pc.equal(found["error"], code)).slice(0, per_error) for code in sorted(counts)
    ]
    return Read(n_records, n_ok, dict(counts), pa.concat_tables([ERROR_ROWS.empty_table(), *kept]))


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


def thumbnails(records: pa.Table) -> Iterator[tuple[bytes, bytes]]:
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
    """The issues that were looked for: doubted labels only where the labels job has run."""
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
        if i.name != MismatchedLabel.name or "label_issues" in head.tables
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
