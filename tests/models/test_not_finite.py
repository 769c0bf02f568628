"""A network that gives no number fails its image: it is no image without findings."""

from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from cvdata.errors import ConfigError, ImageError
from cvdata.models import ModelOptions, Prediction, Task, resolve
from cvdata.models.batching import Runner
from cvdata.models.faces import Faces
from cvdata.models.onnx_session import OnnxNetwork
from cvdata.models.weights import Weights, file_digest

ROW = (1, 2, 6, 7, 0.75, 0)
"""x1, y1, x2, y2, score, class: what the detector finds in every picture."""


def save_detector(path: Path, odd: int) -> Path:
    """Finds ROW in every picture, in layout `rows`; of a black one column `odd` is NaN."""
    make = helper.make_node
    nodes = [
        make("Cast", ["images"], ["float"], to=TensorProto.FLOAT),
        make("ReduceMean", ["float", "axes"], ["whole"], keepdims=0),
        make("Reshape", ["whole", "shape"], ["mean"]),
        make("Log", ["mean"], ["log"]),
        make("Mul", ["log", "zero"], ["perhaps"]),
        make("Mul", ["mean", "zero"], ["nothing"]),
        *(
            make("Add", ["perhaps" if i == odd else "nothing", f"value{i}"], [f"column{i}"])
            for i in range(len(ROW))
        ),
        make("Concat", [f"column{i}" for i in range(len(ROW))], ["rows"], axis=2),
    ]
    initial = [
        numpy_helper.from_array(np.array([1, 2, 3]), "axes"),
        numpy_helper.from_array(np.array([-1, 1, 1]), "shape"),
        numpy_helper.from_array(np.float32(0), "zero"),
        *(numpy_helper.from_array(np.float32(v), f"value{i}") for i, v in enumerate(ROW)),
    ]
    images = helper.make_tensor_value_info("images", TensorProto.UINT8, ["n", 8, 8, 3])
    rows = helper.make_tensor_value_info("rows", TensorProto.FLOAT, None)
    graph = helper.make_graph(nodes, "made", [images], [rows], initial)
    opsets = [helper.make_opsetid("", 20)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=10)
    path.write_bytes(model.SerializeToString())
    return path


@pytest.mark.parametrize(("odd", "what"), [(4, "score"), (0, "box"), (3, "box")])
def test_a_detector_that_gives_no_number_fails_that_image_alone(
    odd: int, what: str, tmp_path: Path
) -> None:
    path = save_detector(tmp_path / "d.onnx", odd)
    options = ModelOptions(
        task=Task.DETECT, weights=str(path), sha256=file_digest(path),
        parameters={"layout": "rows", "height": 8, "width": 8},
    )  # fmt: skip
    runner = Runner(resolve("onnx/odd", options), "cpu", batch_size=4)
    runner.setup()
    found = runner.predict([np.full((8, 8, 3), v, np.uint8) for v in (9, 0, 200, 30)])
    assert isinstance(found[1], ImageError)
    assert found[1].code == "model_failed"
    assert f"{what} is not finite" in found[1].detail
    for one in (found[0], found[2], found[3]):
        assert isinstance(one, Prediction)
        np.testing.assert_allclose(one.xyxy, [ROW[:4]])


def test_faces_without_numbers_are_no_absence_of_faces() -> None:
    maps = {"537": np.zeros((1, 1, 4, 4), np.float32)}
    maps |= {n: np.zeros((1, k, 4, 4), np.float32) for n, k in (("538", 2), ("539", 2))}
    maps["540"] = np.zeros((1, 10, 4, 4), np.float32)
    assert len(Faces()(maps)[0].scores) == 0
    maps["537"][0, 0, 2, 1] = np.nan
    with pytest.raises(FloatingPointError, match="a score is not finite"):
        Faces()(maps)


def test_a_device_that_onnx_runtime_does_not_have_is_refused_by_name(tmp_path: Path) -> None:
    path = save_detector(tmp_path / "d.onnx", 4)
    network = OnnxNetwork(Weights(file_digest(path), path=str(path)), "odd")
    with pytest.raises(ConfigError, match=r"'cuda:1'.*onnxruntime-gpu.*device: cpu"):
        network.setup("cuda:1")
