"""The catalogue as a table to read: what there is, and what it needs to run here."""

from cvdata.errors import ConfigError
from cvdata.models.base import Model
from cvdata.models.catalog import DEFAULT, MODELS, Entry, resolve
from cvdata.models.options import closest
from cvdata.models.speed import kept, measure

FAMILY_NOTES = {
    "torchvision/<builder>": "classifiers, detectors, segmenters, keypoints (docs/models.md)",
    "timm/<architecture>": "encoders and classifiers; pip install 'cvdata[timm]'",
    "open_clip/<architecture>": "images and words in one space; pip install 'cvdata[clip]'",
    "onnx/<any name>": "an .onnx file and its sha256",
    "exported/<any name>": "a .pt2 file of torch.export.save and its sha256",
    "pkg.mod:Class": "your own class",
}
"""Names beyond the catalogue, by their pattern."""


def listed() -> list[dict[str, str]]:
    """Each model of the catalogue: name, task, input, dimension, licence, speed, note, here."""
    return [_facts(entry) for entry in MODELS]


def measure_models(name: str = "") -> None:
    """Measure the model called so on one core, or all that are ready; `listed` shows it then.

    Raises `ConfigError` for one that is unknown or not ready.
    """
    known = [entry.name for entry in MODELS]
    name = DEFAULT if name == "default" else name
    if name and name not in known:
        raise ConfigError(f"no model {name!r} in the list{closest(name, known)}")
    for entry in MODELS:
        if name in ("", entry.name):
            model = _model(entry)
            if isinstance(model, Model):
                measure(model)
            elif name:
                raise ConfigError(model)


def _facts(entry: Entry) -> dict[str, str]:
    model = _model(entry)
    facts = {
        "name": f"{entry.name} (default)" if entry.name == DEFAULT else entry.name,
        "task": ", ".join(entry.tasks),
        "input": entry.input,
        "dimension": f"{entry.dimension:,}" if entry.dimension else "",
        "licence": entry.licence,
        "speed": _speed(entry, model),
        "note": entry.description,
        "here": "ready" if isinstance(model, Model) else model,
    }
    return {name: text for name, text in facts.items() if text}


def _speed(entry: Entry, model: Model | str) -> str:
    """As measured on this machine, else the catalogue's, else nothing."""
    if isinstance(model, Model) and (found := kept(model)) is not None:
        return f"{found.line()} (measured here)"
    if entry.speed is None:
        return ""
    return f"{entry.speed:,.0f} images/s on two cores of an AMD EPYC; here: cvdata models --measure"


def _model(entry: Entry) -> Model | str:
    """The model, or what has to be installed first."""
    try:
        return resolve(entry.name)
    except ConfigError as error:
        return str(error)
