"""Curate image datasets with Ray Data: one decode, every fact, nothing lost.

>>> from cvdata import Workspace
>>> workspace = Workspace("results")
>>> table = workspace.read("measures", columns=["width", "height", "phash"])  # doctest: +SKIP
"""

from typing import TYPE_CHECKING, Any

from cvdata.errors import CvdataError, ErrorCode

if TYPE_CHECKING:
    from cvdata.workspace import Workspace

__all__ = ["CvdataError", "ErrorCode", "Workspace"]


def __getattr__(name: str) -> Any:
    """`Workspace` at first use: a decoding child needs neither it nor pyarrow."""
    if name == "Workspace":
        from cvdata.workspace import Workspace

        return Workspace
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
