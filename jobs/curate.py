"""The whole chain on one source: ingest, scan, eda, report; only what is new is computed."""

import sys

from cvdata.command import Summary, main
from cvdata.workspace import Workspace
from jobs import eda, ingest, report, scan


class Config(ingest.Config, scan.Config, eda.Config, report.Config):
    """Curate SOURCE: list it, measure what is new, find issues, write the report."""


CHAIN = (ingest, scan, eda, report)


def run(config: Config) -> Summary:
    """Each job with its own part of the config; each makes its own commit."""
    done = Summary()
    for job in CHAIN:
        part = job.Config.model_validate(config.model_dump(include=set(job.Config.model_fields)))
        done += job.run(part)
        if config.dry_run and not Workspace(config.workspace).head.seq:
            return done + Summary(("plan: the other jobs follow once the source is ingested",))
    return done


if __name__ == "__main__":
    sys.exit(main(Config, run))
