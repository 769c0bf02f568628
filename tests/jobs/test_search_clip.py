"""`cvdata search --text` with a pair of towers from open_clip, from files to neighbours."""

import json
from pathlib import Path

import numpy as np
import open_clip
import pytest
import torch
from PIL import Image

from cvdata.cli import main
from cvdata.models.weights import file_digest

PAIR = "pair-for-tests"
CONFIG = {
    "embed_dim": 24,
    "vision_cfg": {"image_size": 32, "layers": 1, "width": 64, "patch_size": 16},
    "text_cfg": {"context_length": 16, "vocab_size": 49408, "width": 64, "heads": 1, "layers": 1},
}


def test_words_find_the_images_whose_vectors_are_nearest(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / f"{PAIR}.json").write_text(json.dumps(CONFIG))
    open_clip.add_model_config(tmp_path / f"{PAIR}.json")
    torch.manual_seed(5)
    net = open_clip.create_model(PAIR, load_weights=False).eval()
    weights = tmp_path / "pair.pt"
    torch.save(net.state_dict(), weights)
    (tmp_path / "photos").mkdir()
    rng = np.random.default_rng(2)
    for i in range(12):
        pixels = rng.integers(0, 256, (40, 50, 3), np.uint8)
        Image.fromarray(pixels).save(tmp_path / "photos" / f"{i:02d}.png")
    where = ["--workspace", str(tmp_path / "w")]
    model = [*where, "--model", f"open_clip/{PAIR}", "--weights", str(weights)]
    model += ["--sha256", file_digest(weights)]
    assert main(["ingest", str(tmp_path / "photos"), *where]) == 0
    assert main(["infer", *model, "--runtime", "torch", "--engine", "serial"]) == 0
    assert main(["index", *where, "--model", f"open_clip/{PAIR}", "--engine", "serial"]) == 0
    capsys.readouterr()
    assert main(["search", *model, "--text", "a red bicycle", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)["neighbors"]
    transform = open_clip.image_transform(32, is_train=False)
    images = [Image.open(tmp_path / "photos" / f"{i:02d}.png") for i in range(12)]
    with torch.inference_mode():
        words = net.encode_text(open_clip.get_tokenizer(PAIR)(["a red bicycle"]), normalize=True)
        vectors = net.encode_image(torch.stack([transform(i) for i in images]), normalize=True)
        scores = (vectors @ words.T).numpy()[:, 0]
    order = np.argsort(-scores)[:10]
    assert [Path(one["path"]).stem for one in found] == [f"{i:02d}" for i in order]
    np.testing.assert_allclose([one["score"] for one in found], scores[order], atol=1e-4)
