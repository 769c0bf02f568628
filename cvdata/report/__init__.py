"""Tables -> one self-contained HTML report."""

from cvdata.report.inputs import ERROR_ROWS, CommitFacts, IssueNote, ReportInput
from cvdata.report.page import render
from cvdata.report.section import Section
from cvdata.report.thumbnail import encode_thumb

__all__ = [
    "ERROR_ROWS",
    "CommitFacts",
    "IssueNote",
    "ReportInput",
    "Section",
    "encode_thumb",
    "render",
]
