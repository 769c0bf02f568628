"""What a decision is asked and what it came to."""

from collections.abc import Mapping
from dataclasses import dataclass

import pyarrow as pa

from cvdata.balance import Balance
from cvdata.decide.rules import Rules
from cvdata.parts import Part
from cvdata.runs.decide_balance import Balanced
from cvdata.runs.decide_inputs import Inputs
from cvdata.runs.decide_links import Linked
from cvdata.runs.decide_write import Tally


@dataclass(frozen=True)
class DecideOptions:
    """The rules, what is balanced, and whether stale tables may be used."""

    rules: Rules
    balance: Balance
    uses_stale: bool = False
    is_dry: bool = False
    memory: str = ""


@dataclass(frozen=True)
class Decision:
    """What a run decided, before it is committed."""

    tally: Tally
    parts: Mapping[str, tuple[Part, ...]]
    linked: Linked | None
    balanced: Balanced
    restored: Mapping[str, int]
    n_unscanned: int
    inputs: Inputs
    merged: pa.Table | None = None
    synthetic: pa.Table | None = None
