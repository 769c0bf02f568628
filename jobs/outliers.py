"""Images unlike the others: by measures, embeddings, objects; per dataset and per class."""

import json
import sys

from pydantic import Field

from cvdata.command import Summary, engine_config, main
from cvdata.config import JobConfig
from cvdata.outliers.settings import DEFAULT_METHODS, Options, Rule
from cvdata.runs.outliers import find_inputs, is_current, refuse_nothing, settings_text
from cvdata.runs.outliers_reconstruction import reconstruct
from cvdata.runs.outliers_tables import find_outliers, lines, publish
from cvdata.workspace import Workspace


class Config(JobConfig):
    """Score every image by how strange it is; flag, rank and explain (docs/outliers.md)."""

    methods: list[str] = Field(list(DEFAULT_METHODS))
    """robust_z, histogram, knn, lof, isolation_forest, one_class_svm, mahalanobis, kmeans, objects;
    and reconstruction, which decodes the images once more."""
    embeddings: str = ""
    """MODEL of embeddings/MODEL; not given: the default model's, or the only one."""
    predictions: str = ""
    """MODEL of predictions/MODEL, whose findings are objects beside the boxes of the records."""
    sample: int = Field(200_000, ge=100)
    """Images to fit on, about; chosen by their ids."""
    seed: int = Field(0, ge=0)
    """Of the sample and of every estimator."""
    variance: float = Field(0.8, gt=0, le=1)
    """Share of the embeddings' variance that the principal components must hold."""
    dimensions: int = Field(64, ge=1)
    """Most principal components."""
    trim: float = Field(0.1, ge=0, lt=0.5)
    """Share of the sample, the strangest, that nothing is fitted on."""
    contamination: float = Field(0.02, gt=0, lt=0.5)
    """Share of images taken for outliers by methods without a natural threshold."""
    neighbors: int = Field(10, ge=1)
    """k of knn."""
    lof_neighbors: int = Field(20, ge=1)
    """k of lof."""
    clusters: int = Field(0, ge=0)
    """k of kmeans; 0: the square root of half the images, at most 100."""
    object_score: float = Field(0.5, ge=0, le=1)
    """Least score of a predicted object."""
    agree: int = Field(3, ge=1)
    """Methods that must flag an image before the consensus does."""
    per_class: bool = True
    """Also score each image within its class."""
    min_class: int = Field(20, ge=2)
    """Images a class needs to be scored by itself."""
    flags: dict[str, Rule] = Field({})
    """By method when a score is flagged: {fence: 1.7}, {above: 3.5} or {share: 0.01}."""
    refresh: bool = False
    """Compute everything anew, e.g. after a library moved a value."""

    def outlier_options(self) -> Options:
        """As the run takes them."""
        same = set(Options.__dataclass_fields__) & set(type(self).model_fields) - {"methods"}
        chosen = {name: getattr(self, name) for name in same}
        return Options(
            tuple(self.methods), **chosen, is_per_class=self.per_class, rules=dict(self.flags)
        )


def run(config: Config) -> Summary:
    """Write the table `outliers`."""
    options = config.outlier_options()
    workspace = Workspace(config.workspace, single_writer=config.single_writer)
    if "reconstruction" in options.methods and not config.dry_run:
        with workspace.change("outliers", config.model_dump(mode="json")) as change:
            reconstruct(change, engine_config(config), options.seed, is_refresh=config.refresh)
    with workspace.change("outliers", config.model_dump(mode="json")) as change:
        rows = sum(part.rows for part in change.records)
        inputs = find_inputs(workspace, options, config.embeddings, config.predictions)
        refuse_nothing(inputs, options)
        if config.dry_run:
            change.cancel()
            return Summary((f"plan: score {rows:,} images by {', '.join(options.methods)}",))
        settings = settings_text(options, inputs)
        if config.refresh or not is_current(change.base, inputs, settings):
            state, figures = find_outliers(change, engine_config(config), inputs, options)
            publish(change, state, figures, inputs, settings)
    figures = json.loads(workspace.artifact("outliers.json"))
    return Summary(tuple(lines(figures)), {"outliers": figures})


if __name__ == "__main__":
    sys.exit(main(Config, run))
