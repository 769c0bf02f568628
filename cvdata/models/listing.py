"""The catalogue as a table to read: what there is, and what it needs to run here."""

from cvdata.errors import ConfigError
from cvdata.models.catalog import DEFAULT, MODELS, Entry, resolve

FAMILY_NOTES = {
    "torchvision/<builder>": "classifiers, detectors, segmenters, keypoints (docs/models.md)",
    "timm/<architecture>": "encoders and classifiers; pip install 'cvdata[timm]'",
    "onnx/<any name>": "an .onnx file and its sha256",
    "exported/<any name>": "a .pt2 file of torch.export.save and its sha256",
    "pkg.mod:Class": "your own class",
}
"""Names beyond the catalogue, by their pattern."""


def listed() -> list[dict[str, str]]:
    """Each model of the catalogue: name, task, input, dimension, licence, speed, note, here."""
    return [_facts(entry) for entry in MODELS]


def _facts(entry: Entry) -> dict[str, str]:
    facts = {
        "name": f"{entry.name} (default)" if entry.name == DEFAULT else entry.name,
        "task": ", ".join(entry.tasks),
        "input": entry.input,
        "dimension": f"{entry.dimension:,}" if entry.dimension else "",
        "licence": entry.licence,
        "speed": f"{entry.speed:,.0f} images/s on two cores" if entry.speed else "",
        "note": entry.description,
        "here": _readiness(entry),
    }
    return {name: text for name, text in facts.items() if text}


def _readiness(entry: Entry) -> str:
    """`ready`, or what has to be installed first."""
    try:
        resolve(entry.name)
    except ConfigError as error:
        return str(error)
    return "ready"
