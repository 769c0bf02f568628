"""A model as a job uses it: what the operator says of it, where it runs, the table it feeds."""

import math
import pickle
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from cvdata.config import Frozen
from cvdata.engine.capacity import Needs
from cvdata.engine.session import Session
from cvdata.errors import ConfigError
from cvdata.image import Limits
from cvdata.models import MODELS, ModelOptions, Task, resolve
from cvdata.models.assembly import Execution
from cvdata.models.base import device_name
from cvdata.parts import PartSpec
from cvdata.runs.estimate import Cost
from cvdata.runs.filling import Filling, FillOptions, Work, fill_tables
from cvdata.stages.base import Resources
from cvdata.stages.predict import Inference, Predict
from cvdata.tables import chunk_rows_for
from cvdata.workspace import Change

WORKERS_PER_GPU = 4
"""Workers that share a GPU where nothing else is asked: one decodes while another computes."""
DECODE_SECONDS, DECODE_BYTE_SECONDS = 0.0005, 1.5e-8
MODEL_SECONDS, PREDICTION_BYTES = 0.02, 300
WORKER_BYTES = 2_000_000_000
BLOCK_BYTES, UNSIZED_BYTES = 128 << 20, 2 << 20


@dataclass(frozen=True)
class Request:
    """A model by name, what is asked of it, and how its table is kept.

    `table` names the table in place of `model`; `is_refresh` computes every row anew, `is_replace`
    lets the answers to another question go.
    """

    model: str
    options: ModelOptions
    table: str = ""
    is_refresh: bool = False
    is_replace: bool = False


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
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where the model runs. auto: the GPU that a worker was given and torch sees, else the CPU;
    cuda: never the CPU."""
    gpus: float | None = Field(None, ge=0)
    """GPUs a worker, parts allowed; not given: one, or a quarter with `pipeline: tasks`, where
    torch sees a GPU here, else none."""
    pipeline: Literal["auto", "tasks", "actors"] = "auto"
    """actors: tasks on CPUs decode and resize, actors with the model take what they prepared.
    tasks: each task does both. auto: actors where a worker has a GPU."""
    actors: int = Field(0, ge=0)
    """Actors of the pipeline; 0: as many as the GPUs hold, one without GPUs."""
    table: str = ""
    """Name of the table, in place of the model's: two questions to one model stand beside each
    other."""
    replace: bool = False
    """Give up what the table holds where it answers another question (task, top_k, min_score,
    labels, parameters)."""

    def request(self, model: str, task: Task | None, top_k: int = 5) -> Request:
        """The model so called, asked for this task; `is_refresh` is the job's to set."""
        return Request(model, self.options(task, top_k), self.table, is_replace=self.replace)

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


def plan_inference(change: Change, request: Request, limits: Limits) -> Inference:
    """The model, resolved, and the table to keep complete; `ConfigError` where it cannot be run.

    A table answers one question. New weights replace what it held, which the next comparison tells
    of; another question is refused unless asked for. A refreshed table keeps its generation in
    later runs: what it holds is not computed again.
    """
    model = resolve(request.model, request.options)
    inference = Inference(model, request.table or request.model, limits)
    inference = replace(inference, question=question(model.task, request.options))
    held = change.base.tables.get(inference.table)
    if held is not None and not request.is_replace:
        _refuse_another(inference, held.meta)
    generation = int(held.meta["generation"]) if held else 0
    return replace(inference, generation=generation + request.is_refresh)


def question(task: Task, options: ModelOptions) -> dict[str, Any]:
    """What of the options makes rows mean something else: not weights, device or threads."""
    asked: dict[str, Any] = {"task": str(task)}
    if task is Task.CLASSIFY:
        asked["top_k"] = options.top_k
    if options.min_score is not None:
        asked["min_score"] = options.min_score
    if options.labels:
        asked["labels"] = list(options.labels)
    if options.parameters:
        asked["parameters"] = dict(options.parameters)
    return asked


def _refuse_another(inference: Inference, held: Mapping[str, Any]) -> None:
    """So that nothing is lost by asking a second question under the name of the first."""
    before = held.get("question", inference.question)
    if before == inference.question:
        return
    told = [
        ", ".join(f"{k} {v}" for k, v in sorted(q.items()) if others.get(k) != v) or "no more"
        for q, others in ((before, inference.question), (inference.question, before))
    ]
    raise ConfigError(
        f"{inference.table} answers another question ({told[0]}; now {told[1]}): give a `table` "
        "name of its own (--table NAME) to keep both, or say --replace to give up what it holds"
    )


def placed(inference: Inference, settings: ModelSettings) -> Inference:
    """The same on the device that there is, in one task or apart from the decode."""
    gpus = settings.gpus
    if gpus is None:
        share = 1 / WORKERS_PER_GPU if settings.pipeline == "tasks" else 1.0
        gpus = share if settings.device != "cpu" and has_gpu() else 0.0
    is_apart = settings.pipeline == "actors" or (settings.pipeline == "auto" and gpus > 0)
    device = settings.device
    if device == "auto" and not gpus:
        device = "cpu"
    return replace(
        inference,
        device=device,
        batch_size=settings.batch_size,
        resources=Resources(float(settings.threads), gpus, WORKER_BYTES),
        is_apart=is_apart,
        n_actors=settings.actors,
    )


def chunked(options: FillOptions, inference: Inference, n_records: int) -> FillOptions:
    """Chunks whose prepared pixels make a block of at most `BLOCK_BYTES`, where they travel."""
    if options.chunk_rows or not inference.is_apart:
        return options
    most = 1 << max(4, int(math.log2(max(BLOCK_BYTES // prepared_bytes(inference), 1))))
    return replace(options, chunk_rows=min(chunk_rows_for(n_records), most))


def prepared_bytes(inference: Inference) -> int:
    """Bytes of an image as the model takes it."""
    size = inference.model.size
    return 3 * size[0] * size[1] if size else UNSIZED_BYTES


def needs_of(inference: Inference) -> Needs:
    """What its workers need: of one kind, or of two where the model runs apart."""
    if not inference.is_apart:
        return Needs(inference.resources)
    return Needs(Resources(), inference.resources, inference.n_actors, is_apart=True)


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
        "question": dict(inference.question),
        "generation": inference.generation,
    }


def cost_of(inference: Inference) -> Cost:
    """What an image costs the model on a CPU, decode left out; a GPU takes less."""
    entry = next((e for e in MODELS if e.name == inference.model.name), None)
    speed = entry.speed if entry else None
    dimension = inference.model.dimension
    row_bytes = 4 * dimension if dimension else PREDICTION_BYTES
    columns = len(spec_of(inference).schema)
    return Cost(0.0, row_bytes, columns, model_seconds=2 / speed if speed else MODEL_SECONDS)


def infer(change: Change, session: Session, inference: Inference, options: FillOptions) -> Work:
    """Compute what the model's table lacks."""

    def stage(_: tuple[str, ...]) -> Predict:
        make_ready(inference)
        return Predict(inference, options.confinement)

    cost = cost_of(inference) + Cost(DECODE_SECONDS, 0, 0, DECODE_BYTE_SECONDS)
    tables = [(spec_of(inference), describe(inference))]
    options = chunked(options, inference, sum(part.rows for part in change.records))
    filling = Filling(tables, stage, cost, needs_of(inference), prepared_bytes(inference))
    return fill_tables(change, session, filling, options)
