"""Calibrate what counts as a copy for a model: planted copies -> thresholds that dedup uses."""

import sys

from pydantic import Field

from cvdata.command import Summary, engine_config, main
from cvdata.config import JobConfig
from cvdata.engine.session import Session
from cvdata.models import Task
from cvdata.runs.calibrate import CalibrateOptions, calibrate, chosen_images, refuse_unknown
from cvdata.runs.calibrate_lines import lines
from cvdata.runs.infer import ModelSettings, make_ready, placed, plan_inference
from cvdata.runs.limits import ImageLimits
from cvdata.stages.planted import EDITS
from cvdata.workspace import Workspace


class Config(JobConfig, ModelSettings):
    """Edit some of the workspace's own images and measure which cosine tells their copies."""

    model: str = "default"
    """The encoder, named and set as for `cvdata infer`."""
    images: int = Field(300, ge=2)
    """How many images are edited; all other numbers are more certain with more."""
    edits: list[str] = Field(list(EDITS))
    """Edits by name (docs/sample.md)."""
    seed: int = 0
    """Another number chooses other images and other crops."""
    max_false: float = Field(1.0, gt=0)
    """Unrelated pairs per 10,000 images that the cosine alone may merge."""
    max_looks: float = Field(4.0, gt=0)
    """Second looks an image that candidates may cost: how far the search may reach."""
    limits: ImageLimits = ImageLimits()
    """What is decoded at all."""

    def calibrate_options(self) -> CalibrateOptions:
        """As the run takes them."""
        return CalibrateOptions(
            self.images, tuple(self.edits), self.seed, self.max_false, self.max_looks
        )


def run(config: Config) -> Summary:
    """Write the model's thresholds."""
    options = config.calibrate_options()
    refuse_unknown(options)
    workspace = Workspace(config.workspace, single_writer=config.single_writer)
    with (
        workspace.change("calibrate", config.model_dump(mode="json")) as change,
        Session(engine_config(config)) as session,
    ):
        request = config.request(config.model, Task.EMBED)
        model = plan_inference(change, request, config.limits.build())
        if config.dry_run:
            change.cancel()
            n, n_edits = len(chosen_images(workspace, options)), len(options.edits)
            return Summary((f"plan: edit {n:,} images in {n_edits} ways, {n * n_edits:,} copies",))
        make_ready(model)
        entry = calibrate(change, session, placed(model, config), options)
    return Summary(tuple(lines(entry)), {"calibrate": entry})


if __name__ == "__main__":
    sys.exit(main(Config, run))
