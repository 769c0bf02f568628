"""What is known of an image while it goes out, and how its boxes follow its pixels."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cvdata.sinks.base import Outgoing
from cvdata.sinks.geometry import is_finite, neat, scaled, scaled_extra
from cvdata.sinks.text import key_text
from cvdata.sources.headers import Stored
from cvdata.stages.export_render import Rendered


@dataclass(slots=True)
class Found:
    """The bytes of a row and what is known of them."""

    data: bytes
    stored: Stored | None = None
    is_touched: bool = False
    rendered: Rendered | None = None

    @property
    def size(self) -> tuple[int, int]:
        """Width and height as they go out; 0 where nobody asked."""
        if self.rendered is not None:
            return self.rendered.after
        return self.stored.oriented if self.stored is not None else (0, 0)


def resize(image: Outgoing, found: Found) -> None:
    """Boxes, polygons and keypoints follow the pixels."""
    rendered = found.rendered
    if rendered is None or rendered.before == rendered.after:
        return
    x, y = (after / before for after, before in zip(rendered.after, rendered.before, strict=True))
    if image.boxes:
        image.boxes = [{**box, "xyxy": scaled(box["xyxy"], x, y)} for box in image.boxes]
    image.extra = scaled_extra(image.extra, x, y)


def drop_infinite(image: Outgoing) -> int:
    """Boxes that are no numbers go, with what `extra` says of them; how many."""
    boxes = image.boxes
    if not boxes or all(is_finite(box["xyxy"]) for box in boxes):
        return 0
    kept = [i for i, box in enumerate(boxes) if is_finite(box["xyxy"])]
    inner = image.extra.get("coco")
    for parent in (image.extra, inner if isinstance(inner, dict) else {}):
        for name, values in list(parent.items()):
            if isinstance(values, list) and len(values) == len(boxes):
                parent[name] = [values[i] for i in kept]
    image.boxes = [boxes[i] for i in kept]
    return len(boxes) - len(kept)


def json_object(text: str | None) -> dict[str, Any]:
    """`extra` of a record; JSON that is no object goes under its own name."""
    if text is None:
        return {}
    try:
        value = json.loads(text)
    except ValueError:
        return {"text": text}
    return value if isinstance(value, Mapping) else {"value": value}  # type: ignore[return-value]


def provenance(image: Outgoing) -> dict[str, Any]:
    """Where an image came from, for `provenance.jsonl`."""
    return {
        "image_id": image.image_id.hex(),
        "source": image.record["source"],
        "key": key_text(image),
        "revision": image.record["revision"],
        "name": image.name,
        "split": image.split,
        "label": image.label,
        "weight": 1.0 if image.weight == 1.0 else neat(image.weight),
    }
