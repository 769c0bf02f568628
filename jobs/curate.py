"""The whole chain on one source: from files to what stays and a report; only what is new costs."""

import sys
from collections.abc import Callable
from typing import Any, Literal

from pydantic import Field

from cvdata.command import Summary, main
from cvdata.config import JobConfig, build_part
from cvdata.errors import ConfigError
from cvdata.workspace import Workspace
from jobs import decide, dedup, eda, index, ingest, labels, outliers, report, scan
from jobs import map as draw_map

Section = dict[str, Any]
Optional = Literal["dedup", "outliers", "labels", "index", "map", "decide", "report"]
Step = tuple[JobConfig, Callable[..., Summary]]


class Config(ingest.Config, scan.Config, eda.Config, dedup.Config, report.Config):
    """Curate SOURCE: list it, measure what is new, find issues, copies, outliers; decide, report.

    With --model also: index the embeddings, doubt labels, draw the map.
    """

    outliers: Section = Field({})
    """Options of `cvdata outliers`, e.g. {methods: [robust_z], contamination: 0.01}."""
    labels: Section = Field({})
    """Options of `cvdata labels`."""
    index: Section = Field({})
    """Options of `cvdata index`."""
    map: Section = Field({})
    """Options of `cvdata map`."""
    decide: Section = Field({})
    """Options of `cvdata decide`: which findings drop and which only warn, balance."""
    skip: list[Optional] = Field([])
    """What not to run."""


def steps(config: Config) -> list[Step]:
    """Each job with its own part of the config; `ConfigError` before anything runs."""
    shared = config.model_dump(include=set(JobConfig.model_fields) - {"config"})

    def flat(job: Any) -> Step:
        part = job.Config.model_validate(config.model_dump(include=set(job.Config.model_fields)))
        return part, job.run

    def section(name: str, job: Any, **known: Any) -> Step:
        chosen = {**shared, **known, **getattr(config, name)}
        return build_part(job.Config, chosen, name), job.run

    chain = {"ingest": flat(ingest), "scan": flat(scan), "eda": flat(eda), "dedup": flat(dedup)}
    chain["outliers"] = section("outliers", outliers)
    if config.model:
        chain["labels"] = section("labels", labels, embeddings=config.model)
        chain["index"] = section("index", index, model=config.model)
        chain["map"] = section("map", draw_map, embeddings=config.model)
    chain["decide"] = section("decide", decide)
    chain["report"] = flat(report)
    return [step for name, step in chain.items() if name not in config.skip]


def run(config: Config) -> Summary:
    """Run the chain; each job makes its own commit."""
    done = Summary()
    for part, step in steps(config):
        try:
            done += step(part)
        except ConfigError as error:
            if config.dry_run and step not in (ingest.run, scan.run):
                done += Summary((f"plan: not before the jobs above have run: {error}",))
            elif step is labels.run:  # which needs two classes of some size, as not all data has
                done += Summary((f"labels: left out: {error}",))
            else:
                raise
        is_moved = done.numbers.get("n_changed") or not Workspace(config.workspace).head.seq
        if config.dry_run and is_moved:  # what they would say is of the records as they were
            return done + Summary(("plan: the other jobs follow once the source is ingested",))
    return done


if __name__ == "__main__":
    sys.exit(main(Config, run))
