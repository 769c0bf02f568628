"""Make augmented copies of the selection: new images, and where each came from."""

import sys
from typing import Any, Literal

from pydantic import Field

from cvdata.command import Summary, engine_config, main
from cvdata.engine.session import Session
from cvdata.runs.augment import AugmentOptions, augment
from cvdata.runs.augment_plan import Choice
from cvdata.runs.augment_preview import write_preview
from cvdata.runs.augmented import Outcome, publish_manifest
from cvdata.runs.decoding import DecodingConfig
from cvdata.stages.augment import Recipe
from cvdata.stages.augmenter import Encoding, Making
from cvdata.workspace import Workspace


class Config(DecodingConfig):
    """Fill augmented/POLICY with copies of the images that are kept and may be trained on."""

    policy: str = "light"
    """light, medium, heavy, randaugment, trivialaugment, augmix, mixup, cutmix, mosaic; or the name
    of your own, given by `operations`."""
    operations: list[str | dict[str, dict[str, Any]]] = Field([])
    """Your policy: operations in order (docs/augment.md), as `name` or, in YAML,
    `{name: {field: value, p: probability}}`; `pkg.mod:Class` for your own."""
    variants: int = Field(1, ge=0)
    """Copies of each image, where no budget of `cvdata decide` says how many."""
    use_budget: bool = True
    """Make as many copies as the table `budget` says, where there is one."""
    splits: list[str] = Field(["train", ""])
    """Splits that are augmented; "" stands for images without one."""
    seed: int = 0
    """Another seed, other copies; the same seed, the same bytes anywhere."""
    min_visible: float = Field(0.3, ge=0, le=1)
    """A box of which less is left is dropped and recorded."""
    format: Literal["jpeg", "png"] = "jpeg"
    """How copies are written."""
    quality: int = Field(92, ge=1, le=100)
    """Of JPEG copies; their colour keeps its full resolution."""
    output: str = ""
    """Folder of the copies, any URL; images/POLICY of the workspace where not given."""
    preview: str = ""
    """Write a grid of copies to this .png or .html, and change nothing else."""

    @property
    def is_read_only(self) -> bool:
        """A preview changes nothing, as `--dry-run` does."""
        return self.dry_run or bool(self.preview)

    def augment_options(self, generation: int) -> AugmentOptions:
        """As the run takes them."""
        encoding = Encoding(self.format, self.quality)
        operations, limits = tuple(self.operations), self.limits.build()
        making = Making(self.policy, operations, encoding, limits, self.min_visible)
        return AugmentOptions(
            Recipe(making, self.seed, generation),
            Choice(tuple(self.splits), self.variants, self.use_budget),
            self.output,
            self.fill_options(),
        )


def run(config: Config) -> Summary:
    """Bring the policy's copies up to date with the selection."""
    workspace = Workspace(config.workspace, single_writer=config.single_writer)
    with (
        workspace.change("augment", config.model_dump(mode="json")) as change,
        Session(engine_config(config)) as session,
    ):
        held = change.base.tables.get(f"augmented/{config.policy}")
        generation = int(held.meta["generation"]) if held else 0
        options = config.augment_options(generation + config.refresh)
        if config.preview:
            change.cancel()
            return Summary(tuple(write_preview(change, options, config.preview)))
        work = augment(change, session, workspace, options)
        change.stats = work.numbers()
        if config.dry_run:
            change.cancel()
            return Summary(tuple(work.plan()), work.numbers())
    done = Outcome.of(work, publish_manifest(workspace, options))
    return Summary(done.lines(), done.numbers(), done.exceeds(config.warn_error_rate))


if __name__ == "__main__":
    sys.exit(main(Config, run))
