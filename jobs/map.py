"""Draw a 2-D map of the embeddings: what looks alike lies side by side."""

import json
import sys

from pydantic import Field

from cvdata.command import Summary, engine_config, main
from cvdata.config import JobConfig
from cvdata.engine.session import Session
from cvdata.projection import Layouting
from cvdata.runs.map import draw_map, is_current, n_vectors, publish, refuse_without, table_of
from cvdata.workspace import Workspace


class Config(JobConfig):
    """PCA, then t-SNE on a sample; every other image is placed on the finished map."""

    embeddings: str = "default"
    """The MODEL of embeddings/MODEL; feeds map/MODEL."""
    fit_rows: int = Field(5_000, ge=5, le=200_000)
    """Images that the map is made from: 5,000 take a minute or two of one core."""
    axes: int = Field(50, ge=2, le=512)
    """Principal axes before t-SNE."""
    perplexity: float = Field(30, gt=1, le=500)
    """How many neighbours an image should keep near: small shows detail, large shows groups."""
    steps: int = Field(500, ge=50)
    """Steps of the optimiser."""
    seed: int = 0
    """Of the sample and the map."""
    refresh: bool = False
    """Draw it anew, e.g. after a library moved a value."""


def run(config: Config) -> Summary:
    """Write map/MODEL."""
    names = set(Config.model_fields) - set(JobConfig.model_fields) - {"refresh"}
    settings = json.dumps(config.model_dump(mode="json", include=names), sort_keys=True)
    model, how = (
        config.embeddings,
        Layouting(config.axes, config.perplexity, config.steps, config.seed),
    )
    workspace = Workspace(config.workspace, single_writer=config.single_writer)
    with workspace.change("map", config.model_dump(mode="json")) as change:
        refuse_without(change.base, model)
        if config.dry_run:
            change.cancel()
            n = n_vectors(change.base, model)
            fitted = min(n, config.fit_rows)
            return Summary((f"plan: draw {fitted:,} vectors, place {n - fitted:,} more",))
        if config.refresh or not is_current(change.base, model, settings):
            with Session(engine_config(config)) as session:
                rows = draw_map(session, workspace, model, how, config.fit_rows)
            publish(change, model, rows, settings)
    drawn = workspace.read(table_of(model), ["is_fitted"])["is_fitted"]
    n_fitted = sum(drawn.to_pylist())
    numbers = {"n_fitted": n_fitted, "n_placed": len(drawn) - n_fitted}
    line = f"map: {table_of(model)} drawn from {n_fitted:,}, {len(drawn) - n_fitted:,} placed"
    return Summary((line,), {"map": numbers})


if __name__ == "__main__":
    sys.exit(main(Config, run))
