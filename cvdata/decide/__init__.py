"""Decide: what was found about each image -> keep or drop, and every reason for it."""

from cvdata.decide.findings import FINDINGS, MergedReasons, merge_findings
from cvdata.decide.judge import judge
from cvdata.decide.links import Links, Verdicts, resolve
from cvdata.decide.rules import DuplicateRule, LeakRule, Rules, SqlRule

__all__ = [
    "FINDINGS",
    "DuplicateRule",
    "LeakRule",
    "Links",
    "MergedReasons",
    "Rules",
    "SqlRule",
    "Verdicts",
    "judge",
    "merge_findings",
    "resolve",
]
