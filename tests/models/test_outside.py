"""ONNX and torch.export files of the operator's: boxes come back right, bad files are refused."""

import io
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

from cvdata.errors import ConfigError
from cvdata.image import open_image
from cvdata.kernels.nms import box_iou, nms
from cvdata.models import Model, ModelOptions, Prediction, Task, resolve
from cvdata.models.batching import Runner
from cvdata.models.exported import check_archive
from cvdata.models.onnx_session import check_onnx
from cvdata.models.weights import file_digest

SIDE = 64
BOXES = np.array([[8, 16, 40, 48], [8, 17, 41, 48], [30, 20, 60, 30], [0, 0, 64, 64]], np.float32)
SCORES = np.array([[0.9, 0.1], [0.8, 0.1], [0.2, 0.7], [0.1, 0.05]], np.float32)


def save_constant_detector(path: Path, layout: str) -> Path:
    """A detector that finds BOXES in every picture, in one of the layouts."""
    wh = BOXES[:, 2:] - BOXES[:, :2]
    cxcywh = np.concatenate([BOXES[:, :2] + wh / 2, wh], axis=1)
    arrays = {
        "yolo": [np.concatenate([cxcywh, SCORES], axis=1).T],
        "yolo_objectness": [np.concatenate([cxcywh, np.full((4, 1), 0.5), SCORES * 2], axis=1)],
        "rows": [np.concatenate([BOXES, SCORES.max(1)[:, None], SCORES.argmax(1)[:, None]], 1)],
        "boxes": [BOXES / SIDE, SCORES.max(axis=1), SCORES.argmax(axis=1).astype(np.float32)],
    }[layout]
    nodes, outputs = [], []
    # Each output is the constant plus zero times the picture's mean, once for every picture.
    nodes.append(helper.make_node("Cast", ["images"], ["float"], to=TensorProto.FLOAT))
    nodes.append(helper.make_node("ReduceMean", ["float", "axes"], ["mean"], keepdims=0))
    nodes.append(helper.make_node("Mul", ["mean", "zero"], ["nothing"]))
    initial = [
        numpy_helper.from_array(np.array([1, 2, 3]), "axes"),
        numpy_helper.from_array(np.float32(0), "zero"),
    ]
    for i, array in enumerate(arrays):
        initial.append(numpy_helper.from_array(array[None].astype(np.float32), f"value{i}"))
        shape = np.array([-1] + [1] * array.ndim)
        initial.append(numpy_helper.from_array(shape, f"shape{i}"))
        nodes.append(helper.make_node("Reshape", ["nothing", f"shape{i}"], [f"add{i}"]))
        nodes.append(helper.make_node("Add", [f"add{i}", f"value{i}"], [f"out{i}"]))
        outputs.append(helper.make_tensor_value_info(f"out{i}", TensorProto.FLOAT, None))
    images = helper.make_tensor_value_info("images", TensorProto.UINT8, ["n", SIDE, SIDE, 3])
    return save_graph(path, nodes, [images], outputs, initial)


def save_graph(path: Path, nodes, inputs, outputs, initial=(), domains=()) -> Path:
    graph = helper.make_graph(nodes, "made", inputs, outputs, list(initial))
    opsets = [helper.make_opsetid("", 20), *(helper.make_opsetid(d, 1) for d in domains)]
    path.write_bytes(
        helper.make_model(graph, opset_imports=opsets, ir_version=10).SerializeToString()
    )
    return path


def load(path: Path, task: Task, family: str = "onnx", **parameters: object) -> Runner:
    options = ModelOptions(
        task=task, weights=str(path), sha256=file_digest(path), labels=("cat", "dog"),
        min_score=0.15, parameters=parameters,
    )  # fmt: skip
    runner = Runner(resolve(f"{family}/made", options), "cpu", batch_size=4)
    runner.setup()
    return runner


@pytest.mark.parametrize("layout", ["yolo", "yolo_objectness", "rows", "boxes"])
@pytest.mark.parametrize("resize", ["letterbox", "stretch"])
@pytest.mark.parametrize("shape", [(64, 64), (480, 640), (100, 37), (3, 2), (1, 1)])
def test_boxes_come_back_to_original_pixels(
    layout: str, resize: str, shape: tuple[int, int], tmp_path: Path
) -> None:
    path = save_constant_detector(tmp_path / "d.onnx", layout)
    parameters = {"layout": layout, "resize": resize, "height": SIDE, "width": SIDE,
                  "is_relative": layout == "boxes"}  # fmt: skip
    runner = load(path, Task.DETECT, **parameters)
    height, width = shape
    found = runner.predict([np.zeros((height, width, 3), np.uint8)] * 5)
    # By hand: a letterbox keeps the aspect and centres, a stretch does not.
    if resize == "letterbox":
        scale = min(SIDE / height, SIDE / width)
        inner = np.array([max(round(width * scale), 1), max(round(height * scale), 1)])
    else:
        inner = np.array([SIDE, SIDE])
    offset = (SIDE - inner) // 2
    xyxy = (BOXES.reshape(-1, 2, 2) - offset) / (inner / np.array([width, height]))
    xyxy = np.clip(xyxy, 0, [width, height]).reshape(-1, 4)
    # The second box overlaps the first and is suppressed where the layout has no NMS of its own.
    expected = [0, 2] if layout.startswith("yolo") else [0, 1, 2]
    expected = [i for i in expected if (xyxy[i, 2:] > xyxy[i, :2]).all()]
    for one in found:
        assert isinstance(one, Prediction)
        np.testing.assert_allclose(one.xyxy, xyxy[expected], atol=1e-3)
        assert one.label_ids.tolist() == [SCORES[i].argmax() for i in expected]
        np.testing.assert_allclose(one.scores, [SCORES[i].max() for i in expected], atol=1e-6)


@pytest.fixture(scope="module")
def bright_box(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A detector that looks: the corners of what is not black, as one `rows` box."""

    class Bright(torch.nn.Module):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            lit = (images[:, 0] > 0.5).float()
            side = torch.arange(lit.shape[1], dtype=torch.float32)
            ys, xs = lit.amax(2), lit.amax(1)
            y0, x0 = (64 - ((64 - side) * v).amax(1) for v in (ys, xs))
            y1, x1 = (((side + 1) * v).amax(1) for v in (ys, xs))
            one, zero = lit.amax((1, 2)), torch.zeros_like(x0)
            return torch.stack([x0, y0, x1, y1, one, zero], 1)[:, None]

    program = torch.onnx.export(
        Bright().eval(), (torch.zeros(2, 3, 64, 64),), dynamo=True, verbose=False,
        dynamic_shapes=({0: torch.export.Dim("n")},),
    )  # fmt: skip
    path = tmp_path_factory.mktemp("onnx") / "b.onnx"
    program.save(path)
    return path


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_rotated_photo_gives_boxes_of_the_upright_image(
    orientation: int, bright_box: Path
) -> None:
    runner = load(bright_box, Task.DETECT, resize="letterbox",
                  height=64, width=64, fill=0)  # fmt: skip
    stored = np.zeros((320, 480, 3), np.uint8)
    stored[40:120, 100:300] = 255
    buffer = io.BytesIO()
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(stored).save(buffer, "PNG", exif=exif)
    image = open_image(buffer.getvalue())
    lit = np.argwhere(image.rgb[..., 0] > 128)
    (y0, x0), (y1, x1) = lit.min(axis=0), lit.max(axis=0) + 1
    found = runner.predict([image.rgb])[0]
    assert isinstance(found, Prediction)
    scale = max(image.rgb.shape[:2]) / 64
    np.testing.assert_allclose(found.xyxy[0], [x0, y0, x1, y1], atol=scale)
    assert runner.model.labels[found.label_ids[0]] == "cat"


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 60), st.integers(0, 2**32 - 1), st.floats(0.05, 0.95))
def test_nms_and_iou_equal_torchvision(n: int, seed: int, iou: float) -> None:
    from torchvision.ops import box_iou as theirs_iou
    from torchvision.ops import nms as theirs

    rng = np.random.default_rng(seed)
    corner = rng.integers(0, 40, (n, 2))
    xyxy = np.concatenate([corner, corner + rng.integers(1, 30, (n, 2))], 1).astype(np.float32)
    scores = rng.permutation(n).astype(np.float32) / max(n, 1)
    boxes = torch.from_numpy(xyxy).double()
    np.testing.assert_allclose(box_iou(xyxy, xyxy), theirs_iou(boxes, boxes), atol=1e-12)
    kept = nms(xyxy, scores, np.zeros(n, int), iou)
    assert kept.tolist() == theirs(boxes, torch.from_numpy(scores).double(), iou).tolist()
    classes = rng.integers(0, 3, n)
    by_class = [set(np.flatnonzero(classes == c)[nms(xyxy[classes == c], scores[classes == c],
                np.zeros((classes == c).sum(), int), iou)]) for c in range(3)]  # fmt: skip
    assert set(nms(xyxy, scores, classes, iou)) == set().union(*by_class)


def test_float_input_gets_normalised_pixels_in_the_channel_order_asked(tmp_path: Path) -> None:
    nodes = [helper.make_node("ReduceMean", ["x", "axes"], ["y"], keepdims=0)]
    axes = numpy_helper.from_array(np.array([2, 3]), "axes")
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 3, 8, 8])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 3])
    path = save_graph(tmp_path / "m.onnx", nodes, [x], [y], [axes])
    runner = load(path, Task.EMBED, height=8, width=8, dimension=3, channels="bgr",
                  mean=[0.5, 0.25, 0], std=[1, 0.5, 2])  # fmt: skip
    rgb = np.full((8, 8, 3), (51, 102, 204), np.uint8)
    bgr = (np.array([204, 102, 51]) / 255 - [0.5, 0.25, 0]) / [1, 0.5, 2]
    np.testing.assert_allclose(runner.predict([rgb])[0], bgr / np.linalg.norm(bgr), rtol=1e-5)


class TestRefused:
    """What is refused, though its sha256 is right."""

    def test_external_data(self, tmp_path: Path) -> None:
        big = numpy_helper.from_array(np.ones((8, 8), np.float32), "w")
        x = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 8])
        y = helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 8])
        graph = helper.make_graph(
            [helper.make_node("MatMul", ["x", "w"], ["y"])], "made", [x], [y], [big]
        )
        path = tmp_path / "e.onnx"
        onnx.save_model(
            helper.make_model(graph), path, save_as_external_data=True, size_threshold=0
        )
        with pytest.raises(ConfigError, match="keeps the tensor 'w' in another file"):
            check_onnx(path)

    def test_external_data_inside_a_branch(self, tmp_path: Path) -> None:
        tensor = numpy_helper.from_array(np.ones(2, np.float32), "hidden")
        tensor.data_location = TensorProto.EXTERNAL
        entry = tensor.external_data.add()
        entry.key, entry.value = "location", "../../etc/passwd"
        out = helper.make_tensor_value_info("o", TensorProto.FLOAT, None)
        branch = helper.make_graph(
            [helper.make_node("Constant", [], ["o"], value=tensor)], "b", [], [out]
        )
        node = helper.make_node("If", ["c"], ["y"], then_branch=branch, else_branch=branch)
        c = helper.make_tensor_value_info("c", TensorProto.BOOL, [])
        y = helper.make_tensor_value_info("y", TensorProto.FLOAT, None)
        path = save_graph(tmp_path / "i.onnx", [node], [c], [y])
        with pytest.raises(ConfigError, match="'hidden' in another file"):
            check_onnx(path)

    def test_custom_operators(self, tmp_path: Path) -> None:
        x = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 8])
        y = helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 8])
        node = helper.make_node("Run", ["x"], ["y"], domain="evil.ops")
        path = save_graph(tmp_path / "c.onnx", [node], [x], [y], domains=["evil.ops"])
        with pytest.raises(ConfigError, match=r"evil\.ops\.Run"):
            check_onnx(path)

    def test_no_onnx_at_all(self, tmp_path: Path) -> None:
        path = tmp_path / "n.onnx"
        path.write_bytes(b"\xff" * 100)
        with pytest.raises(ConfigError, match="is not an ONNX file"):
            check_onnx(path)

    def test_without_or_with_a_wrong_sha256(self, tmp_path: Path) -> None:
        path = save_constant_detector(tmp_path / "d.onnx", "rows")
        with pytest.raises(ConfigError, match=file_digest(path)):
            resolve("onnx/d", ModelOptions(task=Task.DETECT, weights=str(path)))
        with pytest.raises(ConfigError, match="is not the weights of"):
            resolve("onnx/d", ModelOptions(task=Task.DETECT, weights=str(path), sha256="0" * 64))
        with pytest.raises(ConfigError, match="did you mean 'layout'"):
            load(path, Task.DETECT, layuot="rows")


class Negative(torch.nn.Module):
    """An image model: the negative."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return 1 - images


class Mean(torch.nn.Module):
    """uint8 NHWC -> mean colour, as a dict."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = torch.nn.Parameter(torch.tensor(2.0))

    def forward(self, images: torch.Tensor) -> dict[str, torch.Tensor]:
        return {"colour": images.float().mean(dim=(1, 2)) * self.scale}


def export(path: Path, module: torch.nn.Module, example: torch.Tensor, is_free: bool) -> Path:
    shapes = ({0: torch.export.Dim("n")},) if is_free else None
    torch.export.save(torch.export.export(module, (example,), dynamic_shapes=shapes), path)
    return path


@pytest.mark.parametrize("is_free", [True, False])
def test_an_exported_image_model_gives_images(is_free: bool, tmp_path: Path) -> None:
    example = torch.zeros(2 if is_free else 1, 3, 6, 5)
    path = export(tmp_path / "h.pt2", Negative(), example, is_free)
    runner = load(path, Task.IMAGE, "exported", height=6, width=5)
    images = [np.random.default_rng(i).integers(0, 256, (6, 5, 3), np.uint8) for i in range(3)]
    for rgb, found in zip(images, runner.predict(images), strict=True):
        assert isinstance(found, Prediction)
        np.testing.assert_array_equal(found.image, 255 - rgb)


def test_an_exported_encoder_with_named_outputs(tmp_path: Path) -> None:
    path = export(tmp_path / "m.pt2", Mean(), torch.zeros(2, 6, 5, 3, dtype=torch.uint8), True)
    runner = load(path, Task.EMBED, "exported", height=6, width=5, dimension=3,
                  outputs=["colour"])  # fmt: skip
    rgb = np.full((6, 5, 3), (3, 4, 0), np.uint8)
    np.testing.assert_allclose(runner.predict([rgb])[0], [0.6, 0.8, 0], atol=1e-6)


def rewrite(path: Path, change: Callable[[str, bytes], bytes], extra: dict[str, bytes]) -> Path:
    """A copy of an archive with members changed and added."""
    target = path.with_name("changed.pt2")
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(target, "w") as new:
        root = old.namelist()[0].partition("/")[0]
        for name in old.namelist():
            new.writestr(name, change(name, old.read(name)))
        for name, data in extra.items():
            new.writestr(f"{root}/{name}", data)
    return target


def test_archives_that_could_run_code_are_refused(tmp_path: Path) -> None:
    import pickle

    path = export(tmp_path / "m.pt2", Mean(), torch.zeros(2, 6, 5, 3, dtype=torch.uint8), True)
    check_archive(path)
    same = lambda name, data: data  # noqa: E731
    for member in ("data/constants/custom_obj_0", "data/constants/opaque_obj_0",
                   "data/aotinductor/model/x.so", "data/weights/model.pt"):  # fmt: skip
        with pytest.raises(ConfigError, match="refused"):
            check_archive(rewrite(path, same, {member: b""}))

    def pickled(name: str, data: bytes) -> bytes:
        return data.replace(b'"use_pickle": false', b'"use_pickle": true')

    with pytest.raises(ConfigError, match="pickles scale"):
        check_archive(rewrite(path, pickled, {}))

    class Evil:
        def __reduce__(self) -> tuple:
            return (Path.touch, (tmp_path / "ran",))

    buffer = io.BytesIO()
    torch.save([Evil()], buffer)

    def poisoned(name: str, data: bytes) -> bytes:
        return buffer.getvalue() if "sample_inputs" in name else data

    with pytest.raises(ConfigError, match="no tensors"):
        check_archive(rewrite(path, poisoned, {}))
    assert not (tmp_path / "ran").exists()
    assert pickle.dumps(1)
    (tmp_path / "text").write_text("no zip")
    with pytest.raises(ConfigError, match=r"no torch\.export archive"):
        check_archive(tmp_path / "text")


def test_models_pickle_for_workers(tmp_path: Path) -> None:
    import pickle

    path = save_constant_detector(tmp_path / "d.onnx", "rows")
    model: Model = load(path, Task.DETECT, height=64, width=64).model
    again = pickle.loads(pickle.dumps(model))  # noqa: S301  our own bytes
    assert again.fingerprint == model.fingerprint
    again.setup("cpu")
    assert len(again(np.zeros((2, 64, 64, 3), np.uint8))) == 2
