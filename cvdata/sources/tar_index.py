"""Where the members of a tar file lie. Only headers are read; nothing is ever extracted.

Understands ustar, GNU long names and base-256 numbers, and pax headers: what GNU tar, Python and
the WebDataset tools write.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

BLOCK = 512
MAX_MEMBERS = 10_000_000
_MAX_META_BYTES = 1024 * 1024
_REGULAR = b"0\0" + b"7"
_KINDS = {
    b"1": "hard link",
    b"2": "symbolic link",
    b"3": "character device",
    b"4": "block device",
    b"6": "FIFO",
    b"S": "sparse file",
}


class Member(NamedTuple):
    """One entry: its raw name and where its data lie; `denied` says why it is not to be read."""

    name: bytes
    offset: int
    length: int
    denied: str | None = None


class BrokenTar(ValueError):
    """The file cannot be indexed beyond `offset`."""

    def __init__(self, message: str, offset: int) -> None:
        super().__init__(message)
        self.offset = offset


@dataclass
class _Meta:
    """What extended headers say of the next member."""

    name: bytes | None = None
    size: int | None = None
    is_sparse: bool = False


def members(file: Any, size_bytes: int) -> Iterator[Member]:
    """The members of the tar file open as `file` (seekable, binary) in their order.

    Folders are left out; links, devices and sparse files are `denied`, and so is a member whose
    data end beyond the file, before `BrokenTar` is raised for it. Raises `BrokenTar` at damage.
    """
    if not size_bytes:
        raise BrokenTar("an empty file: not even the end of an archive", 0)
    at, n_members = 0, 0
    meta = _Meta()
    while at + BLOCK <= size_bytes:
        header = _read(file, at, BLOCK)
        if not header.strip(b"\0"):
            return
        kind, name, size = _header(header, at)
        at += BLOCK
        if kind in (b"L", b"K", b"x", b"g"):
            _extend(meta, kind, _meta_data(file, at, size, size_bytes))
            at += _padded(size)
            continue
        size = size if meta.size is None else meta.size
        has_data = kind not in (b"1", b"2", b"3", b"4", b"5", b"6")
        length = size if has_data else 0
        n_members += 1
        if n_members > MAX_MEMBERS:
            raise BrokenTar(f"more than {MAX_MEMBERS} members", at - BLOCK)
        is_cut = at + length > size_bytes
        if kind != b"5":
            denied = _denied(kind, meta) or ("the archive ends inside it" if is_cut else None)
            yield Member(meta.name if meta.name is not None else name, at, length, denied)
        if is_cut:
            raise BrokenTar("the archive ends inside a member", at - BLOCK)
        at += _padded(length)
        meta = _Meta()
    if at < size_bytes or meta != _Meta():
        raise BrokenTar("the archive ends inside a header", min(at, size_bytes))


def _denied(kind: bytes, meta: _Meta) -> str | None:
    if meta.is_sparse:
        return "a sparse file"
    if kind in _REGULAR or kind == b"\0":
        return None
    return f"a {_KINDS[kind]}" if kind in _KINDS else f"an entry of unknown type {kind!r}"


def _header(block: bytes, at: int) -> tuple[bytes, bytes, int]:
    """Type, name and size of a header; `BrokenTar` where its checksum is wrong."""
    expected = _number(block[148:156])
    plain = block[:148] + b" " * 8 + block[156:]
    signed = sum(byte - 256 * (byte > 127) for byte in plain)
    if expected not in (sum(plain), signed):
        raise BrokenTar("not a tar header: its checksum is wrong", at)
    size = _number(block[124:136])
    if size is None or size < 0:
        raise BrokenTar("a member of impossible size", at)
    name = block[:100].split(b"\0", 1)[0]
    prefix = block[345:500].split(b"\0", 1)[0]
    if prefix and block[257:263] == b"ustar\0":
        name = prefix + b"/" + name
    kind = block[156:157]
    if kind == b"\0" and name.endswith(b"/"):
        kind = b"5"  # before POSIX a folder was a name with a final slash
    return kind, name, size


def _number(raw: bytes) -> int | None:
    """An octal or base-256 number; None where it is neither."""
    if raw[0] in (0x80, 0xFF):
        value = int.from_bytes(raw[1:], "big")
        return value if raw[0] == 0x80 else value - (1 << (8 * (len(raw) - 1)))
    text = raw.split(b"\0", 1)[0].strip()
    if not text:
        return 0
    return int(text, 8) if text.isdigit() and not set(text) & set(b"89") else None


def _meta_data(file: Any, at: int, size: int, size_bytes: int) -> bytes:
    if size > _MAX_META_BYTES:
        raise BrokenTar(f"an extended header of {size} bytes", at - BLOCK)
    if at + size > size_bytes:
        raise BrokenTar("the archive ends inside an extended header", at - BLOCK)
    return _read(file, at, size)


def _extend(meta: _Meta, kind: bytes, data: bytes) -> None:
    if kind == b"L":
        meta.name = data.split(b"\0", 1)[0]
    elif kind == b"x":
        for key, value in _pax(data):
            if key == b"path":
                meta.name = value
            elif key == b"size" and value.isdigit() and len(value) < 19:
                meta.size = int(value)
            elif key.startswith(b"GNU.sparse."):
                meta.is_sparse = True


def _pax(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Records of `length key=value` and a newline; what does not parse ends them."""
    while data:
        digits, _, _ = data.partition(b" ")
        if len(digits) > 9 or not digits.isdigit() or not 3 < int(digits) <= len(data):
            return
        record, data = data[: int(digits)], data[int(digits) :]
        key, found, value = record[len(digits) + 1 : -1].partition(b"=")
        if found:
            yield key, value


def _padded(size: int) -> int:
    return -(-size // BLOCK) * BLOCK


def _read(file: Any, at: int, length: int) -> bytes:
    file.seek(at)
    data: bytes = file.read(length)
    if len(data) != length:
        raise BrokenTar("the archive became shorter while it was read", at)
    return data
