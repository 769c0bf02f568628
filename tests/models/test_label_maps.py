"""ONNX and torch.export segmenters: label maps come back as masks of the original, one a class."""

from pathlib import Path

import numpy as np
import pytest
import torch

from cvdata.errors import ConfigError
from cvdata.models import ModelOptions, Prediction, Task, resolve
from cvdata.models.batching import Runner
from cvdata.models.restoring import decode_mask
from cvdata.models.weights import file_digest

SIDE = 32


class ByLight(torch.nn.Module):
    """Class 0 of what is dark, 1 of what is grey, 2 of what is white: logits or class ids."""

    def __init__(self, is_logits: bool) -> None:
        super().__init__()
        self.is_logits = is_logits

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        light = images.mean(dim=1)
        logits = 40 * torch.stack([0.25 - light, 0.25 - (light - 0.5).abs(), light - 0.75], 1)
        return logits if self.is_logits else logits.argmax(dim=1)


def save_onnx(path: Path, module: torch.nn.Module) -> Path:
    shapes = ({0: torch.export.Dim("n")},)
    example = torch.rand(2, 3, SIDE, SIDE)
    program = torch.onnx.export(
        module, (example,), dynamo=True, verbose=False, dynamic_shapes=shapes
    )
    program.save(path)
    return path


def save_program(path: Path, module: torch.nn.Module) -> Path:
    shapes = ({0: torch.export.Dim("n")},)
    example = torch.rand(2, 3, SIDE, SIDE)
    torch.export.save(torch.export.export(module, (example,), dynamic_shapes=shapes), path)
    return path


@pytest.mark.parametrize(("family", "is_logits"), [("onnx", True), ("exported", False)])
def test_a_label_map_comes_back_as_masks_of_the_original_size(
    family: str, is_logits: bool, tmp_path: Path
) -> None:
    save = {"onnx": save_onnx, "exported": save_program}[family]
    path = save(tmp_path / "model", ByLight(is_logits).eval())
    for resize in ("stretch", "letterbox"):
        options = ModelOptions(
            task=Task.SEGMENT, weights=str(path), sha256=file_digest(path),
            labels=("dark", "grey", "white"),
            parameters={"resize": resize, "height": SIDE, "width": SIDE, "fill": 0,
                        "interpolation": "nearest"},
        )  # fmt: skip
        runner = Runner(resolve(f"{family}/light", options), "cpu", batch_size=4)
        runner.setup()
        rgb = np.zeros((96, 160, 3), np.uint8)
        rgb[16:48, 40:100] = 128
        rgb[60:90, 10:60] = 255
        found, empty = runner.predict([rgb, np.zeros((7, 3, 3), np.uint8)])
        assert isinstance(found, Prediction)
        assert isinstance(empty, Prediction)
        assert sorted(found.label_ids.tolist()) == [1, 2], "the background is no finding"
        assert found.masks is not None
        for label, mask in zip(found.label_ids.tolist(), found.masks, strict=True):
            assert mask["size"] == [96, 160]
            true, said = rgb[..., 0] == (128 if label == 1 else 255), decode_mask(mask)
            assert (true & said).sum() / (true | said).sum() > 0.85, (resize, label)
        assert (found.scores > 0.95).all()
        assert len(empty.label_ids) == 0


@pytest.mark.parametrize("name", ["onnx/x", "exported/x"])
def test_what_a_file_cannot_be_asked_is_said(name: str, tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(b"x")
    given = {"weights": str(path), "sha256": file_digest(path)}
    with pytest.raises(ConfigError, match=r"say what .* does \(task"):
        resolve(name, ModelOptions(**given))
    with pytest.raises(ConfigError, match="not keypoints"):
        resolve(name, ModelOptions(task=Task.KEYPOINTS, **given))
    with pytest.raises(ConfigError, match="length of the vectors"):
        resolve(name, ModelOptions(task=Task.EMBED, **given))
    with pytest.raises(ConfigError, match="resize is one of"):
        resolve(name, ModelOptions(task=Task.CLASSIFY, parameters={"resize": "zoom"}, **given))
    with pytest.raises(ConfigError, match="layout is one of"):
        resolve(name, ModelOptions(task=Task.DETECT, parameters={"layout": "ssd"}, **given))
