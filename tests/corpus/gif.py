"""GIF: every kind, and every way to break it."""

import io
from collections.abc import Iterator

import numpy as np
from PIL import Image as PilImage

from cvdata.errors import ErrorCode as E
from tests.corpus.base import Case, gray_of, photo, saved


def gif_cases() -> Iterator[Case]:
    gray = photo()[:, :, 1]
    good = saved("L", "GIF", gray)
    yield Case("good.gif", good, pixels=gray_of(gray))
    yield Case("palette.gif", saved("P", "GIF"))
    clear = PilImage.fromarray(gray >> 6)
    clear.putpalette(bytes([0, 0, 0, 80, 0, 0, 0, 160, 0, 0, 0, 240]))
    buffer = io.BytesIO()
    clear.save(buffer, "GIF", transparency=1)
    colors = np.array([[0, 0, 0], [255, 255, 255], [0, 160, 0], [0, 0, 240]], np.uint8)
    yield Case("transparent.gif", buffer.getvalue(), pixels=colors[gray >> 6], flags=("had_alpha",))
    frames = [PilImage.fromarray(photo(seed=i)[:, :, 1]) for i in range(4)]
    buffer = io.BytesIO()
    frames[0].save(buffer, "GIF", save_all=True, append_images=frames[1:])
    animated = buffer.getvalue()
    yield Case("animated.gif", animated, pixels=gray_of(gray), flags=("multi_frame",))
    yield Case("animated-cut.gif", animated[: len(animated) * 3 // 4], E.TRUNCATED)
    frame = b"\x2c\0\0\0\0\1\0\1\0\0\2\2\x44\1\0"
    head = b"GIF89a\1\0\1\0\x80\0\0\0\0\0\xff\xff\xff"
    yield Case("million-frames.gif", head + frame * 1_000_000 + b";", flags=("multi_frame",))
    comment = b"!\xfe" + b"\1a" * 3_000_000 + b"\0"
    yield Case("comment-bomb.gif", head + comment + frame + b";", E.CORRUPT)
    yield Case("bomb.gif", good[:6] + b"\xff\xff\xff\xff" + good[10:], E.TOO_MANY_PIXELS)
    at = good.index(b"\x2c", 13 + 768)
    wide = good[: at + 5] + b"\xff\xff\xff\xff" + good[at + 9 :]
    yield Case("bomb-frame.gif", wide, E.TOO_MANY_PIXELS)
    empty = good[: at + 5] + b"\0\0\0\0" + good[at + 9 :]
    yield Case("zero-frame.gif", empty, E.CORRUPT)
    yield Case("no-frame.gif", head + b";", E.CORRUPT)
    yield Case("no-trailer.gif", good[:-1], E.TRUNCATED)
    yield Case("bad-version.gif", b"GIF88a" + good[6:], E.CORRUPT)
    short = head[:6] + b"\x10\0\x10\0" + head[10:] + b"\x2c\0\0\0\0\x10\0\x10\0\0\2\2\x44\1\0;"
    yield Case("few-codes.gif", short, E.TRUNCATED)
    yield Case("trailing.gif", good + b"more", flags=("trailing_bytes",))
