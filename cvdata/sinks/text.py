"""JSON and facts of images that several formats write alike."""

import json
from typing import Any

from cvdata.sinks.base import Outgoing
from cvdata.sinks.geometry import neat, number

_OURS = ("boxes", "extra", "image_id", "key", "label", "label_id", "labels", "split", "weight")


_ENCODER = json.JSONEncoder(separators=(",", ":"), sort_keys=True, allow_nan=False)


def compact(value: Any) -> str:
    """Compact JSON with sorted keys; ValueError at a number that JSON does not have."""
    return _ENCODER.encode(value)


def facts_of(image: Outgoing, label_numbers: Any) -> dict[str, Any]:
    """What is known of an image, for a JSON object beside it; what is not known is left out."""
    extra = dict(image.extra)
    before = extra.pop("json", None)  # what an earlier such object said
    facts = dict(before) if isinstance(before, dict) else {}
    for name in _OURS:
        facts.pop(name, None)
    facts |= {"image_id": image.image_id.hex(), "key": key_text(image)}
    if image.label is not None:
        facts |= {"label": image.label, "label_id": label_numbers[image.label]}
    if image.labels:
        facts["labels"] = [{"label": label, "weight": neat(share)} for label, share in image.labels]
    if image.split is not None:
        facts["split"] = image.split
    if image.boxes is not None:
        facts["boxes"] = boxes_json(image)
    if image.weight != 1.0:
        facts["weight"] = neat(image.weight)
    if extra:
        facts["extra"] = extra
    return facts


def boxes_json(image: Outgoing) -> list[dict[str, Any]]:
    """Boxes as JSON objects {label, xyxy}."""
    return [
        {"label": box["label"], "xyxy": [number(neat(v)) for v in box["xyxy"]]}
        for box in image.boxes or ()
    ]


def key_text(image: Outgoing) -> str:
    """The key of an image as text; bytes that are not UTF-8 escaped as Python escapes them."""
    key = image.record.get("key") or b""
    return key.decode("utf-8", "backslashreplace") if isinstance(key, bytes) else str(key)
