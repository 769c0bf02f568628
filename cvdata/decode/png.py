"""PNG: the chunk walk. Every CRC is checked; only what pixels need reaches the decoder."""

import struct
import zlib

from cvdata.decode.facts import Facts, corrupt, truncated, unsupported

SIGNATURE = b"\x89PNG\r\n\x1a\n"
_MODES = {0: "L", 2: "RGB", 3: "P", 4: "LA", 6: "RGBA"}
_DEPTHS = {0: (1, 2, 4, 8, 16), 2: (8, 16), 3: (1, 2, 4, 8), 4: (8, 16), 6: (8, 16)}
_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
_ADAM7 = (
    (0, 0, 8, 8),
    (0, 4, 8, 8),
    (4, 0, 8, 4),
    (0, 2, 4, 4),
    (2, 0, 4, 2),
    (0, 1, 2, 2),
    (1, 0, 2, 1),
)
_PIXELS = frozenset({b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND"})
_MAX_CHUNKS = 500_000
_MAX_METADATA = 1 << 20
_HEAD = struct.Struct(">I4s")
_HEADER = struct.Struct(">IIBBBBB")


class _Walk:
    """Facts gathered from the chunks."""

    def __init__(self) -> None:
        self.header: tuple[int, ...] = ()
        self.keep: list[memoryview] = []
        self.has_icc = False
        self.exif: bytes | None = None
        self.xmp: bytes | None = None
        self.n_frames = 1
        self.has_pixels = False


def scan(data: bytes) -> Facts:
    """Header facts of a PNG; `truncated` without IEND, `corrupt` on a bad CRC or chunk order."""
    if len(data) < 8 and SIGNATURE.startswith(data):
        raise truncated("PNG ends within its signature")
    if not data.startswith(SIGNATURE):
        raise corrupt("PNG signature is damaged")
    walk = _Walk()
    end = _chunks(data, walk)
    width, height, depth, color, _, _, interlace = walk.header
    return Facts(
        format="PNG",
        width=width,
        height=height,
        mode=_mode(depth, color),
        bits=depth,
        n_frames=walk.n_frames,
        has_icc=walk.has_icc,
        exif=walk.exif,
        xmp=walk.xmp,
        is_progressive=interlace == 1,
        trailing_bytes=len(data) - end,
        clean=b"".join([SIGNATURE, *walk.keep]),
    )


def _mode(depth: int, color: int) -> str:
    if color == 0 and depth in (1, 16):
        return "1" if depth == 1 else "I;16"
    return _MODES[color]


def _chunks(data: bytes, walk: _Walk) -> int:
    """Visit every chunk up to IEND; returns the offset behind it."""
    pos, view = 8, memoryview(data)
    for _ in range(_MAX_CHUNKS):
        kind, end = _chunk(view, pos)
        if not walk.header and kind != b"IHDR":
            raise corrupt("PNG does not start with IHDR")
        if kind == b"IHDR":
            _header(view[pos + 8 : end - 4], walk)
        if kind in _PIXELS:
            walk.has_pixels |= kind == b"IDAT"
            walk.keep.append(view[pos:end])
        else:
            _visit(kind, bytes(view[pos + 8 : end - 4]), walk)
        if kind == b"IEND":
            if not walk.has_pixels:
                raise corrupt("PNG without IDAT")
            return end
        pos = end
    raise corrupt(f"PNG with more than {_MAX_CHUNKS} chunks")


def _chunk(view: memoryview, pos: int) -> tuple[bytes, int]:
    """(kind, offset of the next chunk) of the chunk at `pos`, its CRC checked."""
    if pos + 8 > len(view):
        raise truncated("PNG ends between chunks, before IEND")
    kind: bytes
    length, kind = _HEAD.unpack_from(view, pos)
    if not kind.isalpha() or length > 0x7FFFFFFF:
        raise corrupt(f"PNG chunk {kind!r} of length {length}")
    end: int = pos + 12 + length
    if end > len(view):
        raise truncated(f"PNG ends within chunk {kind.decode()}")
    if zlib.crc32(view[pos + 4 : end - 4]) != int.from_bytes(view[end - 4 : end], "big"):
        raise corrupt(f"PNG chunk {kind.decode()} has a bad CRC")
    return kind, end


def _header(body: memoryview, walk: _Walk) -> None:
    if walk.header or len(body) != 13:
        raise corrupt("PNG header is doubled or of the wrong length")
    walk.header = header = _HEADER.unpack(body)
    _, _, depth, color, compression, filtering, interlace = header
    if depth not in _DEPTHS.get(color, ()):
        raise corrupt(f"PNG with color type {color} at {depth} bits")
    if compression or filtering:
        raise unsupported(f"PNG compression method {compression}, filter method {filtering}")
    if interlace > 1:
        raise corrupt(f"PNG interlace method {interlace}")


def has_all_rows(clean: bytes) -> bool:
    """Whether the compressed pixels of a scanned PNG are as many as its header promises.

    Pillow takes a stream that ends early, but ends well, for a whole image. Costs an inflate.
    """
    width, height, depth, color, _, _, interlace = _HEADER.unpack_from(clean, 16)
    missing = _raw_bytes((width, height), depth * _CHANNELS[color], interlace == 1)
    inflater, pos = zlib.decompressobj(), 8
    while missing > 0 and pos < len(clean):
        length, kind = _HEAD.unpack_from(clean, pos)
        tail = clean[pos + 8 : pos + 8 + length] if kind == b"IDAT" else b""
        while tail and missing > 0 and not inflater.eof:
            missing -= len(inflater.decompress(tail, _MAX_METADATA))
            tail = inflater.unconsumed_tail
        pos += 12 + length
    return missing <= 0


def _raw_bytes(size: tuple[int, int], bits: int, is_interlaced: bool) -> int:
    """Bytes of all filtered rows of all passes."""
    steps = _ADAM7 if is_interlaced else ((0, 0, 1, 1),)
    total = 0
    for y0, x0, dy, dx in steps:
        rows = max(0, -(-(size[1] - y0) // dy))
        columns = max(0, -(-(size[0] - x0) // dx))
        total += rows * (1 + (columns * bits + 7) // 8) if columns else 0
    return total


def _visit(kind: bytes, body: bytes, walk: _Walk) -> None:
    if kind == b"iCCP":
        walk.has_icc = True
    elif kind == b"eXIf":
        walk.exif = body
    elif kind == b"acTL" and len(body) >= 8 and not walk.has_pixels:
        walk.n_frames = max(1, int.from_bytes(body[:4], "big"))
        if walk.n_frames > 0x7FFFFFFF:
            walk.n_frames = 1
    elif kind in (b"tEXt", b"zTXt") and body.startswith(b"Raw profile type exif\0"):
        walk.exif = walk.exif or _raw_profile(_text(kind, body))
    elif kind == b"iTXt" and body.startswith(b"XML:com.adobe.xmp\0"):
        walk.xmp = _international(body)


def _text(kind: bytes, body: bytes) -> bytes:
    value = body.split(b"\0", 1)[1]
    return _inflate(value[1:]) if kind == b"zTXt" else value[:_MAX_METADATA]


def _international(body: bytes) -> bytes | None:
    parts = body.split(b"\0", 1)[1]
    rest = parts[2:].split(b"\0", 2)
    if len(parts) < 2 or len(rest) != 3:
        return None
    return _inflate(rest[2]) if parts[0] else rest[2][:_MAX_METADATA]


def _inflate(value: bytes) -> bytes:
    """At most 1 MiB of a zlib stream; what is damaged is empty: metadata never fails an image."""
    try:
        return zlib.decompressobj().decompress(value, _MAX_METADATA)
    except zlib.error:
        return b""


def _raw_profile(value: bytes) -> bytes:
    """The EXIF that ImageMagick stores as hexadecimal lines behind a name and a length."""
    digits = b"".join(value.split(b"\n")[3:])
    try:
        return bytes.fromhex(digits.decode("ascii"))
    except ValueError:
        return b""
