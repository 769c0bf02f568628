"""Tables -> one self-contained HTML report."""

from cvdata.report.inputs import (
    CONFLICT_ROWS,
    ERROR_ROWS,
    GROUP_ROWS,
    CommitFacts,
    DuplicateFacts,
    IssueNote,
    MethodFacts,
    ReportInput,
)
from cvdata.report.page import render
from cvdata.report.pictured import shown_images
from cvdata.report.section import Section
from cvdata.report.thumbnail import encode_thumb

__all__ = [
    "CONFLICT_ROWS",
    "ERROR_ROWS",
    "GROUP_ROWS",
    "CommitFacts",
    "DuplicateFacts",
    "IssueNote",
    "MethodFacts",
    "ReportInput",
    "Section",
    "encode_thumb",
    "render",
    "shown_images",
]
