"""WebP: the RIFF chunk walk. The canvas is known before libwebp allocates it."""

from cvdata.decode.facts import Facts, corrupt, truncated

_MAX_CHUNKS = 100_000


def _u24(data: bytes, pos: int) -> int:
    return int.from_bytes(data[pos : pos + 3], "little")


def scan(data: bytes) -> Facts:
    """Header facts of a WebP; `truncated` where the file is shorter than RIFF says."""
    if len(data) < 20:
        raise truncated("WebP ends within its header")
    riff = 8 + int.from_bytes(data[4:8], "little")
    if riff > len(data):
        raise truncated(f"WebP of {len(data)} bytes says that it has {riff}")
    chunks = _chunks(data, riff)
    kinds = [kind for kind, _, _ in chunks]
    size, alpha = _canvas(data, chunks)
    exif = _body(data, chunks, b"EXIF")
    return Facts(
        format="WEBP",
        width=size[0],
        height=size[1],
        mode="RGBA" if alpha else "RGB",
        n_frames=max(1, kinds.count(b"ANMF")),
        has_icc=b"ICCP" in kinds,
        exif=exif,
        xmp=_body(data, chunks, b"XMP "),
        trailing_bytes=max(0, len(data) - riff - (riff & 1)),
    )


def _chunks(data: bytes, end: int) -> list[tuple[bytes, int, int]]:
    """(kind, start, length) of every chunk inside the RIFF."""
    found, pos = [], 12
    while pos + 8 <= end:
        length = int.from_bytes(data[pos + 4 : pos + 8], "little")
        if pos + 8 + length > end:
            raise corrupt(f"WebP chunk {data[pos : pos + 4]!r} is longer than its file")
        found.append((data[pos : pos + 4], pos + 8, length))
        if len(found) > _MAX_CHUNKS:
            raise corrupt(f"WebP with more than {_MAX_CHUNKS} chunks")
        pos += 8 + length + (length & 1)
    if not found:
        raise truncated("WebP without a chunk")
    return found


def _body(data: bytes, chunks: list[tuple[bytes, int, int]], kind: bytes) -> bytes | None:
    for name, start, length in chunks:
        if name == kind:
            return data[start : start + length]
    return None


def _canvas(data: bytes, chunks: list[tuple[bytes, int, int]]) -> tuple[tuple[int, int], bool]:
    """((width, height), whether alpha is announced) from the first chunk."""
    kind, start, length = chunks[0]
    if kind == b"VP8X" and length >= 10:
        return (_u24(data, start + 4) + 1, _u24(data, start + 7) + 1), bool(data[start] & 0x10)
    if kind == b"VP8 " and length >= 10 and data[start + 3 : start + 6] == b"\x9d\x01\x2a":
        width = int.from_bytes(data[start + 6 : start + 8], "little") & 0x3FFF
        return (width, int.from_bytes(data[start + 8 : start + 10], "little") & 0x3FFF), False
    if kind == b"VP8L" and length >= 5 and data[start] == 0x2F:
        bits = int.from_bytes(data[start + 1 : start + 5], "little")
        return ((bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1), bool(bits >> 28 & 1)
    raise corrupt(f"WebP starts with chunk {kind!r} of {length} bytes")
