"""BMP: the header, and whether the rows that it promises are there."""

import struct

from cvdata.decode.facts import Facts, corrupt, truncated, unsupported

_RAW, _RLE8, _RLE4, _BITFIELDS, _ALPHA_BITFIELDS = 0, 1, 2, 3, 6
_DEPTHS = frozenset({1, 4, 8, 16, 24, 32})


def scan(data: bytes) -> Facts:
    """Header facts of a BMP; `truncated` where rows, or bytes of the stated size, are missing."""
    if len(data) < 26:
        raise truncated("BMP ends within its header")
    stated, _, start, header = struct.unpack_from("<IIII", data, 2)
    if header == 12:
        width, height, _, bits = struct.unpack_from("<HHHH", data, 18)
        compression = _RAW
    elif header in (40, 52, 56, 64, 108, 124):
        if len(data) < 14 + header:
            raise truncated("BMP ends within its header")
        width, height, _, bits, compression = struct.unpack_from("<iiHHI", data, 18)
        height = abs(height)
    else:
        raise unsupported(f"BMP header of {header} bytes")
    if width <= 0 or height <= 0:
        raise corrupt(f"BMP of {width} x {height} pixels")
    if bits not in _DEPTHS or compression not in (_RAW, _RLE8, _RLE4, _BITFIELDS):
        raise unsupported(f"BMP with {bits} bits per pixel, compression {compression}")
    end = _end(len(data), start, (width, height, bits, compression), stated)
    return Facts(
        format="BMP",
        width=width,
        height=height,
        bits=min(bits, 8),
        trailing_bytes=max(0, len(data) - end),
    )


def _end(size: int, start: int, layout: tuple[int, int, int, int], stated: int) -> int:
    """Offset behind the last byte that belongs to the file, or `truncated`."""
    width, height, bits, compression = layout
    if compression in (_RLE8, _RLE4):
        if stated > size and start < size:
            raise truncated(f"BMP of {size} bytes says that it has {stated}")
        return stated or size
    # The last row may come without its padding; some writers leave it out.
    needed = start + (width * bits + 31) // 32 * 4 * (height - 1) + (width * bits + 7) // 8
    if needed > size:
        raise truncated(f"BMP of {size} bytes needs {needed}")
    return max(needed + (-(width * bits + 7) // 8) % 4, stated)
