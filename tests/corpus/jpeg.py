"""JPEG and EXIF, sound and broken."""

import struct
from collections.abc import Iterator

from cvdata.errors import ErrorCode as E
from tests.corpus.base import Case, photo, saved


def ifd(entries: list[tuple[int, int, int, bytes]], order: str = "<", after: int = 0) -> bytes:
    """A directory of (tag, type, count, 4 bytes of value or offset)."""
    body = b"".join(struct.pack(order + "HHI", *e[:3]) + e[3].ljust(4, b"\0") for e in entries)
    return struct.pack(order + "H", len(entries)) + body + struct.pack(order + "I", after)


def exif(orientation: int) -> bytes:
    """A minimal EXIF structure, without `Exif\\0\\0`."""
    entry = (0x0112, 3, 1, struct.pack("<H", orientation))
    return b"II*\0\x08\0\0\0" + ifd([entry])


def with_app1(jpeg: bytes, body: bytes) -> bytes:
    """`jpeg` with an APP1 segment right behind its start."""
    return jpeg[:2] + b"\xff\xe1" + struct.pack(">H", len(body) + 2) + body + jpeg[2:]


def exif_cases() -> Iterator[Case]:
    base = saved("RGB", "JPEG", quality=95)
    bad = {
        "garbage": b"\x13\x37" * 40,
        "empty": b"",
        "no-directory": b"II*\0\xff\xff\0\0",
        "self-reference": b"II*\0\x08\0\0\0" + ifd([(0x8769, 4, 1, struct.pack("<I", 8))], after=8),
        "huge-count": b"II*\0\x08\0\0\0" + ifd([(0x010F, 2, 0xFFFFFFFF, b"\x10\0\0\0")]),
        "far-offset": b"II*\0\x08\0\0\0" + ifd([(0x0132, 2, 20, b"\xff\xff\xff\x7f")]),
        "many-entries": b"II*\0\x08\0\0\0" + b"\xff\xff" + b"\x12\x01\x03\0" * 300,
        "orientation-99": exif(99),
    }
    for name, body in bad.items():
        flags = () if name == "self-reference" else ("exif_invalid",)
        yield Case(f"exif-{name}.jpg", with_app1(base, b"Exif\0\0" + body), flags=flags)
    xmp = b"http://ns.adobe.com/xap/1.0/\0<tiff:Orientation>6</tiff:Orientation>"
    yield Case("xmp-turned.jpg", with_app1(base, xmp))
    for orientation in range(9):
        yield Case(f"exif-{orientation}.jpg", with_app1(base, b"Exif\0\0" + exif(orientation)))


def jpeg_cases() -> Iterator[Case]:
    base = saved("RGB", "JPEG", quality=90)
    progressive = saved("RGB", "JPEG", quality=90, progressive=True)
    sof = base.index(b"\xff\xc0")
    scan = base.index(b"\xff\xda")
    middle = scan + (len(base) - scan) // 2
    yield Case("good.jpg", base)
    yield Case("progressive.jpg", progressive)
    yield Case("gray.jpg", saved("L", "JPEG"))
    for sampling in (0, 1, 2):
        yield Case(f"sampling{sampling}.jpg", saved("RGB", "JPEG", subsampling=sampling))
    yield Case("rgb-coded.jpg", saved("RGB", "JPEG", keep_rgb=True))
    yield Case("restarts.jpg", saved("RGB", "JPEG", restart_marker_blocks=1))
    yield Case("odd-size.jpg", saved("RGB", "JPEG", photo(17, 13)))
    yield Case("one-pixel.jpg", saved("RGB", "JPEG", photo(1, 1)))
    cmyk = saved("CMYK", "JPEG")
    yield Case("cmyk.jpg", cmyk, flags=("was_cmyk",))
    adobe = cmyk.index(b"Adobe") + 11
    yield Case("ycck.jpg", cmyk[:adobe] + b"\2" + cmyk[adobe + 1 :], flags=("was_cmyk",))
    plain = cmyk.index(b"\xff\xee")
    yield Case("cmyk-plain.jpg", cmyk[:plain] + cmyk[plain + 16 :], flags=("was_cmyk",))
    yield Case("no-end.jpg", base[:-2], E.TRUNCATED)
    yield Case("half-then-end.jpg", base[:middle] + b"\xff\xd9", E.TRUNCATED)
    at = progressive.rindex(b"\xff\xda")
    yield Case("one-scan-less.jpg", progressive[: at + 20] + b"\xff\xd9", E.TRUNCATED)
    cut = cmyk.index(b"\xff\xda") + 200
    yield Case("cmyk-half.jpg", cmyk[:cut] + b"\xff\xd9", E.TRUNCATED)
    interval = b"\xff\xdd\0\4\xff\xff"
    yield Case("restart-interval.jpg", base[:sof] + interval + base[sof:])
    broken = b"\xff\xdd\0\4\0\1"
    yield Case("restart-missing.jpg", base[:sof] + broken + base[sof:], E.CORRUPT)
    for code, name in ((0xC3, "lossless"), (0xC5, "hierarchical"), (0xCB, "lossless-arithmetic")):
        patched = base[: sof + 1] + bytes([code]) + base[sof + 2 :]
        yield Case(f"{name}.jpg", patched, E.FORMAT_DENIED)
    yield Case("arithmetic.jpg", base[: sof + 1] + b"\xc9" + base[sof + 2 :], E.CORRUPT)
    yield Case("12-bit.jpg", base[: sof + 4] + b"\x0c" + base[sof + 5 :], E.FORMAT_DENIED)
    size = sof + 5
    bomb = base[:size] + struct.pack(">HH", 65_500, 65_500) + base[size + 4 :]
    yield Case("bomb.jpg", bomb, E.TOO_MANY_PIXELS)
    taller = base[:size] + struct.pack(">HH", 64, 48) + base[size + 4 :]
    yield Case("taller-than-data.jpg", taller, E.TRUNCATED)
    for name, dims in (("height", (0, 48)), ("width", (32, 0))):
        zero = base[:size] + struct.pack(">HH", *dims) + base[size + 4 :]
        yield Case(f"zero-{name}.jpg", zero, E.CORRUPT)
    tables = base.index(b"\xff\xc4")
    yield Case("no-huffman.jpg", base[:tables] + base[scan:])
    yield Case("bad-huffman.jpg", base[: tables + 6] + b"\xff" * 8 + base[tables + 14 :], E.CORRUPT)
    quant = base.index(b"\xff\xdb")
    yield Case("no-quantisation.jpg", base[:quant] + base[sof:], E.CORRUPT)
    yield Case("no-frame.jpg", base[:sof] + base[tables:], E.CORRUPT)
    yield Case("only-markers.jpg", b"\xff\xd8\xff\xd9", E.TRUNCATED)
    yield Case("end-too-early.jpg", base[:20] + b"\xff\xd9\0\0", E.CORRUPT)
    yield Case("short-segment.jpg", base[:20] + b"\xff\xe5\0\1" + base[20:], E.CORRUPT)
    yield Case("comments.jpg", base[:2] + b"\xff\xfe\0\2" * 60_000 + base[2:], E.CORRUPT)
    yield Case("trailing.jpg", base + bytes(500), flags=("trailing_bytes",))
    yield Case("two-in-one.jpg", base + progressive, flags=("trailing_bytes",))
    yield Case("named.png", base, flags=("wrong_extension",))
    icc = b"\xff\xe2\0\x14ICC_PROFILE\0\1\1abcd"
    yield Case("icc.jpg", base[:2] + icc + base[2:], flags=("has_icc",))
    yield Case("padding.jpg", base[:-2] + b"\xff" * 20 + base[-1:])
