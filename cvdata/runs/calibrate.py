"""Calibration as a run: plant copies of the workspace's own images, measure, keep thresholds."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from cvdata.chance import hash_keys
from cvdata.duplicates import calibration as measure
from cvdata.duplicates.calibration import Planted, Unrelated
from cvdata.duplicates.thresholds import CALIBRATION, merged
from cvdata.engine.progress import ProgressBar
from cvdata.engine.session import Session
from cvdata.errors import ConfigError
from cvdata.kernels.neighbors import unit_rows
from cvdata.runs.components import rows_to_fetch
from cvdata.sample.edits import BY_NAME
from cvdata.stages.planted import EDITS, Across, LookAcross, PlantCopies
from cvdata.stages.predict import Inference
from cvdata.vectors import matrix
from cvdata.workspace import Change, Workspace

TASK_IMAGES, TASK_PAIRS = 8, 64
MAX_ACROSS = 3000
"""Unrelated pairs that are looked at; of more a sample stands for all."""
SAMPLE_VECTORS = 4096


@dataclass(frozen=True)
class CalibrateOptions:
    """What is planted, and what a threshold may cost.

    `max_false`: unrelated pairs merged per 10,000 images by the cosine alone; `max_looks`: second
    looks an image that the candidates of the whole workspace may ask for.
    """

    n_images: int = 300
    edits: tuple[str, ...] = EDITS
    seed: int = 0
    max_false: float = 1.0
    max_looks: float = 4.0


def refuse_unknown(options: CalibrateOptions) -> None:
    """Raise `ConfigError` for an edit that does not exist, or too few images."""
    unknown = [name for name in options.edits if name not in BY_NAME]
    if unknown or not options.edits:
        raise ConfigError(f"unknown edits {', '.join(unknown)}; there are: {', '.join(BY_NAME)}")


def chosen_images(workspace: Workspace, options: CalibrateOptions) -> pa.Table:
    """image_id of the images that are edited: readable, one of each group of copies, seeded."""
    if "duplicates" not in workspace.head.tables:
        url = workspace.store.url
        raise ConfigError(
            f"{url} has not been searched for copies, and an image and its own copy would count "
            f"as a false merge: run `cvdata dedup --workspace {url}` first"
        )
    ids = workspace.read("deduplicated", ["image_id"])
    rows = workspace.read("duplicates", ["image_id", "method", "is_keeper"])
    copies = rows.filter(pc.and_(pc.equal(rows["method"], "any"), pc.invert(rows["is_keeper"])))
    ids = ids.filter(pc.invert(pc.is_in(ids["image_id"], copies["image_id"].combine_chunks())))
    if len(ids) < 2:
        raise ConfigError(f"calibration needs at least 2 images, not {len(ids)}")
    order = np.argsort(hash_keys(ids["image_id"], options.seed), kind="stable")
    return ids.take(pa.array(np.sort(order[: options.n_images])))


def calibrate(
    change: Change, session: Session, inference: Inference, options: CalibrateOptions
) -> dict[str, Any]:
    """Measure the model on planted copies and publish its thresholds; the entry as it is kept."""
    workspace = Workspace(change.store.url, store=change.store).pin(change.base.seq)
    ids = chosen_images(workspace, options)
    records = rows_to_fetch(workspace, ids["image_id"])
    rows, planted = _planted(session, records, inference, options)
    if len(rows) < 2:
        raise ConfigError("fewer than 2 of the chosen images could be read: run `cvdata scan`")
    records = records.take(pa.array(rows))
    others = measure.unrelated(planted)
    at, accepted = _look_across(session, records, others, options)
    false = np.zeros(len(others), bool)
    false[at] = accepted
    weight = len(others) / len(at) if len(at) else 1.0
    looks = measure.looks_per_image(
        _stored_vectors(workspace, inference, planted), change.base.tables["deduplicated"].rows
    )
    table = measure.cosine_table(planted, others, false, weight, looks)
    alone, candidate = measure.chosen(table, options.max_false, options.max_looks)
    entry = {
        "model": inference.model.name,
        "weights": inference.model.weights_digest,
        "table": inference.table,
        "alone": alone,
        "candidate": candidate,
        "n_images": len(rows),
        "n_planted": int(planted.is_copy.size),
        "seed": options.seed,
        "max_false_per_10000": options.max_false,
        "max_looks": options.max_looks,
        "cosines": table,
        "radii": measure.radius_table(planted, others),
        "edits": _by_edit(planted, options.edits),
        "verification": _verification(planted, len(at), int(accepted.sum()), weight),
    }
    held = workspace.artifact(CALIBRATION) if CALIBRATION in change.base.artifacts else None
    change.artifact(CALIBRATION, merged(held, entry), "summary", ".json")
    change.stats = {name: entry[name] for name in ("model", "alone", "candidate", "n_planted")}
    return entry


def _planted(
    session: Session, records: pa.Table, inference: Inference, options: CalibrateOptions
) -> tuple[npt.NDArray[np.int64], Planted]:
    """(rows of `records` that were read, rising; what is known of them)."""
    starts = range(0, len(records), TASK_IMAGES)
    items = [(s, records.slice(s, TASK_IMAGES).combine_chunks()) for s in starts]
    work = _Placed(PlantCopies(options.edits, options.seed, inference.limits, inference))
    found: dict[int, tuple[npt.NDArray[np.int64], Planted]] = {}
    with ProgressBar("calibrate", len(records)) as bar:
        for start, rows, part in session.run(work, items, inference.resources):
            found[start] = rows + start, part
            bar.advance(len(rows), 0)
    parts = [found[s] for s in starts if len(found[s][0])]
    if not parts:
        raise ConfigError("none of the chosen images can be read now: is the source still there?")
    whole = Planted(
        np.concatenate([part.hashes for _, part in parts]),
        np.concatenate([part.vectors for _, part in parts]),
        np.concatenate([part.is_copy for _, part in parts]),
    )
    return np.concatenate([rows for rows, _ in parts]), whole


@dataclass(frozen=True)
class _Placed:
    """Results come in any order: each says where its rows begin."""

    work: PlantCopies

    def __call__(self, item: tuple[int, pa.Table]) -> tuple[int, npt.NDArray[np.int64], Planted]:
        return item[0], *self.work(item[1])


def _look_across(
    session: Session, records: pa.Table, others: Unrelated, options: CalibrateOptions
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
    """(pairs of `others` that were looked at, whether each was accepted)."""
    at = np.arange(len(others))
    if len(at) > MAX_ACROSS:
        at = np.sort(np.random.default_rng(options.seed).choice(at, MAX_ACROSS, replace=False))
    work = LookAcross(options.edits, options.seed)
    accepted = np.zeros(len(others), bool)
    for places, verdicts in session.run(work, list(_across(records, others, at))):
        accepted[places] = verdicts
    return at, accepted[at]


def _across(records: pa.Table, others: Unrelated, at: npt.NDArray[np.int64]) -> Iterator[Across]:
    for start in range(0, len(at), TASK_PAIRS):
        mine = at[start : start + TASK_PAIRS]
        place = others.place[mine]
        rows, local = np.unique(place[:, [0, 2]], return_inverse=True)
        ends = local.reshape(-1, 2)
        local_place = np.stack([ends[:, 0], place[:, 1], ends[:, 1]], axis=1).astype(np.int32)
        yield Across(mine, records.take(pa.array(rows)).combine_chunks(), local_place)


def _stored_vectors(
    workspace: Workspace, inference: Inference, planted: Planted
) -> npt.NDArray[np.float32]:
    """Some stored vectors of the model, to count whom a look would be taken at."""
    state = workspace.head.tables.get(inference.table)
    if state is None or state.fingerprint != inference.fingerprint or not state.rows:
        return planted.vectors[:, 0]
    share = max(1, -(-state.rows // SAMPLE_VECTORS))
    id_range = workspace.ranges(rows=-(-state.rows // share))[0]
    column = workspace.read(inference.table, ["embedding"], id_range=id_range)["embedding"]
    column = column.drop_null().combine_chunks()
    if len(column) < 2:
        return planted.vectors[:, 0]
    return unit_rows(matrix(column)[:SAMPLE_VECTORS])


def _by_edit(planted: Planted, edits: Sequence[str]) -> dict[str, dict[str, Any]]:
    """For each edit: the cosine that 95 % of its copies reach, bits, and the second look."""
    cosines = measure.own_cosines(planted)
    around = measure.own_bits(planted, is_dihedral=True)
    return {
        edit: {
            "cosine_05": float(np.quantile(cosines[:, k], 0.05)),
            "bits_95": float(np.quantile(around[:, k], 0.95)),
            "recall_looked": float(planted.is_copy[:, k].mean()),
        }
        for k, edit in enumerate(edits)
    }


def _verification(planted: Planted, n_looked: int, n_wrong: int, weight: float) -> dict[str, Any]:
    """The second look alone: of planted copies accepted, of unrelated candidates turned down."""
    right, wrong = int(planted.is_copy.sum()), n_wrong * weight
    return {
        "n_copies": int(planted.is_copy.size),
        "n_accepted": right,
        "recall": right / planted.is_copy.size,
        "n_unrelated": n_looked,
        "n_wrong": n_wrong,
        "precision": right / (right + wrong) if right + wrong else None,
    }
