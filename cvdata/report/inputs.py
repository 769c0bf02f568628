"""What a report is made from: plain data, so that it can be rendered and tested anywhere."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from cvdata.report.label_facts import LabelFacts, MapFacts
from cvdata.report.model_facts import ModelFacts
from cvdata.report.outlier_facts import OutlierFacts
from cvdata.report.selection_facts import SelectionFacts
from cvdata.schema import CONFLICTS, ID, ISSUES, LEAKS, RECORDS

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

GROUP_ROWS = pa.schema(
    [
        pa.field("group_id", ID, nullable=False),
        pa.field("size", pa.int64(), nullable=False),
        pa.field("image_id", ID, nullable=False),
        pa.field("is_keeper", pa.bool_(), nullable=False),
        pa.field("method", pa.string(), nullable=False),
        pa.field("distance", pa.float32(), nullable=False),
    ]
)
"""Images of some groups: the keeper first, then its copies, the nearest first. `size` counts the
whole group; `method` is the plainest by which copy and keeper are alike, `distance` in its unit."""

CONFLICT_ROWS = pa.schema(
    [
        pa.field("size", pa.int64(), nullable=False),
        *(field for field in CONFLICTS if field.name not in ("revision", "method")),
    ]
)
"""Images of some groups that disagree: CONFLICTS of all methods together."""


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
class MethodFacts:
    """What one method of finding copies found; the method `any` is all of them together.

    `components` are the largest sets that chaining from pair to pair would merge, largest first,
    and `n_bridges` the pairs that lie across the groups that were made instead. `recall` is a lower
    bound, None where every pair is found by construction.
    """

    name: str
    n_pairs: int
    n_groups: int
    n_copies: int
    n_not_comparable: int = 0
    recall: float | None = None
    components: tuple[int, ...] = ()
    n_bridges: int = 0


@dataclass(frozen=True)
class LookFacts:
    """What the second look made of planted copies: copies of the workspace's own images, edited.

    Of `n_copies` it accepted `n_accepted`, of `n_unrelated` candidate pairs of different images
    `n_wrong`; `precision` is the share of true copies among what it accepts, None where that is
    nothing. `edits` has the recall by edit.
    """

    n_copies: int
    n_accepted: int
    n_unrelated: int
    n_wrong: int
    precision: float | None
    edits: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class DuplicateFacts:
    """What the dedup job found: counts of everything, rows of some of it.

    `sizes` counts groups by the number of their images, `splits` all images and `leaking` those
    with a copy in another split, by split; `leak_counts` are pairs by (split, split). `groups`
    (GROUP_ROWS, largest group first), `leaks` (LEAKS) and `conflicts` (CONFLICT_ROWS) are in the
    order of the page. `conflict_counts` are groups by kind. All are of `any` method. `is_current`
    is False where images were ingested or scanned since. `look` is None where nobody calibrated.
    """

    methods: tuple[MethodFacts, ...]
    n_images: int
    n_verified: int = 0
    n_turned_down: int = 0
    n_unread: int = 0
    sizes: Mapping[int, int] = field(default_factory=dict)
    groups: pa.Table = field(default_factory=GROUP_ROWS.empty_table)
    splits: Mapping[str, int] = field(default_factory=dict)
    leaking: Mapping[str, int] = field(default_factory=dict)
    leak_counts: Mapping[tuple[str, str], int] = field(default_factory=dict)
    leaks: pa.Table = field(default_factory=LEAKS.empty_table)
    conflict_counts: Mapping[str, int] = field(default_factory=dict)
    n_conflicting: int = 0
    conflicts: pa.Table = field(default_factory=CONFLICT_ROWS.empty_table)
    is_current: bool = True
    look: LookFacts | None = None


@dataclass(frozen=True)
class ReportInput:
    """Everything a report shows.

    `records` (RECORDS) need only hold the images in `issues`, `error_rows` and `duplicates`;
    `issues` (ISSUES) only flagged rows, worst first, while `issue_counts` counts all of them and
    `n_flagged` the images with at least one issue that is no error (None: not counted). The long
    tables are those of the eda job and may be empty: their sections then say what is missing, as
    where `duplicates` is None: nobody has looked for copies. `thumbs` maps image_id to re-encoded
    JPEG or WebP bytes without metadata (`thumbnail.encode_thumb`).
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
    duplicates: DuplicateFacts | None = None
    outliers: OutlierFacts | None = None
    labels: LabelFacts | None = None
    maps: tuple[MapFacts, ...] = ()
    models: tuple[ModelFacts, ...] = ()
    selection: SelectionFacts | None = None
    thumbs: Mapping[bytes, bytes] = field(default_factory=dict)
    statistics: Mapping[str, str | float] = field(default_factory=dict)
    is_eda_current: bool = True
    """False where images or labels were ingested, or images scanned, after the issues."""
