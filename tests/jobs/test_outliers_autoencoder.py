"""outliers by what an autoencoder cannot give back: noise and foreign images, learnt once."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sklearn.metrics import roc_auc_score

from cvdata import Workspace
from cvdata.image import open_image
from cvdata.sample import make_sample
from cvdata.sources.uris import decode_path
from tests.jobs.flows import cvdata
from tests.jobs.test_outliers import rows_of


def _strange_sample(shared: Path, folder: Path) -> dict[bytes, str]:
    """The sample, and in it 20 of its clean images under noise and 25 foreign ones, by key."""
    truth = make_sample(folder)
    rng = np.random.default_rng(0)
    kinds = {decode_path(path): "clean" for path, file in truth.files.items() if not file.plants}
    for i, key in enumerate(sorted(kinds)[::9]):
        rgb = open_image((folder / key.decode()).read_bytes()).rgb
        noisy = np.clip(rgb + rng.normal(0, (25, 50)[i % 2], rgb.shape), 0, 255)
        Image.fromarray(noisy.astype(np.uint8)).save(folder / "train" / f"noisy{i}.png")
        kinds[f"train/noisy{i}.png".encode()] = "noisy"
    photos = sorted((shared / "imagenet_sample").glob("*.JPEG"))[::33]
    cells = sorted((shared / "bccd").rglob("*.jpg"))[::37]
    for i, file in enumerate((*photos, *cells)):
        shutil.copy(file, folder / "train" / f"foreign{i}.jpg")
        kinds[f"train/foreign{i}.jpg".encode()] = "foreign"
    return kinds


@pytest.mark.slow
def test_the_autoencoder_flags_noise_and_foreign_images(shared_data: Path, tmp_path: Path) -> None:
    """Trained on the very set that it judges, the strangers in it."""
    kinds = _strange_sample(shared_data, tmp_path / "sample")
    where = tmp_path / "w"
    cvdata("ingest", tmp_path / "sample", "--workspace", where)
    flags = ("--methods", "reconstruction")
    assert cvdata("outliers", "--workspace", where, *flags) == 0
    workspace = Workspace(str(where))
    keys = {r["image_id"]: r["key"] for r in workspace.read("records").to_pylist()}
    rows = {keys[i]: r for i, r in rows_of(where, "reconstruction").items()}
    for kind, least in (("noisy", 0.9), ("foreign", 0.9)):
        of = [key for key in rows if kinds.get(key) in ("clean", kind)]
        scores = [rows[key]["score"] for key in of]
        assert roc_auc_score([kinds[key] == kind for key in of], scores) >= least, kind
    seq, weights = workspace.head.seq, workspace.head.artifacts["autoencoder.npz"].sha256
    assert cvdata("outliers", "--workspace", where, *flags) == 0
    assert workspace.refresh().head.seq == seq, "nothing new: nothing learnt, nothing decoded"
    (tmp_path / "sample" / "train" / "noisy0.png").rename(tmp_path / "sample" / "train" / "n.png")
    cvdata("ingest", tmp_path / "sample", "--workspace", where)
    assert cvdata("outliers", "--workspace", where, *flags) == 0
    assert workspace.refresh().head.artifacts["autoencoder.npz"].sha256 == weights
