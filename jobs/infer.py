"""Run a model over every image: embeddings, classes, boxes, masks, keypoints; and their worth."""

import sys
from dataclasses import replace
from typing import Literal

from pydantic import Field

from cvdata.command import Summary, engine_config, main
from cvdata.engine.session import Session
from cvdata.models import Task
from cvdata.runs.decoding import DecodingConfig
from cvdata.runs.evaluation import Evaluation, EvaluationSettings, evaluate
from cvdata.runs.filling import tally
from cvdata.runs.infer import ModelSettings, infer, placed, plan_inference
from cvdata.runs.pictures import picture_sink, write_pictures
from cvdata.workspace import Workspace


class Config(DecodingConfig, ModelSettings, EvaluationSettings):
    """Fill embeddings/MODEL or predictions/MODEL for every image that it lacks; measure it."""

    model: str = "default"
    """From `cvdata models`, torchvision/BUILDER, timm/…, onnx/…, exported/…, or `pkg.mod:Class`."""
    task: Literal["embed", "classify", "detect", "segment", "keypoints", "ocr", "image"] | None = (
        None
    )
    """What to ask of it; what it is made for where not given."""
    top_k: int = Field(5, ge=1)
    """Classes an image, of a classifier."""
    images_to: str = ""
    """With `task: image`: folder or URL that the pictures are written to."""
    images_format: str = "imagefolder"
    """How: imagefolder, webdataset, parquet, huggingface, or your own `pkg.mod:Sink`."""


def run(config: Config) -> Summary:
    """Bring the model's table up to date, measure it, compare it with the last commit."""
    workspace = Workspace(config.workspace, single_writer=config.single_writer)
    request = config.request(config.model, Task(config.task) if config.task else None, config.top_k)
    sink = picture_sink(config.images_format, config.task) if config.images_to else None
    found = Evaluation()
    with (
        workspace.change("infer", config.model_dump(mode="json")) as change,
        Session(engine_config(config)) as session,
    ):
        request = replace(request, is_refresh=config.refresh)
        model = placed(plan_inference(change, request, config.limits.build()), config)
        work = infer(change, session, model, config.fill_options())
        change.stats = work.numbers()
        if config.dry_run:
            change.cancel()
            return Summary((f"table: {model.table}", *work.lines()), work.numbers())
        found = evaluate(change, model, config)
    counted = tally(workspace, model.table)
    lines = [f"infer: {work.n_rows:,} images into {model.table}", f"  {counted.line()}"]
    if sink is not None:
        n = write_pictures(workspace, model.table, sink, config.images_to)
        lines.append(f"  {n:,} pictures written to {config.images_to}")
    return Summary(
        (*lines, *found.lines, *(f"  warning: {alarm}" for alarm in found.alarms)),
        {**work.numbers(), "n_ok": counted.n_ok, "errors": counted.errors, "alarms": found.alarms},
        is_warning=bool(found.alarms)
        or counted.n_errors > config.warn_error_rate * counted.n_records,
    )


if __name__ == "__main__":
    sys.exit(main(Config, run))
