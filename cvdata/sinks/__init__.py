"""Where images go to: one file a format, and the SINKS dict."""

import difflib
import importlib
from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from cvdata.errors import ConfigError
from cvdata.sinks.base import Facts, Outgoing, Places, Sink
from cvdata.sinks.coco import Coco
from cvdata.sinks.fiftyone import FiftyOne
from cvdata.sinks.huggingface import HuggingFace
from cvdata.sinks.imagefolder import ImageFolder
from cvdata.sinks.listing import Listing
from cvdata.sinks.output import Output
from cvdata.sinks.parquet import Parquet
from cvdata.sinks.voc import Voc
from cvdata.sinks.webdataset import WebDataset
from cvdata.sinks.yolo import Yolo

__all__ = ["SINKS", "Facts", "Outgoing", "Output", "Places", "Sink", "open_sink", "sink_options"]

SINKS: dict[str, type[Any]] = {
    "imagefolder": ImageFolder,
    "webdataset": WebDataset,
    "parquet": Parquet,
    "coco": Coco,
    "yolo": Yolo,
    "voc": Voc,
    "huggingface": HuggingFace,
    "fiftyone": FiftyOne,
    "list": Listing,
}
"""Every format by its name in a config; a class satisfies `Sink`."""


def sink_options(kind: type[Any]) -> dict[str, str]:
    """The options of a sink and what each does."""
    fields = getattr(kind, "__pydantic_fields__", {})
    return {name: field.description or "" for name, field in fields.items()}


def open_sink(format: str, options: Mapping[str, Any] | None = None) -> Sink:  # noqa: A002
    """The sink of a format: a key of `SINKS`, or the operator's own `pkg.mod:Class`.

    Raises `ConfigError`, saying what to change.
    """
    kind = SINKS[format] if format in SINKS else _outside(format)
    known = sink_options(kind)
    for option in options or {}:
        if (known and option not in known) or (not known and format in SINKS):
            near = difflib.get_close_matches(option, known, 1)
            hint = f"; did you mean {near[0]!r}?" if near else f"; it has {_listed(known)}"
            raise ConfigError(f"format {format!r} has no option {option!r}{hint}")
    try:
        sink = kind(**(options or {}))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise ConfigError(f"option {where!r} of format {format!r}: {first['msg']}") from error
    except TypeError as error:
        raise ConfigError(f"format {format!r}: {error}") from error
    if not isinstance(sink, Sink):
        raise ConfigError(f"{format} lacks version, places, check, write or assemble of a sink")
    return sink


def _listed(known: Mapping[str, str]) -> str:
    return ", ".join(known) or "none"


def _outside(name: str) -> type[Any]:
    module, colon, attribute = name.partition(":")
    if not colon:
        near = difflib.get_close_matches(name, SINKS, 1)
        hint = f" (did you mean {near[0]}?)" if near else ""
        raise ConfigError(
            f"unknown format {name!r}{hint}; one of {', '.join(SINKS)}, or your own pkg.mod:Class"
        )
    try:
        found: type[Any] = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError, ValueError) as error:
        raise ConfigError(f"{name} cannot be imported: {error}") from error
    return found
