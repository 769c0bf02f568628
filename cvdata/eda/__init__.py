"""Everything that is said about a dataset as a whole, from tables alone."""

from cvdata.eda.groups import GroupFold, Groups, plan_groups
from cvdata.eda.summarize import Summarize, summarize
from cvdata.eda.tables import SummaryTables

__all__ = ["GroupFold", "Groups", "Summarize", "SummaryTables", "plan_groups", "summarize"]
