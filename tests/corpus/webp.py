"""WebP: every kind, and every way to break it."""

import io
from collections.abc import Iterator

import numpy as np
from PIL import Image as PilImage

from cvdata.errors import ErrorCode as E
from tests.corpus.base import Case, photo, saved


def webp_cases() -> Iterator[Case]:
    rgb = photo()
    lossless = saved("RGB", "WEBP", lossless=True)
    lossy = saved("RGB", "WEBP", quality=80)
    alpha = np.dstack([rgb, np.full((32, 48), 255, np.uint8)])
    alpha[:10, :, 3] = 0
    seen = rgb.copy()
    seen[:10] = 255
    yield Case("lossless.webp", lossless, pixels=rgb)
    yield Case("lossy.webp", lossy)
    clear = saved("RGBA", "WEBP", alpha, lossless=True, exact=True)
    yield Case("alpha.webp", clear, pixels=seen, flags=("had_alpha",))
    yield Case("alpha-lossy.webp", saved("RGBA", "WEBP", alpha), flags=("had_alpha",))
    frames = [PilImage.fromarray(photo(seed=i)) for i in range(3)]
    buffer = io.BytesIO()
    frames[0].save(buffer, "WEBP", save_all=True, append_images=frames[1:], lossless=True)
    animated = buffer.getvalue()
    yield Case("animated.webp", animated, pixels=rgb, flags=("multi_frame",))
    at = animated.index(b"VP8X") + 12
    yield Case(
        "bomb.webp", animated[:at] + b"\xff\x3f\0\xff\x3f\0" + animated[at + 6 :], E.TOO_MANY_PIXELS
    )
    bits = 20 + 1
    yield Case(
        "bomb-lossless.webp",
        lossless[:bits] + b"\xff\xff\xff\x0f" + lossless[bits + 4 :],
        E.TOO_MANY_PIXELS,
    )
    yield Case("bad-chunk.webp", lossless[:12] + b"JUNK" + lossless[16:], E.CORRUPT)
    long = lossless[:16] + b"\xff\xff\xff\x7f" + lossless[20:]
    yield Case("long-chunk.webp", long, E.CORRUPT)
    noise = bytes((i * 37 + 11) & 255 for i in range(60))
    yield Case("bad-pixels.webp", lossless[:30] + noise + lossless[90:], E.CORRUPT)
    yield Case("trailing.webp", lossless + b"more", pixels=rgb, flags=("trailing_bytes",))
