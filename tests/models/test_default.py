"""The default model: right on real images, equal to torchvision, quick to import."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cvdata.models import Model, ModelOptions, Task, resolve
from cvdata.models.batching import Runner
from cvdata.models.onnx_export import INPUT, cached_path, find_cached
from cvdata.models.onnx_session import only, open_session
from tests.models.conftest import default_model


def test_top1_and_top5_on_imagenet(imagenet: list[np.ndarray]) -> None:
    runner = Runner(default_model(Task.CLASSIFY), "cpu", batch_size=8)
    runner.setup()
    predictions = runner.predict(imagenet)
    truth = 2 * np.arange(500)
    ids = np.stack([p.label_ids for p in predictions])
    assert np.mean(ids[:, 0] == truth) == pytest.approx(0.838, abs=0.02)
    assert np.mean((ids == truth[:, None]).any(axis=1)) == pytest.approx(0.964, abs=0.015)
    scores = np.stack([p.scores for p in predictions])
    assert (np.diff(scores, axis=1) <= 0).all()
    assert ((scores >= 0) & (scores <= 1)).all()
    assert runner.model.labels[0] == "tench"


def test_embeddings_equal_a_plain_torchvision_loop(
    encoder: Model, imagenet: list[np.ndarray]
) -> None:
    images = imagenet[::10]
    ours = np.stack(Runner(encoder, "cpu", batch_size=8).predict(images))
    theirs = torchvision_embeddings(images)
    assert ours.shape == (50, 1280) == (50, encoder.dimension)
    assert ours.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(ours, axis=1), 1, atol=1e-6)
    assert (ours * theirs).sum(axis=1).min() >= 0.9999
    np.testing.assert_allclose(ours, theirs, atol=1e-4)


def test_only_what_is_asked_for_is_computed(imagenet: list[np.ndarray]) -> None:
    network = default_model(Task.EMBED).network
    found = find_cached(network.source.identity)
    assert found is not None
    images = np.stack([np.asarray(Image.fromarray(i).resize((224, 224))) for i in imagenet[:3]])
    whole, part = open_session(found[0], "cpu"), open_session(only(found[0], ["embedding"]), "cpu")
    assert [o.name for o in part.get_outputs()] == ["embedding"]
    assert len(only(found[0], ["embedding"])) < found[0].stat().st_size - 4 * 1000 * 1280
    vectors = [s.run(["embedding"], {INPUT: images})[0] for s in (whole, part)]
    np.testing.assert_array_equal(*vectors)


def torchvision_embeddings(images: list[np.ndarray]) -> np.ndarray:
    """What anyone would write: torchvision's model, weights and transforms, in eager torch."""
    import torch
    from torchvision.models import MobileNet_V2_Weights, mobilenet_v2

    from cvdata.models.from_torchvision import DEFAULT_WEIGHTS
    from cvdata.models.weights import locate

    model = mobilenet_v2()
    path = locate(DEFAULT_WEIGHTS, "default").path
    model.load_state_dict(torch.load(path, weights_only=True))
    model.classifier = torch.nn.Identity()
    model.eval()
    transforms = MobileNet_V2_Weights.IMAGENET1K_V1.transforms()
    with torch.inference_mode():
        batch = torch.stack([transforms(Image.fromarray(rgb)) for rgb in images])
        return torch.nn.functional.normalize(model(batch), dim=1).numpy()


@pytest.mark.parametrize("task", [Task.EMBED, Task.CLASSIFY])
def test_onnx_equals_torch(task: Task, imagenet: list[np.ndarray]) -> None:
    from cvdata.models.assembly import Execution

    onnx, torch = (
        default_model(task, execution=Execution(runtime=name)) for name in ("onnx", "torch")
    )
    assert onnx.fingerprint == torch.fingerprint
    results = []
    for model in (onnx, torch):
        runner = Runner(model, "cpu", batch_size=8)
        runner.setup()
        found = runner.predict(imagenet[:16])
        results.append(np.stack(found if task is Task.EMBED else [p.scores for p in found]))
    np.testing.assert_allclose(*results, atol=1e-4)


def test_importing_and_resolving_needs_no_torch() -> None:
    code = (
        "import sys, cvdata.models as m\n"
        "for name in ('torch', 'onnxruntime', 'onnx', 'ray'):\n"
        "    assert name not in sys.modules, name\n"
        "m.resolve('default', m.ModelOptions(weights='random'))\n"
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_worker_with_the_export_at_hand_needs_no_torch(encoder: Model, model_cache: Path) -> None:
    code = (
        "import sys, numpy as np, cvdata.models as m\n"
        "model = m.resolve('default'); model.setup('cpu')\n"
        "assert model(np.zeros((2, 224, 224, 3), np.uint8)).shape == (2, 1280)\n"
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_damaged_export_is_made_anew(encoder: Model, tmp_path: Path, monkeypatch) -> None:
    identity = encoder.network.source.identity  # type: ignore[attr-defined]
    kept = cached_path(identity)
    monkeypatch.setenv("CVDATA_CACHE", str(tmp_path))
    copy = cached_path(identity)
    copy.parent.mkdir(parents=True)
    copy.with_suffix(".json").write_bytes(kept.with_suffix(".json").read_bytes())
    copy.write_bytes(kept.read_bytes())
    assert find_cached(identity) is not None
    copy.write_bytes(kept.read_bytes()[:-1] + b"\0")
    assert find_cached(identity) is None


def test_fingerprint_moves_with_what_changes_results_and_with_nothing_else() -> None:
    from cvdata.models.assembly import Execution

    def of(**options: object) -> str:
        return resolve("default", ModelOptions(weights="random", **options)).fingerprint  # type: ignore[arg-type]

    base = of()
    assert base == of() == of(execution=Execution(runtime="torch", threads=2, compile=True))
    others = [
        of(seed=1),
        of(task=Task.CLASSIFY),
        of(task=Task.CLASSIFY, top_k=3),
        of(execution=Execution(precision="bfloat16")),
    ]
    assert len({base, *others}) == 5
