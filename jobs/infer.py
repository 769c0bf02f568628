"""Run a model over every image: embeddings, classes, boxes, masks, keypoints."""

import sys
from typing import Literal

from pydantic import Field

from cvdata.command import Summary, engine_config, main
from cvdata.engine.session import Session
from cvdata.models import Task
from cvdata.runs.decoding import DecodingConfig
from cvdata.runs.filling import tally
from cvdata.runs.infer import ModelSettings, infer, placed, plan_inference
from cvdata.workspace import Workspace


class Config(DecodingConfig, ModelSettings):
    """Fill embeddings/MODEL or predictions/MODEL for every image that it lacks."""

    model: str = "default"
    """From `cvdata models`, torchvision/BUILDER, timm/…, onnx/…, exported/…, or `pkg.mod:Class`."""
    task: Literal["embed", "classify", "detect", "segment", "keypoints", "ocr", "image"] | None = (
        None
    )
    """What to ask of it; what it is made for where not given."""
    top_k: int = Field(5, ge=1)
    """Classes an image, of a classifier."""


def run(config: Config) -> Summary:
    """Bring the model's table up to date."""
    workspace = Workspace(config.workspace, single_writer=config.single_writer)
    options = config.options(Task(config.task) if config.task else None, config.top_k)
    with (
        workspace.change("infer", config.model_dump(mode="json")) as change,
        Session(engine_config(config)) as session,
    ):
        limits = config.limits.build()
        model = plan_inference(change, config.model, options, limits, is_refresh=config.refresh)
        work = infer(change, session, placed(model, config), config.fill_options())
        change.stats = work.numbers()
        if config.dry_run:
            change.cancel()
            return Summary((f"table: {model.table}", *work.lines()), work.numbers())
    counted = tally(workspace, model.table)
    return Summary(
        (f"infer: {work.n_rows:,} images into {model.table}", f"  {counted.line()}"),
        {**work.numbers(), "n_ok": counted.n_ok, "errors": counted.errors},
        is_warning=counted.n_errors > config.warn_error_rate * counted.n_records,
    )


if __name__ == "__main__":
    sys.exit(main(Config, run))
