"""Generator of odd and hostile image files, each with what must become of it.

`cases()` is deterministic and needs nothing but Pillow and NumPy; what Pillow does not write
(interlaced PNG, tiled TIFF, RLE BMP, hostile headers) is put together from bytes.
"""

import struct
import zlib

import numpy as np

from tests.corpus.base import Case
from tests.corpus.bmp import bmp_cases
from tests.corpus.gif import gif_cases
from tests.corpus.jpeg import exif_cases, jpeg_cases
from tests.corpus.other import cut_cases, other_cases
from tests.corpus.png import png_cases
from tests.corpus.tiff import tiff_cases
from tests.corpus.webp import webp_cases


def cases() -> list[Case]:
    """The whole corpus, in a fixed order."""
    families = (
        *(png_cases, jpeg_cases, exif_cases, gif_cases, webp_cases),
        *(bmp_cases, tiff_cases, other_cases, cut_cases),
    )
    return [case for family in families for case in family()]


def mutate(data: bytes, rng: np.random.Generator, donor: bytes = b"") -> bytes:
    """One random injury: bits flipped, a stretch cut out, overwritten, doubled, or spliced in."""
    out = bytearray(data)
    kind = int(rng.integers(0, 6))
    at = int(rng.integers(0, max(1, len(out))))
    stretch = int(rng.integers(1, 64))
    if kind == 0:
        for place in rng.integers(0, len(out), int(rng.integers(1, 9))):
            out[place] ^= 1 << int(rng.integers(0, 8))
    elif kind == 1:
        del out[at:]
    elif kind == 2:
        del out[at : at + stretch]
    elif kind == 3:
        out[at : at + stretch] = rng.bytes(len(out[at : at + stretch]))
    elif kind == 4:
        out[at:at] = out[at : at + stretch]
    else:
        start = int(rng.integers(0, max(1, len(donor))))
        out[at:] = donor[start:]
    return bytes(out)


def resealed(png: bytes) -> bytes:
    """A damaged PNG with every CRC made right again, so that the damage reaches the decoder."""
    out, pos = bytearray(png[:8]), 8
    while pos + 12 <= len(png):
        (length,) = struct.unpack_from(">I", png, pos)
        body = png[pos + 4 : pos + 8 + length]
        out += png[pos : pos + 4] + body + struct.pack(">I", zlib.crc32(body))
        pos += 12 + length
    return bytes(out)
