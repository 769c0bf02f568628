"""What a report is made from: plain data, so that it can be rendered and tested anywhere."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from cvdata.schema import ISSUES, RECORDS

ERROR_ROWS = pa.schema(
    [
        pa.field("image_id", pa.binary(16), nullable=False),
        pa.field("key", pa.binary(), nullable=False),
        pa.field("uri", pa.string()),
        pa.field("error", pa.string(), nullable=False),
        pa.field("error_detail", pa.string()),
    ]
)
"""One row per image that has no facts, or lacks some."""


@dataclass(frozen=True)
class CommitFacts:
    """The commit that the report shows. `created` is ISO 8601; `tables` are row counts."""

    seq: int
    job: str
    created: str
    config_digest: str = ""
    versions: Mapping[str, str] = field(default_factory=dict)
    tables: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class IssueNote:
    """What an issue means.

    `doc` says it in a sentence, `definition` exactly; images are flagged above `threshold`, a
    severity in [0, 1], for `reason`. `is_error` marks issues that only repeat an error code: such
    images have no picture, and the section of errors tells of them.
    """

    name: str
    doc: str
    definition: str
    threshold: float
    reason: str = ""
    is_error: bool = False


@dataclass(frozen=True)
class ReportInput:
    """Everything a report shows.

    `records` (RECORDS) need only hold the images in `issues` and `error_rows`; `issues` (ISSUES)
    only flagged rows, worst first, while `issue_counts` counts all of them and `n_flagged` the
    images with at least one issue that is no error (None: not counted). The long tables are
    those of the eda job and may be empty: their sections then say what is missing. `thumbs` maps
    image_id to re-encoded JPEG or WebP bytes without metadata (`thumbnail.encode_thumb`).
    """

    title: str
    commit: CommitFacts
    n_records: int
    n_ok: int
    errors: Mapping[str, int] = field(default_factory=dict)
    error_rows: pa.Table = field(default_factory=ERROR_ROWS.empty_table)
    records: pa.Table = field(default_factory=RECORDS.empty_table)
    issues: pa.Table = field(default_factory=ISSUES.empty_table)
    issue_counts: Mapping[str, int] = field(default_factory=dict)
    n_flagged: int | None = None
    issue_notes: tuple[IssueNote, ...] = ()
    tables: Mapping[str, pa.Table] = field(default_factory=dict)
    answers: Mapping[str, Any] = field(default_factory=dict)
    thumbs: Mapping[bytes, bytes] = field(default_factory=dict)
    statistics: Mapping[str, str | float] = field(default_factory=dict)
