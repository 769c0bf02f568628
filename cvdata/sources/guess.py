"""Which format lies at a URL, by names first, and by content where names do not say."""

import json
from collections.abc import Callable
from itertools import islice
from typing import Any

from cvdata.errors import ConfigError
from cvdata.sources.coco import is_coco
from cvdata.sources.folder import is_image_name
from cvdata.sources.listing import Entry, display, extension
from cvdata.sources.parquet import is_parquet_name
from cvdata.sources.place import Place
from cvdata.sources.webdataset import is_shard_name
from cvdata.sources.yolo import CONFIG_NAMES

_LOOKED_AT = 100_000
_FILES: tuple[tuple[str, Callable[[bytes], bool]], ...] = (
    ("parquet", is_parquet_name),
    ("webdataset", is_shard_name),
    ("csv", lambda name: extension(name) in (b"csv", b"tsv")),
    ("jsonl", lambda name: extension(name) in (b"jsonl", b"ndjson")),
)


def guess_format(place: Place) -> str:
    """A key of SOURCES; `ConfigError` where it cannot be told."""
    if place.file is not None:
        return _of_file(place, place.file)
    lister = place.lister(bool)
    listed = lister(b"")
    names = {entry.path for entry in listed.files}
    folders = set(listed.folders)
    if {b"Annotations", b"JPEGImages"} <= folders:
        return "voc"
    has_config = any(name.encode() in names for name in CONFIG_NAMES)
    if has_config or {b"images", b"labels"} <= folders:
        return "yolo"
    annotations = lister(b"annotations/").files if b"annotations" in folders else []
    if _has_coco(place, [*listed.files, *annotations]):
        return "coco"
    return _of_content(place)


def _of_file(place: Place, name: bytes) -> str:
    for format_name, is_named in _FILES:
        if is_named(name):
            return format_name
    if extension(name) == b"json":
        if is_coco(place, name):
            return "coco"
        if _is_json_lines(place, name):
            return "jsonl"
    raise ConfigError(
        f"{display(name)}: cannot tell what this file is; set format, or name a folder of images"
    )


def _has_coco(place: Place, files: list[Entry]) -> bool:
    jsons = (f.path for f in files if f.error is None and extension(f.path) == b"json")
    return any(is_coco(place, path) for path in jsons)


def _is_json_lines(place: Place, name: bytes) -> bool:
    with place.open(name) as file:
        line: Any = file.readline(1024 * 1024)
    try:
        return isinstance(json.loads(line), dict)
    except ValueError:
        return False


def _of_content(place: Place) -> str:
    """The kind of files that are there: images before anything else."""
    kinds: dict[str, list[Entry]] = {}
    for entry in islice(place.entries(bool), _LOOKED_AT):
        for format_name, is_named in (("folder", is_image_name), *_FILES):
            if is_named(entry.path):
                kinds.setdefault(format_name, []).append(entry)
    shards = [name for name in ("parquet", "webdataset") if name in kinds]
    if "folder" in kinds:
        return "folder"
    if len(shards) == 1:
        return shards[0]
    if len(kinds) == 1:
        found = next(iter(kinds.values()))
        raise ConfigError(
            f"{place.url} holds no images but {display(found[0].path)}: name that file itself"
        )
    what = f"several kinds of files ({', '.join(sorted(kinds))})" if kinds else "no images"
    raise ConfigError(
        f"{place.url} holds {what}: set format, or name the file or folder that is meant"
        + ("" if kinds else " (all_files with format folder takes files of any name)")
    )
