"""Index embeddings with FAISS; what is new is added, what is gone is taken out, recall measured."""

import sys

from pydantic import Field

from cvdata.command import Summary, engine_config, main
from cvdata.config import JobConfig
from cvdata.index.choice import Prefer
from cvdata.models.rows import segment
from cvdata.runs.index import current_card, is_below_target, lines, make_index
from cvdata.runs.index_plan import IndexSettings, plan
from cvdata.workspace import Workspace


class Config(JobConfig):
    """Bring the index of embeddings/MODEL up to date; exit 3 where it misses the target recall."""

    model: str = "default"
    """Which embeddings: the MODEL of embeddings/MODEL."""
    factory: str = ""
    """FAISS factory string, e.g. IVF4096,Flat; without it the kind is chosen by size and memory."""
    memory_bytes: int = Field(4_000_000_000, ge=1)
    """Memory that the index may take when it is searched; building takes about twice as much."""
    prefer: Prefer = "updates"
    """updates: a kind that is changed in place; speed: a graph, which any change builds anew."""
    target_recall: float = Field(0.95, gt=0, le=1)
    """Recall@K that the search effort is tuned to, by its 95 % lower bound."""
    k: int = Field(10, ge=1, le=100)
    """The K of the target recall."""
    n_queries: int = Field(1000, ge=1)
    """Held-out queries to measure with, and as many to tune with."""
    threshold: float = Field(0.9, gt=0, le=1)
    """Cosine of the range recall."""
    rebuild: bool = False
    """Train and build anew even where the index can be changed."""

    def settings(self) -> IndexSettings:
        """As the run takes them."""
        return IndexSettings(
            self.factory,
            self.memory_bytes,
            self.prefer,
            self.target_recall,
            self.k,
            self.n_queries,
            self.threshold,
        )


def run(config: Config) -> Summary:
    """Write index, ids and card in one commit."""
    workspace = Workspace(config.workspace, single_writer=config.single_writer)
    model, settings = segment(config.model), config.settings()
    with workspace.change("index", config.model_dump(mode="json")) as change:
        planned = plan(change, model, settings, is_rebuild=config.rebuild)
        if config.dry_run or planned is None:
            change.cancel()
        if planned is None:
            card = current_card(change, model)
            return Summary((*lines(card), "  nothing changed"), {"index": card.to_json()})
        if config.dry_run:
            return Summary(tuple(planned.lines()))
        card = make_index(change, engine_config(config), model, planned, settings)
        change.stats = {"n": card.n, "n_added": planned.n_added, "n_removed": planned.n_removed}
    text = f"  added {planned.n_added:,}, took out {planned.n_removed:,}"
    is_below = is_below_target(card)
    return Summary((*lines(card), text), {"index": card.to_json()}, is_warning=is_below)


if __name__ == "__main__":
    sys.exit(main(Config, run))
