"""Curate image datasets with Ray Data: one decode, every fact, nothing lost.

from cvdata import Workspace

workspace = Workspace("results")
workspace.read("measures", columns=["width", "height", "phash"])  # a pyarrow.Table
"""

from cvdata.errors import CvdataError, ErrorCode
from cvdata.workspace import Workspace

__all__ = ["CvdataError", "ErrorCode", "Workspace"]
