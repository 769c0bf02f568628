"""Small datasets made for tests, and what every source must satisfy."""

import hashlib
import io
import json
import tarfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import fsspec
import pyarrow as pa
from PIL import Image

from cvdata.retry import Retry
from cvdata.schema import RECORDS, image_id
from cvdata.sources import Fetcher, Source, open_source

QUICK = Retry(attempts=3, base_seconds=0.001, cap_seconds=0.002)


def png(seed: int, size: tuple[int, int] = (8, 6)) -> bytes:
    """A PNG whose content depends on `seed`."""
    digest = hashlib.sha256(b"%d" % seed).digest()
    out = io.BytesIO()
    Image.new("RGB", size, tuple(digest[:3])).save(out, "PNG")
    return out.getvalue()


def jpeg(size: tuple[int, int], orientation: int | None = None) -> bytes:
    """A JPEG with an EXIF orientation."""
    out = io.BytesIO()
    exif = Image.Exif()
    if orientation is not None:
        exif[0x0112] = orientation
    Image.new("RGB", size, (9, 9, 9)).save(out, "JPEG", exif=exif)
    return out.getvalue()


def write(root: Path, files: dict[str, bytes | str]) -> Path:
    """Write files below `root`."""
    for name, data in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data.encode() if isinstance(data, str) else data)
    return root


def write_memory(root: str, files: dict[str, bytes | str]) -> str:
    """Write the same files to fsspec's memory filesystem; its URL."""
    fs = fsspec.filesystem("memory")
    for name, data in files.items():
        fs.pipe_file(f"/{root}/{name}", data.encode() if isinstance(data, str) else data)
    return f"memory://{root}"


def tar_of(members: Iterable[tuple[str, bytes]], **options: Any) -> bytes:
    """A tar file of regular members."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", **options) as tar:
        for name, data in members:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return out.getvalue()


def read(source: Source) -> list[dict[str, Any]]:
    """All records, after the laws that hold for every source."""
    tables = list(source.records())
    for table in tables:
        assert table.schema == RECORDS
        assert 0 < table.num_rows <= 32_768
        table.validate(full=True)
    rows: list[dict[str, Any]] = (
        pa.concat_tables(tables).to_pylist() if tables else RECORDS.empty_table().to_pylist()
    )
    places = [(row["uri"].encode(), -1 if row["offset"] is None else row["offset"]) for row in rows]
    assert places == sorted(places)
    for row in rows:
        assert row["image_id"] == image_id(row["source"], row["key"])
    assert len({row["image_id"] for row in rows}) == len(rows)
    return rows


def records(url: object, **kwargs: Any) -> tuple[list[dict[str, Any]], list[str]]:
    """Records and problems of a fresh source, read twice: both times the same."""
    first, second = open_source(str(url), **kwargs), open_source(str(url), **kwargs)
    assert isinstance(first, Source)
    rows = read(first)
    assert read(second) == rows
    assert [str(p) for p in first.problems] == [str(p) for p in second.problems]
    return rows, [str(problem) for problem in first.problems]


def fetch(rows: list[dict[str, Any]], **kwargs: Any) -> list[Any]:
    """What the fetcher makes of rows: bytes, or the code of the error."""
    table = pa.Table.from_pylist(rows, schema=RECORDS)
    fetcher = Fetcher(**{"max_bytes": 2**20, "retries": QUICK, **kwargs})
    return [got if isinstance(got, bytes) else got.code.value for got in fetcher.fetch(table)]


def coco(images: list[Any], annotations: list[Any], categories: list[Any]) -> str:
    """A COCO file with one element a line."""
    sections = []
    for name, rows in (
        ("images", images),
        ("annotations", annotations),
        ("categories", categories),
    ):
        inner = ",\n".join(json.dumps(row) for row in rows)
        sections.append(f'"{name}": [\n{inner}\n]')
    return "{\n" + ",\n".join(sections) + "\n}\n"
