"""List a source once: any format -> records, which are pointers and facts, never pixels."""

import sys
from collections.abc import Iterator

import pyarrow as pa
from pydantic import Field
from pydantic_settings import CliPositionalArg

from cvdata.command import Summary, engine_config, main
from cvdata.config import JobConfig
from cvdata.engine.progress import ProgressBar
from cvdata.engine.session import Session
from cvdata.runs.ingest import cut, listed, n_held, refuse_shrink, scan_plan
from cvdata.schema import RECORDS
from cvdata.sources import open_source
from cvdata.workspace import Workspace


class Config(JobConfig):
    """List the images of SOURCE into the workspace's `records`; nothing is decoded."""

    source: CliPositionalArg[str] = Field(min_length=1)
    """Folder, file or URL: images, Parquet, tar shards, CSV, JSONL, COCO, VOC or YOLO."""
    format: str | None = None
    """folder, parquet, webdataset, csv, jsonl, coco, voc or yolo; guessed where it is not given."""
    source_name: str = "default"
    """Name of this source in the workspace: ingesting it again replaces its records only."""
    label_from_folder: bool | None = None
    """Folders: the label is the name of the parent folder."""
    split_from_folder: bool | None = None
    """Folders: the split is the name of the top folder (train, val, test)."""
    all_files: bool | None = None
    """Folders: take every file, not only those with an image extension."""
    follow_symlinks: bool | None = None
    """Folders: follow symbolic links."""
    source_options: dict[str, str] = Field({})
    """Other options of the format as NAME=VALUE (docs/sources.md lists them)."""
    allow_shrink: bool = False
    """Accept that more than 20 % of the source's images are gone."""


def run(config: Config) -> Summary:
    """Replace the records of this source; those of other sources stay."""
    name = config.source_name
    flags = ("label_from_folder", "split_from_folder", "all_files", "follow_symlinks")
    given = {n: v for n in flags if (v := getattr(config, n)) is not None}
    source = open_source(
        config.source,
        format=config.format,
        source_name=name,
        options={**config.source_options, **given},
    )
    workspace = Workspace(config.workspace, single_writer=config.single_writer)
    if config.dry_run:
        with Session(engine_config(config)) as session:
            found = listed(workspace, source.records())
            n_before = n_held(workspace.head, name)
            if not config.allow_shrink:
                refuse_shrink(n_before, found.n_images, name)
            plan, numbers = scan_plan(workspace, session, found, config.prices)
            return Summary(plan, {**numbers, "n_changed": found.n_changed(n_before)})
    with workspace.change("ingest", config.model_dump(mode="json")) as change:
        n_before = n_held(change.base, name)
        with ProgressBar("ingest", 0) as bar:
            rows = cut(_counted(source.records(), bar))
            state = change.replace(
                "records", rows, RECORDS, keep=lambda part: part.tag != name, tag=name
            )
        n_now = sum(p.rows for p in state.parts if p.tag == name)
        if not config.allow_shrink:
            refuse_shrink(n_before, n_now, name)
    problems = [f"  {problem}" for problem in list(source.problems)[:20]]
    lines = [f"ingest: {n_now:,} images from {config.source} ({n_before:,} before)"]
    if len(source.problems):
        lines += [f"  {len(source.problems):,} malformed annotations:", *problems]
    return Summary(tuple(lines), {"n_records": n_now, "n_problems": len(source.problems)})


def _counted(tables: Iterator[pa.Table], bar: ProgressBar) -> Iterator[pa.Table]:
    for table in tables:
        bar.advance(len(table))
        yield table


if __name__ == "__main__":
    sys.exit(main(Config, run))
