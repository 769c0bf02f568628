"""What is no image, what is none of the formats, and every format cut short."""

import io
import zipfile
from collections.abc import Iterator

import numpy as np

from cvdata.errors import ErrorCode as E
from tests.corpus.base import Case, photo, saved


def other_cases() -> Iterator[Case]:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr(zipfile.ZipInfo("a.jpg"), saved("RGB", "JPEG"))
    nothing = {
        "empty.jpg": (b"", E.EMPTY),
        "byte.jpg": (b"\xff", E.NOT_AN_IMAGE),
        "start.jpg": (b"\xff\xd8", E.TRUNCATED),
        "text.jpg": (b"This is not an image.\n", E.NOT_AN_IMAGE),
        "bm.jpg": (b"BMW builds cars, and this is text.\n" * 3, E.NOT_AN_IMAGE),
        "page.jpg": (b"<!DOCTYPE html><html><body>404</body></html>", E.NOT_AN_IMAGE),
        "archive.png": (archive.getvalue(), E.NOT_AN_IMAGE),
        "zeros.png": (bytes(4096), E.NOT_AN_IMAGE),
        "noise.png": (np.random.default_rng(5).bytes(4096), E.NOT_AN_IMAGE),
        "data.json": (b'{"image": null}', E.NOT_AN_IMAGE),
        "video.mp4": (b"\0\0\0\x18ftypisom\0\0\2\0isomiso2" + bytes(64), E.NOT_AN_IMAGE),
        "sound.wav": (b"RIFF\x24\0\0\0WAVEfmt " + bytes(28), E.NOT_AN_IMAGE),
        "paper.pdf": (b"%PDF-1.7\n1 0 obj\n", E.FORMAT_DENIED),
        "drawing.svg": (b'<?xml version="1.0"?>\n<svg xmlns="http://a/"/>', E.FORMAT_DENIED),
        "bare.svg": (b"\xef\xbb\xbf<svg/>", E.FORMAT_DENIED),
        "old.eps": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", E.FORMAT_DENIED),
        "dos.eps": (b"\xc5\xd0\xd3\xc6" + bytes(60), E.FORMAT_DENIED),
        "drawing.wmf": (b"\xd7\xcd\xc6\x9a" + bytes(60), E.FORMAT_DENIED),
        "drawing.emf": (b"\1\0\0\0" + bytes(36) + b" EMF" + bytes(60), E.FORMAT_DENIED),
        "layers.psd": (b"8BPS\0\1" + bytes(60), E.FORMAT_DENIED),
        "plain.ppm": (b"P6\n2 2\n255\n" + bytes(12), E.FORMAT_DENIED),
        "web.jxl": (b"\0\0\0\x0cJXL \r\n\x87\n" + bytes(20), E.FORMAT_DENIED),
        "phone.heic": (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(64), E.FORMAT_DENIED),
    }
    for name, (data, code) in nothing.items():
        yield Case(name, data, code)
    for fmt, name in (("ICO", "a.ico"), ("ICNS", "a.icns"), ("TGA", "a.tga"), ("DDS", "a.dds")):
        yield Case(name, saved("RGB", fmt, photo(32, 32)), E.FORMAT_DENIED)
    for fmt in ("AVIF", "JPEG2000", "QOI", "PCX", "SGI"):
        yield Case(f"a.{fmt.lower()}", saved("RGB", fmt, photo(32, 32)), E.FORMAT_DENIED)


def cut_cases() -> Iterator[Case]:
    """Every format that is decoded, cut in its header, its middle and before its last byte."""
    whole = {
        "baseline.jpg": saved("RGB", "JPEG"),
        "progressive.jpg": saved("RGB", "JPEG", progressive=True),
        "cmyk.jpg": saved("CMYK", "JPEG"),
        "a.png": saved("RGB", "PNG"),
        "a.gif": saved("P", "GIF"),
        "lossy.webp": saved("RGB", "WEBP"),
        "lossless.webp": saved("RGB", "WEBP", lossless=True),
        "a.bmp": saved("RGB", "BMP"),
        "raw.tif": saved("RGB", "TIFF"),
        "lzw.tif": saved("RGB", "TIFF", compression="tiff_lzw"),
        "big.tif": saved("RGB", "TIFF", big_tiff=True),
    }
    for name, data in whole.items():
        for where, size in (("header", 14), ("middle", len(data) // 2), ("end", len(data) - 1)):
            yield Case(f"cut-{where}-{name}", data[:size], E.TRUNCATED)
