"""Decide what stays: tables -> selection, with every reason; nothing is deleted."""

import json
import sys
from typing import Literal

from cvdata.balance import Balance
from cvdata.command import Summary, engine_config, main
from cvdata.config import JobConfig
from cvdata.decide.rules import Rules
from cvdata.runs.decide import bring_up_to_date
from cvdata.runs.decide_explain import explain
from cvdata.runs.decide_inputs import inputs_of
from cvdata.runs.decide_lines import lines
from cvdata.runs.decide_outcome import DecideOptions
from cvdata.runs.decide_publish import balance_json, figures_json
from cvdata.workspace import Workspace


class Config(Rules, JobConfig):
    """Decide from tables what stays and why; sources are never touched (docs/decide.md)."""

    balance: Balance = Balance()
    """How classes are brought to a target (docs/balance.md); by default nothing is changed."""
    explain: str = ""
    """Decide nothing: tell all that is known of one IMAGE (path, end of its uri, or hex id)."""
    stale: Literal["refuse", "use"] = "refuse"
    """What to do about tables that were computed before images were ingested or scanned."""
    sql_memory: str = ""
    """Memory of DuckDB for the sql rules, e.g. `8GB`; by default four fifths of the RAM."""
    refresh: bool = False
    """Decide anew even where tables and rules are those of the last time."""

    def decide_options(self) -> DecideOptions:
        """As the run takes them."""
        rules = Rules.model_validate(self.model_dump(include=set(Rules.model_fields)))
        uses_stale = self.stale == "use"
        return DecideOptions(rules, self.balance, uses_stale, self.dry_run, self.sql_memory)


def run(config: Config) -> Summary:
    """Write selection, and where asked budget, merged and synthetic/<model>."""
    workspace = Workspace(config.workspace, single_writer=config.single_writer)
    options = config.decide_options()
    if config.explain:
        return Summary(tuple(explain(workspace, config.explain)))
    with workspace.change("decide", config.model_dump(mode="json")) as change:
        if config.dry_run:
            change.cancel()
        engine = engine_config(config)
        decision = bring_up_to_date(change, engine, options, is_forced=config.refresh)
    if decision is not None:
        figures, balanced = figures_json(decision, options), balance_json(decision, options)
        notes = decision.inputs.lines()
    else:
        figures, balanced = (
            json.loads(workspace.artifact(f"{name}.json")) for name in ("selection", "balance")
        )
        notes = inputs_of(workspace).lines()
    text = [*lines(figures, balanced), *notes]
    return Summary(tuple(text), {"decide": figures, "balance": balanced})


if __name__ == "__main__":
    sys.exit(main(Config, run))
