"""Find copies: exact, perceptual, semantic; group them without chains; keep the best of each."""

import json
import sys
from dataclasses import replace
from typing import Literal

from pydantic import Field

from cvdata.command import Summary, engine_config, main
from cvdata.config import JobConfig
from cvdata.duplicates.keep import DEFAULT_KEEP, KeepPolicy
from cvdata.engine.session import Session
from cvdata.runs.against import open_others
from cvdata.runs.dedup import checked
from cvdata.runs.dedup_crowds import compared
from cvdata.runs.dedup_options import DedupRequest, settings_of
from cvdata.runs.dedup_plan import plan
from cvdata.runs.dedup_tables import is_current, is_fresh, lines, publish
from cvdata.workspace import Workspace


class Config(JobConfig):
    """Find near-duplicates from tables; verify candidates on small thumbs, each decoded once."""

    methods: list[str] = Field([])
    """exact_sha256, exact_pixels, perceptual, dihedral, semantic; not given: all there are."""
    hash: str = "phash"
    """Column of the perceptual method: phash, dhash, ahash, whash."""
    radius: int | None = Field(None, ge=0, le=11)
    """Bits of the hash that may differ; not given: 8 where pairs are verified, else 6."""
    embeddings: str = ""
    """Table of the semantic method: the MODEL of embeddings/MODEL; not given: the one there is."""
    threshold: float | None = Field(None, gt=0, le=1)
    """Least cosine of the semantic method; not given: the model's own (cvdata calibrate)."""
    keep: list[str] = Field(list(DEFAULT_KEEP))
    """Which copy stays: columns, best first; `-` prefers more."""
    verify: bool = True
    """Look at candidate pairs again: registration and local structure (docs/dedup.md)."""
    features: bool = False
    """Try ORB and RANSAC in the second look: finds stronger turns and zooms, slower."""
    search: Literal["auto", "local", "shuffle"] = "auto"
    """Compare hashes in this process or in tasks by partition of a band; auto: by their number."""
    against: list[str] = Field([])
    """Evaluation sets, workspaces or folders: copies of their images are leaks, never grouped."""
    crowd: int = Field(1_000, ge=3)
    """Of so many files of equal bytes most stand aside and follow the first ones."""
    fresh: bool = False
    """Forget earlier keepers and decide anew."""

    def dedup_request(self) -> DedupRequest:
        """As the run takes it."""
        return DedupRequest(
            tuple(self.methods),
            self.hash,
            self.radius,
            self.embeddings,
            self.threshold,
            KeepPolicy(tuple(self.keep)),
            self.verify,
            self.features,
            self.fresh,
            self.search,
            self.crowd,
        )


def run(config: Config) -> Summary:
    """Write pairs, duplicates, leaks, conflicts, successions."""
    workspace = Workspace(config.workspace, single_writer=config.single_writer)
    with (
        workspace.change("dedup", config.model_dump(mode="json")) as change,
        Session(engine_config(config)) as session,
    ):
        options = checked(change, workspace, config.dedup_request())
        if config.dry_run:
            change.cancel()
            return Summary(*plan(workspace, options, config.against).told)
        others = open_others(session, workspace, config.against, options)
        settings = settings_of(change.base, options, {o.name: o.inputs for o in others})
        if config.fresh or not is_current(change.base, settings):
            options = replace(options, is_fresh=is_fresh(change.base, settings, options))
            options, images, outcome = compared(session, workspace, others, options)
            publish(change, images, outcome, settings)
    figures = json.loads(workspace.artifact("dedup.json"))
    return Summary((*lines(figures, workspace), *options.notes), {"dedup": figures})


if __name__ == "__main__":
    sys.exit(main(Config, run))
