"""The autoencoder as a run: trained on a sample of the images, its errors a table that is kept."""

import numpy as np
import pyarrow as pa

from cvdata.chance import shares
from cvdata.engine.session import EngineConfig, Session
from cvdata.errors import ImageError
from cvdata.image import Limits
from cvdata.models.base import device_name
from cvdata.outliers.rows import smallest
from cvdata.parts import PartSpec
from cvdata.runs.estimate import Cost
from cvdata.runs.filling import Filling, FillOptions, fill_tables
from cvdata.stages.reconstruct import SCHEMA, TABLE, Reconstruct, views_of
from cvdata.workspace import Change, Workspace

TRAIN_ROWS = 4096
"""Images that the autoencoder learns from at most; each takes 25 kB of the driver's memory."""
WEIGHTS = "autoencoder.npz"
SECONDS = 0.006


def reconstruct(
    change: Change, engine: EngineConfig, seed: int, *, is_refresh: bool = False
) -> int:
    """Bring the table `reconstruction` up to date; how many images that were.

    What was learnt is kept: images that come later are judged by it, so that scores do not move
    under those that were there. A refresh, or another seed, learns anew.
    """
    from cvdata.models.autoencoder import Training, train

    training = Training(seed=seed)
    limits = Limits()
    held = change.base.tables.get(TABLE)
    known = held is not None and held.meta.get("training") == training.fingerprint
    workspace = Workspace(change.store.url, store=change.store).pin(change.base.seq)
    if known and not is_refresh and WEIGHTS in change.base.artifacts:
        weights = workspace.artifact(WEIGHTS)
    else:
        records = training_records(workspace, seed)
        views = [v for v in views_of(records, limits) if not isinstance(v, ImageError)]
        stacked = np.stack(views) if views else np.empty((0, 2, 64, 64, 3), np.uint8)
        weights = train(stacked, training, device_name("auto"))
        change.artifact(WEIGHTS, weights, "models", ".npz")
    stage = Reconstruct(weights, limits)
    spec = PartSpec(TABLE, stage.fingerprint, SCHEMA)
    filling = Filling([(spec, {"training": training.fingerprint})], lambda _: stage, _cost())
    with Session(engine) as session:
        return fill_tables(change, session, filling, FillOptions(max_error_rate=1.0)).n_rows


def training_records(workspace: Workspace, seed: int) -> pa.Table:
    """About `TRAIN_ROWS` records, chosen by their ids, in the order of the ids."""
    n = max(workspace.tables()["records"], 1)
    rate = min(1.0, 1.2 * TRAIN_ROWS / n)
    found = []
    for id_range in workspace.ranges():
        rows = workspace.read("records", id_range=id_range)
        found.append(rows.filter(pa.array(shares(rows["image_id"], seed) < rate)))
    some = pa.concat_tables(found).sort_by("image_id").combine_chunks()
    return some.take(pa.array(smallest(shares(some["image_id"], seed), TRAIN_ROWS)))


def _cost() -> Cost:
    return Cost(SECONDS, 40, len(SCHEMA))
