"""Boxes, masks and keypoints through the job: rows equal a direct call, in original pixels."""

import json
from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

from cvdata import Workspace
from cvdata.evaluate import Objects, coco_scores
from cvdata.image import open_image
from cvdata.measures import build
from cvdata.models import ModelOptions, resolve
from cvdata.models.restoring import decode_mask
from cvdata.models.weights import file_digest
from tests.jobs.flows import cvdata, make_photos
from tests.models.test_dense import DETECTORS, direct
from tests.models.test_outside import save_graph

BUILDERS = (
    "ssdlite320_mobilenet_v3_large",
    "maskrcnn_resnet50_fpn",
    "keypointrcnn_resnet50_fpn",
)


def _by_key(where: Path, table: str) -> dict[str, dict]:
    workspace = Workspace(str(where))
    assert workspace.verify() == []
    keys = workspace.read("records", ["image_id", "key"])["key"].to_pylist()
    rows = workspace.read(table).to_pylist()
    return {key.decode(): row for key, row in zip(keys, rows, strict=True)}


@pytest.mark.parametrize("builder", BUILDERS)
def test_rows_of_torchvision_equal_a_direct_call(builder: str, tmp_path: Path) -> None:
    photos, where, config = tmp_path / "photos", tmp_path / "w", tmp_path / "infer.yaml"
    make_photos(photos, range(2))
    make_photos(photos, range(2, 3), size=(70, 110))
    asked = {"weights": "random", "seed": 3, "parameters": DETECTORS[builder]}
    config.write_text(json.dumps(asked))
    cvdata("ingest", photos, "--workspace", where)
    name = f"torchvision/{builder}"
    assert cvdata("infer", "--workspace", where, "--model", name, "--config", config) == 0
    rows = _by_key(where, f"predictions/torchvision-{builder}")
    images = [open_image((photos / key).read_bytes()).rgb.copy() for key in sorted(rows)]
    model = resolve(name, ModelOptions(**asked))
    n_found = 0
    for key, expected in zip(sorted(rows), direct(builder, model.labels, images), strict=True):
        row, order = rows[key], np.argsort(-expected["scores"].numpy(), kind="stable")
        assert row["label_ids"] == expected["labels"].numpy()[order].tolist()
        np.testing.assert_allclose(row["scores"], expected["scores"].numpy()[order], atol=1e-5)
        xyxy = expected["boxes"].numpy()[order]
        np.testing.assert_allclose(np.reshape(row["xyxy"], (-1, 4)), xyxy, atol=1e-3)
        n_found += len(xyxy)
        if "keypoints" in expected:
            points = expected["keypoints"].numpy()[order][..., :2]
            np.testing.assert_allclose(np.array(row["keypoints"])[..., :2], points, atol=1e-3)
        if "masks" in expected:
            masks = expected["masks"].numpy()[order, 0] > 0.5
            found = np.array([decode_mask(mask) for mask in row["masks"]])
            assert np.mean(found != masks) <= 1e-3
    assert n_found > 0


def test_label_maps_of_torchvision_are_masks_of_the_original_size(tmp_path: Path) -> None:
    photos, where = tmp_path / "photos", tmp_path / "w"
    make_photos(photos, range(2))
    cvdata("ingest", photos, "--workspace", where)
    name = "torchvision/lraspp_mobilenet_v3_large"
    words = ("--model", name, "--weights", "random", "--seed", "1")
    assert cvdata("infer", "--workspace", where, *words) == 0
    model = resolve(name, ModelOptions(weights="random", seed=1))
    model.setup("cpu")
    for key, row in _by_key(where, "predictions/torchvision-lraspp_mobilenet_v3_large").items():
        prepared = model.prepare(open_image((photos / key).read_bytes()).rgb)
        (expected,) = model([prepared.pixels])  # type: ignore[operator]
        assert row["label_ids"] == expected.label_ids.tolist()
        total = np.zeros((72, 96), int)
        for mask in row["masks"]:
            assert mask["size"] == [72, 96]
            total += decode_mask(mask)
        assert total.max() <= 1, "a pixel has one class"


def save_white_finder(path: Path, side: int) -> Path:
    """A detector whose one box is where the picture is white: first and last bright line."""
    axes = {"rows": [2, 3], "columns": [1, 3]}
    nodes = [helper.make_node("Cast", ["images"], ["float"], to=TensorProto.FLOAT)]
    initial = [numpy_helper.from_array(np.float32(128), "half")]
    ends = []
    for name, others in axes.items():
        initial.append(numpy_helper.from_array(np.array(others), f"{name}_axes"))
        nodes += [
            helper.make_node("ReduceMax", ["float", f"{name}_axes"], [f"{name}_max"], keepdims=0),
            helper.make_node("Greater", [f"{name}_max", "half"], [f"{name}_on"]),
            helper.make_node("Cast", [f"{name}_on"], [f"{name}_1"], to=TensorProto.INT32),
            helper.make_node("ArgMax", [f"{name}_1"], [f"{name}_first"], axis=1, keepdims=1),
            helper.make_node(
                "ArgMax", [f"{name}_1"], [f"{name}_last"], axis=1, keepdims=1, select_last_index=1
            ),
        ]
        ends.append((f"{name}_first", f"{name}_last"))
    initial += [
        numpy_helper.from_array(np.array([1]), "one"),
        numpy_helper.from_array(np.array([[0.9, 1.0]], np.float32), "certain"),
        numpy_helper.from_array(np.array([1]), "axis"),
    ]
    (y0, y1), (x0, x1) = ends
    nodes += [
        helper.make_node("Add", [x1, "one"], ["x_end"]),
        helper.make_node("Add", [y1, "one"], ["y_end"]),
        helper.make_node("Concat", [x0, y0, "x_end", "y_end"], ["whole"], axis=1),
        helper.make_node("Cast", ["whole"], ["corners"], to=TensorProto.FLOAT),
        helper.make_node("Shape", ["images"], ["n"], start=0, end=1),
        helper.make_node("Concat", ["n", "one"], ["times"], axis=0),
        helper.make_node("Tile", ["certain", "times"], ["facts"]),
        helper.make_node("Concat", ["corners", "facts"], ["row"], axis=1),
        helper.make_node("Unsqueeze", ["row", "axis"], ["found"]),
    ]
    images = helper.make_tensor_value_info("images", TensorProto.UINT8, ["n", side, side, 3])
    found = helper.make_tensor_value_info("found", TensorProto.FLOAT, None)
    return save_graph(path, nodes, [images], [found], initial)


def _planted(folder: Path) -> dict[str, list[int]]:
    """Dark pictures with one white box, by name: wide, tall, turned by EXIF, tiny, huge aspect."""
    folder.mkdir()
    truth = {}
    plans = {
        "wide": ((300, 100), (30, 20, 180, 80), 1),
        "tall": ((90, 250), (10, 40, 70, 230), 1),
        "turned": ((240, 120), (20, 30, 100, 90), 6),
        "mirrored": ((240, 120), (20, 30, 100, 90), 7),
        "upside": ((200, 200), (20, 60, 100, 90), 3),
        "tiny": ((5, 3), (1, 1, 4, 2), 1),
        "dot": ((1, 1), (0, 0, 1, 1), 1),
        "strip": ((900, 20), (100, 4, 500, 16), 1),
    }
    for name, (size, box, orientation) in plans.items():
        picture = Image.new("RGB", size)
        picture.paste((255, 255, 255), box)
        exif = Image.Exif()
        exif[0x0112] = orientation
        picture.save(folder / f"{name}.png", exif=exif)
        seen = open_image((folder / f"{name}.png").read_bytes()).rgb.max(axis=2) > 128
        ys, xs = np.flatnonzero(seen.any(axis=1)), np.flatnonzero(seen.any(axis=0))
        box_seen = (xs[0], ys[0], xs[-1] + 1, ys[-1] + 1)
        truth[f"{name}.png"] = [int(v) for v in box_seen]
    assert truth["turned.png"] != [20, 30, 100, 90], "orientation moves the box"
    return truth


@pytest.mark.parametrize("resize", ["letterbox", "stretch"])
def test_boxes_of_an_onnx_detector_lie_in_original_pixels(resize: str, tmp_path: Path) -> None:
    photos, where, side = tmp_path / "photos", tmp_path / "w", 128
    truth = _planted(photos)
    model = save_white_finder(tmp_path / "white.onnx", side)
    lines = [
        json.dumps({"path": str(photos / name), "boxes": [{"label": "dog", "xyxy": box}]})
        for name, box in truth.items()
    ]
    (tmp_path / "list.jsonl").write_text("\n".join(lines))
    cvdata("ingest", tmp_path / "list.jsonl", "--workspace", where)
    config = tmp_path / "infer.yaml"
    parameters = {"resize": resize, "height": side, "width": side, "layout": "rows", "fill": 0}
    asked = {"weights": str(model), "sha256": file_digest(model), "labels": ["cat", "dog"]}
    config.write_text(json.dumps({**asked, "parameters": parameters}))
    words = ("--model", "onnx/white", "--task", "detect", "--config", config)
    assert cvdata("infer", "--workspace", where, *words) == 0
    workspace = Workspace(str(where))
    names = [Path(u).name for u in workspace.read("records", ["uri"])["uri"].to_pylist()]
    rows = dict(zip(names, workspace.read("predictions/onnx-white").to_pylist(), strict=True))
    for name, box in truth.items():
        (found,) = rows[name]["xyxy"]
        height, width = open_image((photos / name).read_bytes()).rgb.shape[:2]
        longest = max(width / side, height / side)
        step = longest if resize == "letterbox" else np.array([width, height] * 2) / side
        assert (np.abs(np.array(found) - box) <= 1.5 * step + 0.02).all(), name
        assert rows[name]["labels"] == ["dog"]
    metrics = workspace.read("metrics/onnx-white").to_pylist()
    numbers = {row["metric"]: row["value"] for row in metrics if row["scope"] == "all"}
    objects = [
        [Objects(np.array([1]), np.array([box], float), scores) for box in boxes]
        for boxes, scores in (
            ([truth[n] for n in names], None),
            ([rows[n]["xyxy"][0] for n in names], np.array([0.9])),
        )
    ]
    oracle = coco_scores(*objects).stats
    for metric, value in oracle.items():
        assert numbers[metric] == pytest.approx(value, abs=1e-6), metric
    assert numbers["map_50"] > 0.7


def test_pictures_that_a_model_makes_come_back(tmp_path: Path) -> None:
    photos, where, path = tmp_path / "photos", tmp_path / "w", tmp_path / "negative.onnx"
    make_photos(photos, range(3), size=(64, 48))
    top = numpy_helper.from_array(np.uint8(255), "top")
    nodes = [helper.make_node("Sub", ["top", "images"], ["negative"])]
    images, negative = (
        helper.make_tensor_value_info(n, TensorProto.UINT8, ["n", 48, 64, 3])
        for n in ("images", "negative")
    )
    save_graph(path, nodes, [images], [negative], [top])
    config = tmp_path / "infer.yaml"
    sizes = {"resize": "stretch", "height": 48, "width": 64}
    asked = {"weights": str(path), "sha256": file_digest(path), "parameters": sizes}
    config.write_text(json.dumps(asked))
    cvdata("ingest", photos, "--workspace", where)
    words = ("--model", "onnx/negative", "--task", "image", "--config", config)
    assert cvdata("infer", "--workspace", where, *words) == 0
    for key, row in _by_key(where, "predictions/onnx-negative").items():
        expected = 255 - open_image((photos / key).read_bytes()).rgb
        np.testing.assert_array_equal(open_image(row["image"]).rgb, expected)
    for kind, pattern in (("imagefolder", "**/*.png"), ("webdataset", "*.tar")):
        to = ("--images-to", tmp_path / kind, "--images-format", kind)
        assert cvdata("infer", "--workspace", where, *words, *to) == 0
        assert list((tmp_path / kind).glob(pattern))
        again = tmp_path / f"w-{kind}"
        assert cvdata("ingest", tmp_path / kind, "--workspace", again) == 0
        assert cvdata("scan", "--workspace", again, "--measures", "pixel_digest") == 0
        digests = Workspace(str(again)).read("measures")["pixel_digest"].to_pylist()
        negatives = [
            open_image(row["image"]) for row in _by_key(where, "predictions/onnx-negative").values()
        ]
        expected = [build("pixel_digest")(image)["pixel_digest"] for image in negatives]
        assert sorted(digests) == sorted(expected)
    assert cvdata("infer", "--workspace", where, *words, *to[:2], "--images-format", "yolo") == 2
