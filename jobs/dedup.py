"""Find copies: exact, perceptual, semantic; group them without chains; keep the best of each."""

import json
import sys
from collections.abc import Sequence
from dataclasses import replace

from pydantic import Field

from cvdata.command import Summary, engine_config, main
from cvdata.config import JobConfig
from cvdata.duplicates.keep import DEFAULT_KEEP, KeepPolicy
from cvdata.engine.session import Session
from cvdata.runs.against import Other, external_leaks, open_others, with_external
from cvdata.runs.dedup import DedupOptions, find_candidates, group, load_images
from cvdata.runs.dedup_tables import is_continued, is_current, lines, publish, tables_of
from cvdata.workspace import Workspace


class Config(JobConfig):
    """Find near-duplicates from tables; verify candidates on small thumbs, each decoded once."""

    methods: list[str] = Field(["exact_sha256", "exact_pixels", "perceptual", "dihedral"])
    """exact_sha256, exact_pixels, perceptual, dihedral (mirrored, turned), semantic."""
    hash: str = "phash"
    """Column of the perceptual method: phash, dhash, ahash, whash."""
    radius: int = Field(6, ge=0, le=11)
    """Bits of the hash that may differ; every pair within is found."""
    embeddings: str = ""
    """Table of the semantic method: the MODEL of embeddings/MODEL."""
    threshold: float = Field(0.9, gt=0, le=1)
    """Least cosine of the semantic method."""
    keep: list[str] = Field(list(DEFAULT_KEEP))
    """Which copy stays: columns, best first; `-` prefers more."""
    verify: bool = True
    """Look at candidate pairs again: registration and local structure (docs/dedup.md)."""
    against: list[str] = Field([])
    """Workspaces of evaluation sets: copies of their images are leaks, and never grouped."""
    fresh: bool = False
    """Forget earlier keepers and decide anew."""

    def dedup_options(self) -> DedupOptions:
        """As the run takes them."""
        return DedupOptions(
            tuple(self.methods),
            self.hash,
            self.radius,
            self.embeddings,
            self.threshold,
            KeepPolicy(tuple(self.keep)),
            self.verify,
            self.fresh,
        )


def run(config: Config) -> Summary:
    """Write pairs, duplicates, leaks, conflicts, successions."""
    options = config.dedup_options()
    workspace = Workspace(config.workspace, single_writer=config.single_writer)
    with workspace.change("dedup", config.model_dump(mode="json")) as change:
        if config.dry_run:
            change.cancel()
            rows = sum(part.rows for part in change.records)
            return Summary((f"plan: compare {rows:,} images by {', '.join(config.methods)}",))
        others = open_others(workspace, config.against)
        settings = _settings(config, others)
        if config.fresh or not is_current(change.base, settings):
            if not is_continued(change.base, settings):
                options = replace(options, is_fresh=True)
            images = load_images(workspace, options)
            found = find_candidates(workspace, images, options)
            with Session(engine_config(config)) as session:
                cover = group(session, workspace, images, found, options)
                outside = [external_leaks(session, workspace, images, o, options) for o in others]
            outcome = with_external(tables_of(workspace, images, found, cover), outside)
            publish(change, images, outcome, settings)
    figures = json.loads(workspace.artifact("dedup.json"))
    return Summary(tuple(lines(figures, workspace)), {"dedup": figures})


def _settings(config: Config, others: Sequence[Other]) -> str:
    names = set(Config.model_fields) - set(JobConfig.model_fields) - {"fresh"}
    chosen = config.model_dump(mode="json", include=names)
    chosen["against"] = {other.name: other.inputs for other in others}
    return json.dumps(chosen, sort_keys=True)


if __name__ == "__main__":
    sys.exit(main(Config, run))
