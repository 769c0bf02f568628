"""Sniffing, and the bounded walks over GIF, PNG, TIFF and WebP."""

import io
import struct
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image as PilImage

from cvdata.decode import gif, png, tiff, webp
from cvdata.decode.sniff import is_wrong_extension, sniff
from cvdata.errors import ImageError
from cvdata.image import open_image
from tests.corpus.base import photo, saved
from tests.corpus.png import adam7, unfiltered
from tests.corpus.png import png as make_png


def animated(fmt: str, n: int) -> bytes:
    frames = [PilImage.fromarray(photo(16, 12, seed=i)) for i in range(n)]
    buffer = io.BytesIO()
    frames[0].save(buffer, fmt, save_all=True, append_images=frames[1:])
    return buffer.getvalue()


@pytest.mark.parametrize("n", [1, 2, 7])
def test_frames_are_counted_as_pillow_counts_them(n: int) -> None:
    scanners = {"GIF": gif.scan, "PNG": png.scan, "TIFF": tiff.scan, "WEBP": webp.scan}
    for fmt, scan in scanners.items():
        data = animated(fmt, n)
        with PilImage.open(io.BytesIO(data)) as image:
            assert scan(data).n_frames == n == getattr(image, "n_frames", 1)


def test_counting_frames_is_bounded() -> None:
    head = b"GIF89a\1\0\1\0\x80\0\0\0\0\0\xff\xff\xff"
    frame = b"\x2c\0\0\0\0\1\0\1\0\0\2\2\x44\1\0"
    few = gif.scan(head + frame * 1000 + b";")
    assert few.n_frames == 1000
    started = time.process_time()
    assert gif.scan(head + frame * 2_000_000 + b";").n_frames == gif.MAX_FRAMES
    assert gif.scan(head + frame + b"!\xfe" + b"\1a" * 20_000_000 + b"\0;").n_frames == 1
    assert time.process_time() - started < 2.0


def test_tiff_chains_are_bounded() -> None:
    data = saved("RGB", "TIFF")
    (first,) = struct.unpack_from("<I", data, 4)
    (count,) = struct.unpack_from("<H", data, first)
    pointer = first + 2 + 12 * count
    loop = data[:pointer] + struct.pack("<I", first) + data[pointer + 4 :]
    assert tiff.scan(loop).n_frames <= 2
    extra = b"".join(
        struct.pack("<HHHIII", 1, 256, 4, 1, 1, len(data) + 18 * (i + 1)) for i in range(200_000)
    )
    chain = data[:pointer] + struct.pack("<I", len(data)) + data[pointer + 4 :] + extra
    started = time.process_time()
    assert tiff.scan(chain).n_frames == tiff.MAX_FRAMES
    assert time.process_time() - started < 2.0


@given(st.integers(1, 40), st.integers(1, 40), st.integers(0, 1))
def test_all_rows_of_a_png_are_counted(width: int, height: int, interlace: int) -> None:
    rgb = photo(width, height)
    rows = adam7(rgb) if interlace else unfiltered(rgb)
    whole = make_png((width, height), 8, 2, rows, interlace=interlace)
    short = make_png((width, height), 8, 2, rows[:-1], interlace=interlace)
    assert png.has_all_rows(png.scan(whole).clean or b"")
    assert not png.has_all_rows(png.scan(short).clean or b"")


@pytest.mark.parametrize("scan", [gif.scan, png.scan, tiff.scan, webp.scan])
@given(rest=st.binary(max_size=300))
def test_scanners_raise_nothing_but_image_errors(scan: object, rest: bytes) -> None:
    magic = {gif.scan: b"GIF89a", png.scan: png.SIGNATURE, tiff.scan: b"II*\0\x08\0\0\0"}
    try:
        scan(magic.get(scan, b"RIFF\xff\0\0\0WEBP") + rest)  # type: ignore[operator,call-overload]
    except ImageError:
        return


@pytest.mark.parametrize("fmt", ["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF", "JPEG2000"])
def test_sniff_names_what_pillow_writes(fmt: str) -> None:
    assert sniff(saved("RGB", fmt)) == fmt


@given(st.binary(max_size=200))
def test_sniff_takes_anything(data: bytes) -> None:
    assert sniff(data) is None or isinstance(sniff(data), str)
    text = data.hex().encode()
    assert sniff(text) is None


@pytest.mark.parametrize(
    "data",
    [
        b" " * 5000,
        b"<!---->" * 700,
        b"<!--" * 1200,
        b"<?xml?>" * 700,
        b"<" + b"a" * 5000,
        b"\xff\xd8" + b"\xff" * 30_000_000,
        b"\xff\xd8\xff" + bytes(30_000_000),
    ],
)
def test_no_text_takes_long_to_be_refused(data: bytes) -> None:
    started = time.process_time()
    with pytest.raises(ImageError):
        open_image(data)
    assert time.process_time() - started < 1.0


def test_extensions_of_other_things_prove_nothing() -> None:
    assert not is_wrong_extension("0001", "PNG")
    assert not is_wrong_extension("photo.2021", "PNG")
    assert not is_wrong_extension("raw.dng", "TIFF")
    assert is_wrong_extension("photo.JPG", "PNG")


def test_a_png_that_ends_in_black_is_whole_and_one_that_lacks_a_row_is_not() -> None:
    rows = unfiltered(np.zeros((20, 20, 3), np.uint8))
    assert open_image(make_png((20, 20), 8, 2, rows)).rgb.max() == 0
    with pytest.raises(ImageError, match="fewer rows"):
        open_image(make_png((20, 20), 8, 2, rows[:-61]))
