"""Assign images to splits that do not leak: groups whole, classes in proportion, for good."""

import sys

from pydantic import Field

from cvdata.command import Summary, main
from cvdata.config import JobConfig
from cvdata.runs.split import SplitOptions, bring_up_to_date, figures_of
from cvdata.workspace import Workspace


class Config(JobConfig):
    """Split the dataset so that no copy crosses; what is assigned stays (docs/howto/splits.md)."""

    fractions: dict[str, float] = Field({"train": 0.8, "val": 0.1, "test": 0.1})
    """Share of each split by name, e.g. `train=0.8,val=0.1,test=0.1`; they are scaled to sum 1."""
    seed: int = 0
    """Another number deals the images otherwise."""
    fresh: bool = False
    """Forget what is assigned and split anew."""


def run(config: Config) -> Summary:
    """Write splits."""
    options = SplitOptions(config.fractions, config.seed, config.fresh)
    workspace = Workspace(config.workspace, single_writer=config.single_writer)
    with workspace.change("split", config.model_dump(mode="json")) as change:
        if config.dry_run:
            change.cancel()
            rows = sum(part.rows for part in change.records)
            parts = ", ".join(f"{name} {share:g}" for name, share in config.fractions.items())
            return Summary((f"plan: split {rows:,} records into {parts}",))
        bring_up_to_date(change, workspace, options)
    figures = figures_of(workspace)
    return Summary(figures.lines(), figures.numbers())


if __name__ == "__main__":
    sys.exit(main(Config, run))
