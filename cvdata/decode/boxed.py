"""ISO boxes (AVIF, HEIF, JP2): whether the file is as long as its outermost boxes say."""

from cvdata.decode.facts import corrupt, truncated

_MAX_BOXES = 10_000


def check(data: bytes) -> None:
    """Raise `truncated` where a box runs past the end. A bare codestream has no boxes to check."""
    if data.startswith(b"\xff\x4f"):
        return
    pos = 0
    for _ in range(_MAX_BOXES):
        if pos == len(data):
            return
        size = int.from_bytes(data[pos : pos + 4], "big")
        if size == 1:
            size = int.from_bytes(data[pos + 8 : pos + 16], "big")
        elif size == 0:
            # The last box may reach to the end of the file, wherever that is.
            return
        if pos + size > len(data) or pos + 8 > len(data):
            raise truncated(f"box at {pos} of {size} bytes in a file of {len(data)}")
        if size < 8:
            raise corrupt(f"box at {pos} of {size} bytes")
        pos += size
    raise corrupt(f"file with more than {_MAX_BOXES} boxes")
