"""Tar shards whose members lie beside each other by basename: `a.jpg a.cls b.jpg b.json …`."""

import json
from collections.abc import Iterator
from dataclasses import dataclass as plain_dataclass
from dataclasses import field
from functools import partial
from typing import Annotated, Any

import pyarrow as pa
from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

from cvdata.errors import ConfigError, ErrorCode, StorageError
from cvdata.sources.base import Problems
from cvdata.sources.folder import is_image_name, split_name
from cvdata.sources.listing import Entry, display, extension
from cvdata.sources.manifest import boxes_of, compact, scalar
from cvdata.sources.place import Place
from cvdata.sources.record import Record, denied, tables_of, unique
from cvdata.sources.tar_index import BrokenTar, Member, members
from cvdata.sources.threads import ordered_map
from cvdata.sources.uris import Inside

COMPRESSED = (b".tar.gz", b".tgz", b".tar.bz2", b".tar.xz", b".tar.zst")
_MAGICS = {b"\x1f\x8b": "gzip", b"BZh": "bzip2", b"\xfd7zXZ": "xz", b"\x28\xb5\x2f\xfd": "zstd"}
_SIBLING_BYTES = 4 * 1024 * 1024

Note = tuple[str, int, str]


@dataclass(frozen=True, config=ConfigDict(extra="forbid", arbitrary_types_allowed=True))
class WebDataset:
    """Images in tar shards, read later by range; the key is `shard!member`.

    Of the siblings of an image `.json` (object) gives label, boxes and split where it has them,
    and goes into extra as `.txt` does; without a label there, `.cls` is it. A
    `.mask.png` is the mask, and no image of its own.
    """

    place: Place
    source_name: str
    split: Annotated[str | None, Field(description="the split of every image")] = None
    split_from_name: Annotated[
        bool, Field(description="a folder or shard named train…, val… or test… is the split")
    ] = True
    all_files: Annotated[
        bool, Field(description="take every member, not only those named like images")
    ] = False
    problems: Problems = Field(default_factory=Problems, init=False)

    def records(self) -> Iterator[pa.Table]:
        """The records, in bounded tables, sorted by shard and offset."""
        return tables_of(self.source_name, self._records())

    def _records(self) -> Iterator[Record]:
        shards = self.place.entries(is_shard_name)
        index = partial(_index, self)
        n_shards = 0
        for records, notes in ordered_map(index, shards, threads=self.place.threads and 4):
            n_shards += 1
            for note in notes:
                self.problems.add(*note)
            yield from records
        if not n_shards:
            raise ConfigError(f"{self.place.url}: no .tar files here")

    def split_of(self, shard: bytes) -> str | None:
        """The split of a shard, by option or by its name."""
        if self.split is not None or not self.split_from_name:
            return self.split
        folders, _, name = shard.rpartition(b"/")
        words = [*folders.split(b"/"), name.removesuffix(b".tar"), name.partition(b"-")[0]]
        return next((split for word in words if (split := split_name(word))), None)


def is_sample_image(member: bytes) -> bool:
    """Whether a member is an image by its name, and not the `.mask.png` of one."""
    return is_image_name(member) and not _is_mask(member)


def _is_mask(member: bytes) -> bool:
    kind = member[len(_basename(member)) :].lower()
    return kind.startswith(b".mask.") and is_image_name(member)


def is_shard_name(name: bytes) -> bool:
    """Whether a file's name is that of a tar shard, compressed or not."""
    return name.lower().endswith((b".tar", *COMPRESSED))


def _index(source: WebDataset, shard: Entry) -> tuple[list[Record], list[Note]]:
    """All records of one shard and what is wrong with it."""
    uri = source.place.uri(shard.path)
    if shard.error is not None:
        record = Record(shard.path, uri, shard.revision)
        return [denied(record, shard.error, shard.detail or "")], []
    if shard.path.lower().endswith(COMPRESSED):
        raise ConfigError(f"{display(shard.path)} is compressed{_NO_RANGES}")
    try:
        with source.place.open(shard.path) as file:
            index = _Shard(source, shard, uri, file)
            return list(unique(index.records())), index.notes
    except OSError as error:
        raise StorageError(f"reading {display(shard.path)} failed: {error}") from error


_NO_RANGES = (
    ", so single images cannot be read from it; decompress the shards first "
    "(images do not shrink, the shards will be about as large)"
)


@plain_dataclass
class _Shard:
    """One shard while it is indexed."""

    source: WebDataset
    shard: Entry
    uri: str
    file: Any
    notes: list[Note] = field(default_factory=list)

    def records(self) -> Iterator[Record]:
        """Its images by offset, then a row for what could not be indexed."""
        broken: BrokenTar | None = None
        group: list[Member] = []
        found = self._members()
        while True:
            try:
                member = next(found, None)
            except BrokenTar as error:
                member, broken = None, error
            if member is None or (group and _basename(member.name) != _basename(group[0].name)):
                yield from self._group(group)
                group = []
            if member is None:
                break
            group.append(member)
        if broken is not None:
            self.notes.append((self.name, 0, f"byte {broken.offset}: {broken}"))
            key = self.shard.path + b"!@%d" % broken.offset
            end = self.shard.size_bytes  # sorts behind every member
            record = Record(key, self.uri, self._revision(end, 0), offset=end)
            yield denied(record, ErrorCode.ARCHIVE_DENIED, str(broken))

    @property
    def name(self) -> str:
        """The shard in messages."""
        return display(self.shard.path)

    def _members(self) -> Iterator[Member]:
        start = self.file.read(6)
        for magic, kind in _MAGICS.items():
            if start.startswith(magic):
                raise BrokenTar(f"compressed with {kind}{_NO_RANGES}", 0)
        yield from members(self.file, self.shard.size_bytes)

    def _revision(self, offset: int, length: int) -> str:
        return f"{self.shard.revision}:{offset}+{length}"

    def _group(self, group: list[Member]) -> Iterator[Record]:
        facts: dict[str, Any] | None = None
        for member in group:
            record = Record(
                self.shard.path + b"!" + member.name,
                self.uri,
                self._revision(member.offset, member.length),
                size_bytes=member.length,
                offset=member.offset,
                length=member.length,
            )
            if member.denied is not None:
                yield denied(record, ErrorCode.ARCHIVE_DENIED, member.denied)
            elif self.source.all_files or is_sample_image(member.name):
                facts = self._facts(group) if facts is None else facts
                for column, value in facts.items():
                    setattr(record, column, value)
                yield record

    def _facts(self, group: list[Member]) -> dict[str, Any]:
        """Label, boxes, split and extra that the siblings give to the images of a group."""
        facts: dict[str, Any] = {"split": self.source.split_of(self.shard.path)}
        extra: dict[str, Any] = {}
        cls: str | None = None
        for member in group:
            kind = extension(member.name)
            if member.denied is None and _is_mask(member.name):
                facts["mask_uri"] = Inside(self.uri, member.offset, member.length).text
            elif member.denied is None and kind in (b"cls", b"txt", b"json"):
                text = self._text(member)
                if text is None:
                    continue
                if kind == b"cls":
                    cls = text.strip() or None
                elif kind == b"txt":
                    extra["txt"] = text
                else:
                    self._add_json(member, text, facts, extra)
        if facts.get("label") is None:
            facts["label"] = cls  # often a number, whose name the JSON knows
        if extra:
            facts["extra"] = compact(extra)
        return facts

    def _add_json(
        self, member: Member, text: str, facts: dict[str, Any], extra: dict[str, Any]
    ) -> None:
        try:
            value = json.loads(text)
        except (ValueError, RecursionError) as error:
            self._note(member, getattr(error, "lineno", 0), f"not JSON: {error}")
            return
        extra["json"] = value
        if not isinstance(value, dict):
            return
        notes: list[str] = []
        facts["label"] = scalar(value, "label", notes)
        facts["split"] = scalar(value, "split", notes) or facts["split"]
        if "boxes" in value:
            facts["boxes"] = boxes_of(value["boxes"], notes)
        for note in notes:
            self._note(member, 0, note)

    def _text(self, member: Member) -> str | None:
        if member.length > _SIBLING_BYTES:
            self._note(member, 0, f"larger than {_SIBLING_BYTES} bytes: not read")
            return None
        self.file.seek(member.offset)
        try:
            text: str = self.file.read(member.length).decode()
        except UnicodeDecodeError as error:
            self._note(member, 0, f"not UTF-8: {error}")
            return None
        return text

    def _note(self, member: Member, line: int, message: str) -> None:
        self.notes.append((f"{self.name}!{display(member.name)}", line, message))


def _basename(name: bytes) -> bytes:
    """The path up to the first dot of the file's name: what makes members siblings."""
    folder, slash, file = name.rpartition(b"/")
    return folder + slash + file.partition(b".")[0]
