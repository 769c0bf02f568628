"""Scan every image once: EDA facts, checksums, hashes."""

import sys
from dataclasses import replace

from pydantic import Field

from cvdata.command import Summary, engine_config, main
from cvdata.engine.session import Session
from cvdata.measures import DEFAULT_MEASURES
from cvdata.models import Task
from cvdata.runs.decoding import DecodingConfig
from cvdata.runs.filling import tally
from cvdata.runs.infer import ModelSettings, placed, plan_inference
from cvdata.runs.scan import fill, next_generation, plan_sets
from cvdata.stages.scan import MeasureSpec
from cvdata.workspace import Workspace


class Config(DecodingConfig):
    """Fetch and decode every new or changed image once and measure it."""

    measures: list[str | dict[str, dict[str, float | int | str]]] = Field(list(DEFAULT_MEASURES))
    """Measures by name (docs/measures.md), `pkg.mod:Class` for your own; in YAML also
    `{name: {parameter: value}}`. What the workspace holds already is not computed again."""
    model: str = ""
    """Encoder that sees the same decoded pixels and feeds embeddings/MODEL (`cvdata models`)."""
    encoder: ModelSettings = ModelSettings()
    """How that model is made and run, as `cvdata infer` takes it."""


def run(config: Config) -> Summary:
    """Bring the measures of every record up to date, and the embeddings where a model is named."""
    workspace = Workspace(config.workspace, single_writer=config.single_writer)
    asked = [MeasureSpec.parse(value) for value in config.measures]
    limits = config.limits.build()
    with (
        workspace.change("scan", config.model_dump(mode="json")) as change,
        Session(engine_config(config)) as session,
    ):
        tables = change.base.tables
        generation = next_generation(tables) if config.refresh else 0
        sets = plan_sets(asked, tables, limits, generation)
        model = None
        if config.model:
            request = config.encoder.request(config.model, Task.EMBED)
            request = replace(request, is_refresh=config.refresh)
            model = placed(plan_inference(change, request, limits), config.encoder)
        work = fill(change, session, sets, config.fill_options(), model)
        change.stats = work.numbers()
        if config.dry_run:
            change.cancel()
            return Summary(tuple(work.lines()), work.numbers())
    counted = tally(workspace)
    lines = [f"scan: {work.n_rows:,} images read", f"  {counted.line()}"]
    if model is not None:
        lines.append(f"  {model.table}: {tally(workspace, model.table).line()}")
    return Summary(
        tuple(lines),
        {**work.numbers(), "n_ok": counted.n_ok, "errors": counted.errors},
        is_warning=counted.n_errors > config.warn_error_rate * counted.n_records,
    )


if __name__ == "__main__":
    sys.exit(main(Config, run))
