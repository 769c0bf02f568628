"""An index kept in step with its embeddings: what is new is added, what is gone is taken out."""

import json
import logging
import tempfile
from dataclasses import asdict
from pathlib import Path

import pyarrow.parquet as pq

from cvdata.engine.session import EngineConfig, Session
from cvdata.errors import WorkspaceError
from cvdata.index.kept import Card, faiss_version, write_index
from cvdata.index.measured import Measured
from cvdata.index.searcher import Searcher
from cvdata.runs.index_build import Built, build
from cvdata.runs.index_files import CARD, FILE, FOLDER, IDS, artifact_name, inputs_of, read_card
from cvdata.runs.index_plan import IndexSettings, Planned
from cvdata.runs.index_rows import KEYS, SLICE_BYTES
from cvdata.workspace import Change

log = logging.getLogger("cvdata")
SERIAL_BELOW_SLICES = 16


def session_for(config: EngineConfig, planned: Planned) -> Session:
    """A loop for what a loop does in seconds, the configured engine for more."""
    n_slices = 4 * planned.dimension * len(planned.rows) / SLICE_BYTES
    if config.kind == "auto" and not config.address and n_slices <= SERIAL_BELOW_SLICES:
        return Session(EngineConfig("serial"))
    return Session(config)


def make_index(
    change: Change, engine: EngineConfig, model: str, planned: Planned, settings: IndexSettings
) -> Card:
    """Build what was planned, and put it, its ids and its card into the change."""
    for note in planned.notes:
        log.warning(note)
    with session_for(engine, planned) as session:
        built = build(change.store, session, planned, settings)
    return _publish(change, model, planned, settings, built)


def _publish(
    change: Change, model: str, planned: Planned, settings: IndexSettings, built: Built
) -> Card:
    head = change.base
    searcher = Searcher(built.index)
    with tempfile.TemporaryDirectory(prefix="cvdata-index-") as folder:
        path = Path(folder) / "index"
        write_index(built.index, path)
        index = change.artifact_file(artifact_name(model, FILE), path, FOLDER, FILE)
        path = Path(folder) / "ids"
        pq.write_table(built.rows.keys.cast(KEYS), path, compression="zstd")
        ids = change.artifact_file(artifact_name(model, IDS), path, FOLDER, IDS)
    card = Card(
        model=model,
        table=planned.table,
        fingerprint=head.tables[planned.table].fingerprint,
        inputs=inputs_of(head, planned.table),
        computed_from=head.seq,
        dimension=planned.dimension,
        n=len(built.rows),
        factory=built.factory,
        why=planned.choice.why,
        trained_rows=built.trained_rows,
        parameter=searcher.parameter,
        effort=searcher.effort,
        measured=built.measured,
        settings=asdict(settings),
        index_sha256=index.sha256,
        ids_sha256=ids.sha256,
        size_bytes=index.size_bytes,
        faiss=faiss_version(),
    )
    text = json.dumps(card.to_json(), indent=1, sort_keys=True).encode()
    change.artifact(artifact_name(model, CARD), text, FOLDER, CARD)
    return card


def lines(card: Card) -> list[str]:
    """What the index is and finds, for a person."""
    m = card.measured
    effort = f", {card.parameter} {card.effort}" if card.parameter else ""
    at = " · ".join(f"recall@{k} {rate}" for k, rate in sorted(m.at.items()))
    return [
        f"index: {card.n:,} vectors of {card.dimension:,} numbers of {card.table}",
        f"  {card.factory}{effort}, {card.size_bytes / 1e6:,.1f} MB: {card.why}",
        f"  {at}",
        *_range_lines(m),
        f"  of exact search, by {m.n_queries:,} held-out queries; in brackets the 95 % lower bound",
    ]


def _range_lines(m: Measured) -> list[str]:
    """What a search by score finds; where the queries have no pair, that is said, not a figure."""
    told = [f"  pairs with a cosine of at least {m.threshold:g}: "]
    if m.range.total:
        told[0] += f"recall {m.range}, of {m.range.total:,} pairs of the held-out queries"
    else:
        told[0] += "the held-out queries have none, so there is no recall of such"
    if m.made is not None:
        made = f"  as near to {m.n_made:,} made queries, images turned away by as much: "
        found = f"recall {m.made}, of {m.made.total:,} pairs" if m.made.total else "none lies there"
        told.append(made + found)
    return told


def is_below_target(card: Card) -> bool:
    """Whether the recall that was measured misses the target, however hard it searches."""
    rate = card.measured.at[int(card.settings["k"])]
    return rate.value is not None and rate.value < float(card.settings["target_recall"])


def current_card(change: Change, model: str) -> Card:
    """The card of an index that `plan` found current."""
    card = read_card(change.store, change.base, model)
    if card is None:
        raise WorkspaceError(f"there is no index of {model}")
    return card
