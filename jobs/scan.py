"""Scan every image once: EDA facts, checksums, hashes."""

import sys

from pydantic import Field

from cvdata.command import Summary, engine_config, main
from cvdata.config import JobConfig
from cvdata.engine.session import Session
from cvdata.measures import DEFAULT_MEASURES
from cvdata.runs.limits import ImageLimits
from cvdata.runs.scan import ScanOptions, fill, next_generation, plan_sets, tally
from cvdata.stages.isolation_process import Confinement
from cvdata.stages.scan import MeasureSpec
from cvdata.workspace import Workspace


class Config(JobConfig):
    """Fetch and decode every new or changed image once and measure it."""

    measures: list[str | dict[str, dict[str, float | int | str]]] = Field(list(DEFAULT_MEASURES))
    """Measures by name (docs/measures.md), `pkg.mod:Class` for your own; in YAML also
    `{name: {parameter: value}}`. What the workspace holds already is not computed again."""
    limits: ImageLimits = ImageLimits()
    """What is decoded at all."""
    max_error_rate: float = Field(0.05, ge=0, le=1)
    """Commit nothing (exit 6) when a larger share of this run's images fails."""
    warn_error_rate: float = Field(0.01, ge=0, le=1)
    """Exit with 3 when a larger share of all images is broken."""
    chunk_rows: int = Field(0, ge=0)
    """Images a chunk, which is one part; 0: 64 to 1,024 by the size of the dataset."""
    time_limit: float = Field(20.0, gt=0)
    """Seconds after which an image is given up."""
    memory_limit: int = Field(4 * 1024**3, ge=1024**3)
    """Bytes that a decoder may take."""
    isolate: bool = False
    """Decode in short-lived children with tighter limits: for hostile sources."""
    refresh: bool = False
    """Compute everything anew, e.g. after a library moved a value."""

    def scan_options(self) -> ScanOptions:
        """How to compute."""
        return ScanOptions(
            self.chunk_rows,
            Confinement(self.time_limit, self.memory_limit, self.isolate),
            self.max_error_rate,
            self.dry_run,
        )


def run(config: Config) -> Summary:
    """Bring the measures of every record up to date."""
    workspace = Workspace(config.workspace, single_writer=config.single_writer)
    asked = [MeasureSpec.parse(value) for value in config.measures]
    with (
        workspace.change("scan", config.model_dump(mode="json")) as change,
        Session(engine_config(config)) as session,
    ):
        tables = change.base.tables
        generation = next_generation(tables) if config.refresh else 0
        sets = plan_sets(asked, tables, config.limits.build(), generation)
        work = fill(change, session, sets, config.scan_options())
        change.stats = work.numbers()
        if config.dry_run:
            change.cancel()
            return Summary(tuple(work.lines()), work.numbers())
    counted = tally(workspace)
    return Summary(
        (f"scan: {work.n_rows:,} images decoded", f"  {counted.line()}"),
        {**work.numbers(), "n_ok": counted.n_ok, "errors": counted.errors},
        is_warning=counted.n_errors > config.warn_error_rate * counted.n_records,
    )


if __name__ == "__main__":
    sys.exit(main(Config, run))
