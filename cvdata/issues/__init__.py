"""Issues: columns of facts -> severity and flag."""

from cvdata.issues.base import Columns, Context, Issue, SizeFold, context
from cvdata.issues.catalogue import ISSUES, IssueSettings
from cvdata.issues.find import find_issues

__all__ = [
    "ISSUES",
    "Columns",
    "Context",
    "Issue",
    "IssueSettings",
    "SizeFold",
    "context",
    "find_issues",
]
