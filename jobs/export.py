"""Write the kept images: ImageFolder, WebDataset, Parquet, COCO, YOLO, VOC, Hugging Face, …"""

import sys

from pydantic import Field

from cvdata.command import Summary, engine_config, main
from cvdata.config import JobConfig
from cvdata.runs.export import export, look, plan_work
from cvdata.runs.export_card import lines_of
from cvdata.runs.export_config import ExportSettings
from cvdata.workspace import Workspace


class Config(JobConfig, ExportSettings):
    """Write the images that `selection` keeps (all readable ones where there is none) to TO."""

    to: str
    """Folder or URL to write to: new, empty, or of the same export, which then goes on."""
    format: str
    """imagefolder, webdataset, parquet, coco, yolo, voc, huggingface, fiftyone, list, or your own
    `pkg.mod:Class`."""
    sink_options: dict[str, str] = Field({})
    """Options of the format as NAME=VALUE (docs/export.md lists them)."""


def run(config: Config) -> Summary:
    """Write what is not written yet; nothing in the workspace changes."""
    workspace = Workspace(config.workspace)
    work = plan_work(workspace, config.options(config.to, config.format, config.sink_options))
    if config.dry_run:
        return Summary((*work.lines(), f"  target: {look(work).value}"))
    figures = export(work, engine_config(config))
    n_errors = sum(figures["errors"].values())
    is_warning = n_errors > config.warn_error_rate * max(1, work.plan.n_rows)
    return Summary(tuple(lines_of(figures, config.to)), figures, is_warning)


if __name__ == "__main__":
    sys.exit(main(Config, run))
