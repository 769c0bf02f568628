"""From a job's `Config` and `run` to a command with exit codes."""

import json
import logging
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from cvdata.config import JobConfig, dump, fail, parse
from cvdata.engine.progress import set_up_logging
from cvdata.engine.session import EngineConfig
from cvdata.errors import CvdataError

log = logging.getLogger("cvdata")
C = TypeVar("C", bound=JobConfig)
COMMITTED, USAGE, WARNED, INTERRUPTED = 0, 2, 3, 4


@dataclass(frozen=True)
class Summary:
    """What a job did, in lines for a person and numbers for a machine."""

    lines: tuple[str, ...] = ()
    numbers: Mapping[str, Any] = field(default_factory=dict)
    is_warning: bool = False
    """Committed, but with more errors than the warning rate."""

    def __add__(self, other: "Summary") -> "Summary":
        return Summary(
            self.lines + other.lines,
            {**self.numbers, **other.numbers},
            self.is_warning or other.is_warning,
        )


def engine_config(config: JobConfig) -> EngineConfig:
    """The engine that a job's options ask for."""
    is_private = "://" not in config.workspace and not config.shared_workspace
    return EngineConfig(
        config.engine,
        config.address,
        config.workers,
        config.object_store_bytes,
        config.workspace if is_private else "",
    )


def main(
    config_type: type[C],
    run: Callable[[C], Summary],
    argv: Sequence[str] | None = None,
    prog: str | None = None,
) -> int:
    """Parse, run, print, and return the exit code."""
    args = list(sys.argv[1:] if argv is None else argv)
    name = prog or f"python {Path(sys.argv[0]).name}"
    try:
        config = parse(config_type, args, name)
        set_up_logging(verbose=config.verbose)
        if config.dry_run:
            print(dump(config), end="")
        summary = run(config)
    except CvdataError as error:
        fail(str(error))
        return error.exit_code
    except KeyboardInterrupt:
        fail("stopped; finished parts are kept: run the same command again to go on")
        return INTERRUPTED
    for line in summary.lines:
        print(line)
    log.debug("%s", json.dumps(summary.numbers, sort_keys=True, default=str))
    return WARNED if summary.is_warning else COMMITTED
