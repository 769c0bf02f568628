"""WebDataset: tar shards; the members of an image lie beside each other and share its name."""

import json
import tarfile
from collections.abc import Iterable, Iterator, Sequence
from typing import ClassVar

from pydantic import ConfigDict
from pydantic.dataclasses import dataclass

from cvdata.sinks.base import ChunkPlace, Facts, Lines, Outgoing, Places
from cvdata.sinks.output import Output
from cvdata.sinks.text import compact, facts_of

_ZEROS = bytes(tarfile.BLOCKSIZE)
_SMALL = 4096


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class WebDataset:
    """`train-000000.tar`, …: of each image the file, `.cls` (class number) and `.json` (the rest).

    Members carry no time and no owner, so that a shard's bytes depend on its images only.
    """

    version: ClassVar[int] = 1
    places: ClassVar[Places] = Places(
        label=True, mixed=True, boxes=True, masks=True, apart=("split",), unsafe="."
    )

    def check(self, facts: Facts) -> None:
        """Nothing more is asked."""

    def write(
        self, facts: Facts, at: ChunkPlace, images: Iterable[Outgoing], out: Output
    ) -> Iterator[str]:
        """One shard."""
        name = facts.split_folders[at.split] or "data"
        with out.stream(f"{name}-{at.number:06d}.tar") as file:
            for image in images:
                file.writelines(_packed(_members(image, facts)))
            file.write(_ZEROS * 2)
        yield from ()

    def assemble(self, facts: Facts, lines: Lines, out: Output) -> Sequence[str]:
        """The class list, by number."""
        if facts.labels:
            text = json.dumps(list(facts.labels), indent=1, ensure_ascii=False)
            out.put("classes.json", text.encode())
        shards = [
            f"{facts.split_folders[split] or 'data'}-{{000000..{n - 1:06d}}}.tar"
            for split, n in facts.n_chunks.items()
        ]
        return [
            *(f'webdataset.WebDataset("TARGET/{name}", shardshuffle=100)' for name in shards),
            "cvdata ingest TARGET --workspace W --format webdataset",
        ]


def _members(image: Outgoing, facts: Facts) -> Iterator[tuple[str, bytes]]:
    """Name and bytes of each member of an image."""
    yield f"{image.stem}.{image.extension.lower()}", image.data
    if image.label is not None:
        yield f"{image.stem}.cls", b"%d" % facts.label_numbers[image.label]
    yield f"{image.stem}.json", compact(facts_of(image, facts.label_numbers)).encode()
    if image.mask is not None:
        data, kind = image.mask
        yield f"{image.stem}.mask.{kind}", data


def _packed(members: Iterable[tuple[str, bytes]]) -> list[bytes]:
    """The tar blocks of members in few pieces, the large ones not copied."""
    pieces: list[bytes] = []
    small: list[bytes] = []
    for name, data in members:
        small.append(header(name, len(data)))
        if len(data) > _SMALL:
            pieces += [b"".join(small), data]
            small = []
        else:
            small.append(data)
        if rest := len(data) % tarfile.BLOCKSIZE:
            small.append(_ZEROS[rest:])
    return [*pieces, b"".join(small)] if small else pieces


def header(name: str, size: int) -> bytes:
    """The tar header of a member: as `tarfile` makes it, which is slow for the thousandth time."""
    raw = name.encode()
    if len(raw) > 100 or size >= 8**11 or not name.isascii():
        return _header(name, size)
    digits = b"%011o" % size
    total = _TEMPLATE_SUM + sum(raw) + sum(digits) - 11 * ord("0")
    start = raw.ljust(100, b"\0") + _TEMPLATE[100:124] + digits
    return start + _TEMPLATE[135:148] + b"%06o" % total + _TEMPLATE[154:]


def _header(name: str, size: int) -> bytes:
    info = tarfile.TarInfo(name)
    info.size, info.mode = size, 0o644
    return info.tobuf(tarfile.PAX_FORMAT)


_TEMPLATE = _header("", 0)
_TEMPLATE_SUM = int(_TEMPLATE[148:154], 8)
