"""From tables to one self-contained report.html."""

import sys
from importlib.metadata import version

from pydantic import Field

from cvdata.command import Summary, main
from cvdata.config import JobConfig
from cvdata.errors import ConfigError
from cvdata.report import render
from cvdata.runs.report import gather
from cvdata.workspace import Workspace


class Config(JobConfig):
    """Render what the workspace knows as one page that opens anywhere."""

    title: str = ""
    """Title of the page; default: the names of the sources."""
    share: bool = False
    """Leave out every absolute path and storage URL."""
    per_issue: int = Field(48, ge=0)
    """Rows an issue, worst first; 24 are shown, all are in its download."""
    per_error: int = Field(200, ge=0)
    """Files named for each error code."""
    refresh: bool = False
    """Compute everything anew, e.g. after a library moved a value."""


def run(config: Config) -> Summary:
    """Write `report/<commit>/report.html`."""
    workspace = Workspace(config.workspace, single_writer=config.single_writer)
    workspace.prepare(is_dry=config.dry_run)
    if not workspace.head.seq:
        raise ConfigError(f"{config.workspace}: nothing is committed here; run `cvdata curate`")
    path = f"report/{workspace.head.seq}/report.html"
    made = f"report/{workspace.head.seq}/made.json"
    options = config.model_dump_json(include={"title", "share", "per_issue", "per_error"})
    settings = f"{version('cvdata')} {options}".encode()
    where = workspace.store.path(path)
    is_made = not config.refresh and workspace.store.exists(made)
    if is_made and workspace.store.get(made) == settings:
        what = f"report: {where} (as it was)"
        return Summary((f"plan: nothing, {what}" if config.dry_run else what,), {"report": where})
    if config.dry_run:
        return Summary((f"plan: write {where}",))
    data = gather(workspace, config.title, config.per_issue, config.per_error)
    page = render(data, share=config.share).encode()
    workspace.store.put(path, page)
    workspace.store.put(made, settings)
    return Summary((f"report: {where} ({len(page) / 1e6:,.1f} MB)",), {"report": where})


if __name__ == "__main__":
    sys.exit(main(Config, run))
