"""From measures to issues and summary: no pixels, seconds, re-run at will."""

import sys

from cvdata.command import Summary, engine_config, main
from cvdata.config import JobConfig
from cvdata.issues import IssueSettings
from cvdata.runs.eda import bring_up_to_date
from cvdata.workspace import Workspace


class Config(JobConfig):
    """Find issues and summarise the dataset, from tables alone."""

    issues: IssueSettings = IssueSettings()
    """By issue: off, on, or its parameters, e.g. `dark: {threshold: 0.7}` (docs/issues.md)."""
    refresh: bool = False
    """Compute everything anew, e.g. after a library moved a value."""


def run(config: Config) -> Summary:
    """Write issues, summary, counts, histograms, joint, cooccurrence, class_profile."""
    workspace = Workspace(config.workspace, single_writer=config.single_writer)
    with workspace.change("eda", config.model_dump(mode="json")) as change:
        if config.dry_run:
            change.cancel()
            rows = sum(part.rows for part in change.records)
            return Summary((f"plan: fold the measures of {rows:,} records, no pixels",))
        bring_up_to_date(change, engine_config(config), config.issues, is_forced=config.refresh)
    flagged = count_flagged(workspace)
    lines = [f"eda: {sum(flagged.values()):,} flags in {len(flagged)} kinds of issues"]
    lines += [f"  {name:<20} {n:>9,}" for name, n in flagged.items()]
    return Summary(tuple(lines), {"flagged": flagged})


def count_flagged(workspace: Workspace) -> dict[str, int]:
    """Flagged images by issue, most first."""
    counts: dict[str, int] = {}
    for id_range in workspace.ranges():
        rows = workspace.read("issues", ["issue", "is_flagged"], id_range=id_range)
        for item in rows.filter(rows["is_flagged"])["issue"].value_counts():
            name = item["values"].as_py()
            counts[name] = counts.get(name, 0) + item["counts"].as_py()
    return dict(sorted(counts.items(), key=lambda kv: (-kv[1], kv[0])))


if __name__ == "__main__":
    sys.exit(main(Config, run))
