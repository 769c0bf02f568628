"""Where images come from: one file a format, and the SOURCES dict."""

import difflib
from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from cvdata.errors import ConfigError
from cvdata.sources.base import Problem, Problems, Source
from cvdata.sources.coco import Coco
from cvdata.sources.csv_manifest import Csv
from cvdata.sources.fetch import Fetcher
from cvdata.sources.folder import Folder
from cvdata.sources.guess import guess_format
from cvdata.sources.jsonl_manifest import Jsonl
from cvdata.sources.parquet import Parquet
from cvdata.sources.place import Place
from cvdata.sources.uris import SCHEMES
from cvdata.sources.voc import Voc
from cvdata.sources.webdataset import WebDataset
from cvdata.sources.yolo import Yolo

__all__ = [
    "SOURCES",
    "Fetcher",
    "Problem",
    "Problems",
    "Source",
    "open_source",
    "source_options",
]

SOURCES: dict[str, type[Any]] = {
    "folder": Folder,
    "parquet": Parquet,
    "webdataset": WebDataset,
    "csv": Csv,
    "jsonl": Jsonl,
    "coco": Coco,
    "voc": Voc,
    "yolo": Yolo,
}
"""Every format by its name in a config; a class satisfies `Source`."""


def source_options(format: str) -> dict[str, str]:  # noqa: A002
    """The options of a format and what each does."""
    fields = SOURCES[format].__pydantic_fields__
    return {
        name: field.description
        for name, field in fields.items()
        if field.description is not None and field.init is not False
    }


def open_source(
    url: str,
    *,
    format: str | None = None,  # noqa: A002  the word of the command line
    source_name: str = "default",
    options: Mapping[str, Any] | None = None,
    schemes: frozenset[str] = SCHEMES,
) -> Source:
    """The source at `url`; `format` is a key of `SOURCES`, guessed where it is not given.

    `options` are those of `source_options(format)`. Raises `ConfigError`, saying what to change.
    """
    place = Place.at(url, schemes)
    name = format or guess_format(place)
    if name not in SOURCES:
        raise ConfigError(f"unknown format {name!r}; one of {', '.join(SOURCES)}")
    known = source_options(name)
    for option in options or {}:
        if option not in known:
            near = difflib.get_close_matches(option, known, 1)
            hint = f"; did you mean {near[0]!r}?" if near else f"; it has {', '.join(known)}"
            raise ConfigError(f"format {name!r} has no option {option!r}{hint}")
    try:
        source: Source = SOURCES[name](place=place, source_name=source_name, **(options or {}))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise ConfigError(f"option {where!r} of format {name!r}: {first['msg']}") from error
    return source
