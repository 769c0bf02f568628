"""Find labels and boxes that are probably wrong; suggest better ones."""

import json
import sys

from pydantic import Field

from cvdata.command import Summary, engine_config, main
from cvdata.config import JobConfig
from cvdata.engine.session import Session
from cvdata.label_issues.learn import Learning
from cvdata.runs.label_issues import LabelOptions
from cvdata.runs.label_issues_tables import (
    FIGURES,
    inputs_of,
    is_current,
    lines,
    look,
    publish,
    refuse_absent,
)
from cvdata.runs.mismatched import mark_mismatched
from cvdata.workspace import Workspace


class Config(JobConfig):
    """Doubt labels by neighbours, by confident learning and by models, from tables alone."""

    embeddings: str = "default"
    """Learn from the MODEL of embeddings/MODEL; empty: do not."""
    predictions: str = ""
    """A classifier's MODEL of predictions/MODEL that was not trained on these images."""
    boxes: str = ""
    """A detector's MODEL of predictions/MODEL to hold the boxes against."""
    neighbors: int = Field(10, ge=1, le=1000)
    """Neighbours that vote on a label."""
    folds: int = Field(5, ge=2, le=20)
    """Parts of the data, each judged by probes that have not seen it."""
    rounds: int = Field(2, ge=1, le=5)
    """From the second on, what was flagged is not learnt from."""
    margin: float = Field(0.6, ge=0, lt=1)
    """Flag where another class is likelier than the label by more than this probability."""
    min_class: int = Field(5, ge=2)
    """Images, copies counted once, that a class must have to be judged."""
    box_score: float = Field(0.5, gt=0, le=1)
    """Flag boxes doubted at least this much."""
    variance: float = Field(0.95, gt=0, le=1)
    """Share of the embeddings' variance that is kept, on at most 256 axes."""
    fit_rows: int = Field(50_000, ge=100)
    """Images to learn from; all are judged."""
    seed: int = 0
    """Of folds and sample."""
    refresh: bool = False
    """Compute everything anew, e.g. after a library moved a value."""

    def label_options(self) -> LabelOptions:
        """As the run takes them."""
        learning = Learning(
            self.folds, self.neighbors, self.rounds, self.variance, self.margin, self.seed
        )
        names = self.embeddings, self.predictions, self.boxes
        return LabelOptions(*names, learning, self.min_class, self.fit_rows, self.box_score)


def run(config: Config) -> Summary:
    """Write label_issues, and what it doubts as an issue."""
    options = config.label_options()
    tables = inputs_of(options)
    names = set(Config.model_fields) - set(JobConfig.model_fields) - {"refresh"}
    settings = json.dumps(config.model_dump(mode="json", include=names), sort_keys=True)
    workspace = Workspace(config.workspace, single_writer=config.single_writer)
    with workspace.change("labels", config.model_dump(mode="json")) as change:
        if config.dry_run:
            change.cancel()
            refuse_absent(change.base, tables)
            rows = sum(part.rows for part in change.records)
            return Summary((f"plan: judge {rows:,} images from {', '.join(tables)}",))
        if config.refresh or not is_current(change.base, settings, tables):
            with Session(engine_config(config)) as session:
                found = look(session, workspace, options)
                mark_mismatched(session, change, publish(change, found, settings, tables))
    figures = json.loads(workspace.artifact(FIGURES))
    return Summary(tuple(lines(figures)), {"labels": figures})


if __name__ == "__main__":
    sys.exit(main(Config, run))
