"""GIF: the block walk, bounded, so that counting frames never costs more than a moment."""

import struct

from cvdata.decode.facts import Facts, corrupt, truncated

MAX_STEPS = 500_000
"""Sub-blocks visited at most, 127 MB of pixels; beyond, `n_frames` is what was seen so far."""
MAX_FRAMES = 65_536
"""Frames, or other blocks, counted at most."""


_TRAILER, _EXTENSION, _IMAGE = 0x3B, 0x21, 0x2C


def scan(data: bytes) -> Facts:
    """Header facts of a GIF; `truncated` where the file ends before its trailer."""
    if len(data) < 13:
        raise truncated("GIF ends within its header")
    if data[:6] not in (b"GIF87a", b"GIF89a"):
        raise corrupt("GIF version is neither 87a nor 89a")
    pos = 13 + _table(data[10])
    frames, end, size = _blocks(data, pos)
    return Facts(
        format="GIF",
        width=size[0],
        height=size[1],
        n_frames=frames,
        trailing_bytes=len(data) - end,
    )


def _table(flags: int) -> int:
    """Bytes of the colour table that a flag byte announces."""
    return 3 << ((flags & 7) + 1) if flags & 0x80 else 0


def _blocks(data: bytes, pos: int) -> tuple[int, int, tuple[int, int]]:
    """(frames, offset behind the trailer, canvas size grown to hold the first frame)."""
    frames, steps, blocks = 0, 0, 0
    canvas = (int.from_bytes(data[6:8], "little"), int.from_bytes(data[8:10], "little"))
    while pos < len(data):
        kind = data[pos]
        if kind == _TRAILER:
            if not frames:
                raise corrupt("GIF without an image")
            return frames, pos + 1, canvas
        if kind == _IMAGE:
            if pos + 10 > len(data):
                break
            if not frames:
                canvas = _grown(data, pos, canvas)
            frames += 1
            pos += 11 + _table(data[pos + 9])
        else:
            # Bytes that start no block are skipped one by one, as every decoder does.
            pos += 2 if kind == _EXTENSION else 1
        if kind in (_IMAGE, _EXTENSION):
            pos, steps = _sub_blocks(data, pos, steps)
        blocks += 1
        if steps >= MAX_STEPS or blocks >= 2 * MAX_FRAMES or frames >= MAX_FRAMES:
            if not frames:
                raise corrupt("GIF with too many blocks before its first image")
            return frames, len(data), canvas
    raise truncated("GIF ends before its trailer")


def _sub_blocks(data: bytes, pos: int, steps: int) -> tuple[int, int]:
    """(offset behind the terminator, steps taken so far)."""
    size = len(data)
    while pos < size and (length := data[pos]) and steps < MAX_STEPS:
        pos += 1 + length
        steps += 1
    return pos + 1, steps


def _grown(data: bytes, pos: int, canvas: tuple[int, int]) -> tuple[int, int]:
    """The canvas, grown where the frame whose descriptor is at `pos` reaches over it."""
    left, top, width, height = struct.unpack_from("<HHHH", data, pos + 1)
    if not width or not height:
        raise corrupt("GIF whose first frame is empty")
    return max(canvas[0], left + width), max(canvas[1], top + height)
