"""The whole chain on one source: ingest, scan, eda, dedup, report; only what is new costs."""

import sys
from collections.abc import Callable

from cvdata.command import Summary, main
from cvdata.config import JobConfig
from cvdata.workspace import Workspace
from jobs import dedup, eda, ingest, report, scan


class Config(ingest.Config, scan.Config, eda.Config, dedup.Config, report.Config):
    """Curate SOURCE: list it, measure what is new, find issues and copies, report."""


CHAIN: tuple[tuple[type[JobConfig], Callable[..., Summary]], ...] = (
    (ingest.Config, ingest.run),
    (scan.Config, scan.run),
    (eda.Config, eda.run),
    (dedup.Config, dedup.run),
    (report.Config, report.run),
)


def run(config: Config) -> Summary:
    """Each job with its own part of the config; each makes its own commit."""
    done = Summary()
    for part_type, step in CHAIN:
        part = part_type.model_validate(config.model_dump(include=set(part_type.model_fields)))
        done += step(part)
        if config.dry_run and not Workspace(config.workspace).head.seq:
            return done + Summary(("plan: the other jobs follow once the source is ingested",))
    return done


if __name__ == "__main__":
    sys.exit(main(Config, run))
