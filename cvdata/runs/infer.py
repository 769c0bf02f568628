"""A model as a job uses it: what the operator says of it, where it runs, the table it feeds."""

import pickle
from dataclasses import replace
from pathlib import Path
from typing import Any

from pydantic import Field

from cvdata.config import Frozen
from cvdata.engine.session import Session
from cvdata.errors import ConfigError
from cvdata.image import Limits
from cvdata.models import MODELS, ModelOptions, Task, resolve
from cvdata.models.assembly import Execution
from cvdata.models.base import device_name
from cvdata.parts import PartSpec
from cvdata.runs.filling import Cost, Filling, FillOptions, Work, fill_tables
from cvdata.stages.base import Resources
from cvdata.stages.predict import Inference, Predict
from cvdata.workspace import Change

WORKERS_PER_GPU = 4
"""Workers that share a GPU where nothing else is asked: one decodes while another computes."""
DECODE_SECONDS, MODEL_SECONDS, PREDICTION_BYTES = 0.003, 0.02, 300
WORKER_BYTES = 2_000_000_000


class ModelSettings(Frozen):
    """How a model is made and run."""

    weights: str | None = None
    """A file, an https URL, a published name such as IMAGENET1K_V2, or `random` (for tests)."""
    sha256: str | None = None
    """Hex sha256 of a weights file or URL."""
    labels: list[str] = Field([])
    """Class names by id, where the weights do not have them."""
    min_score: float | None = Field(None, ge=0, le=1)
    """Least score of a finding; the model's own where it is not given."""
    parameters: dict[str, Any] = Field({})
    """Of an onnx/ or exported/ model (docs/models.md), or arguments of your own class."""
    seed: int = 0
    """Of random weights."""
    runtime: str = "auto"
    """onnx, torch, or auto: ONNX Runtime for classifiers on a CPU, torch elsewhere."""
    precision: str = "float32"
    """float32, float16 or bfloat16 on the device; anything but float32 makes another table."""
    compile: bool = False
    """torch.compile on a GPU."""
    threads: int = Field(1, ge=1)
    """CPU threads of the model in a worker."""
    allow_download: bool = False
    """Fetch weights that are not on this machine."""
    batch_size: int = Field(0, ge=0)
    """Images a batch; 0 finds it on the first images of a worker."""
    gpus: float | None = Field(None, ge=0)
    """GPUs a worker, parts allowed; not given: a quarter where torch sees a GPU, else none."""

    def options(self, task: Task | None, top_k: int = 5) -> ModelOptions:
        """As the catalogue takes them."""
        return ModelOptions(
            task,
            self.weights,
            self.sha256,
            top_k,
            self.min_score,
            tuple(self.labels),
            self.seed,
            Execution(
                self.runtime, self.precision, self.compile, self.threads, self.allow_download
            ),
            self.parameters,
        )


def plan_inference(
    change: Change, name: str, options: ModelOptions, limits: Limits, *, is_refresh: bool = False
) -> Inference:
    """The model, resolved, and the table to keep complete; `ConfigError` where it cannot be run.

    A refreshed table keeps its generation in later runs: what it holds is not computed again.
    """
    model = resolve(name, options)
    inference = Inference(model, name, limits)
    held = change.base.tables.get(inference.table)
    generation = int(held.meta["generation"]) if held else 0
    return replace(inference, generation=generation + is_refresh)


def placed(inference: Inference, settings: ModelSettings) -> Inference:
    """The same on the device that there is."""
    gpus = settings.gpus
    if gpus is None:
        gpus = 1 / WORKERS_PER_GPU if has_gpu() else 0.0
    return replace(
        inference,
        device="cuda" if gpus else "cpu",
        batch_size=settings.batch_size,
        resources=Resources(float(settings.threads), gpus, WORKER_BYTES),
    )


def has_gpu() -> bool:
    """Whether torch sees a GPU here; torch is not even imported where there is no driver."""
    is_driven = any(Path(p).exists() for p in ("/dev/nvidiactl", "/dev/kfd", "/dev/dxg"))
    return is_driven and device_name("auto") == "cuda"


def make_ready(inference: Inference) -> None:
    """Load a copy here once: what cannot work fails before any worker starts.

    It also leaves the ONNX export in the cache, which workers would make at the same time. Skipped
    for a GPU, which the driver's machine need not have.
    """
    try:
        copy = pickle.loads(pickle.dumps(inference.model))  # noqa: S301  our own bytes
    except (pickle.PicklingError, AttributeError, TypeError) as error:
        raise ConfigError(f"{inference.name} cannot travel to workers: {error}") from error
    if inference.device == "cpu":
        copy.setup("cpu")


def spec_of(inference: Inference) -> PartSpec:
    """The table's name, fingerprint and schema."""
    (columns,) = inference.schemas.values()
    return PartSpec(inference.table, inference.fingerprint, columns)


def describe(inference: Inference) -> dict[str, object]:
    """What a commit keeps of the model."""
    model = inference.model
    return {
        "model": model.name,
        "task": str(model.task),
        "dimension": model.dimension,
        "licence": model.licence,
        "weights": model.weights_digest,
        "generation": inference.generation,
    }


def cost_of(inference: Inference) -> Cost:
    """What an image costs the model, decode left out."""
    entry = next((e for e in MODELS if e.name == inference.model.name), None)
    speed = entry.speed if entry else None
    dimension = inference.model.dimension
    row_bytes = 4 * dimension if dimension else PREDICTION_BYTES
    columns = len(spec_of(inference).schema)
    return Cost(2 / speed if speed else MODEL_SECONDS, row_bytes, columns)


def infer(change: Change, session: Session, inference: Inference, options: FillOptions) -> Work:
    """Compute what the model's table lacks."""

    def stage(_: tuple[str, ...]) -> Predict:
        make_ready(inference)
        return Predict(inference, options.confinement)

    cost = cost_of(inference) + Cost(DECODE_SECONDS, 0, 0)
    tables = [(spec_of(inference), describe(inference))]
    return fill_tables(change, session, Filling(tables, stage, cost), options)
