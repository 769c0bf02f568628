"""JPEG segments: quality, end of image, pictures behind the first."""

import io
import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image as PilImage

from cvdata.decode import jpeg
from cvdata.errors import ImageError
from tests.corpus.base import photo, saved


@pytest.mark.parametrize("quality", range(1, 101))
def test_quality_is_what_the_encoder_was_given(quality: int) -> None:
    assert jpeg.scan(saved("RGB", "JPEG", quality=quality)).jpeg_quality == quality
    assert jpeg.scan(saved("L", "JPEG", quality=quality)).jpeg_quality == quality


def test_quality_of_foreign_tables_is_the_nearest_and_monotonic() -> None:
    finest, coarsest = bytes([1] * 64), bytes([255] * 64)
    assert jpeg.quality(finest) == 100
    assert jpeg.quality(coarsest) == 1
    found = [jpeg.quality(bytes([v] * 64)) for v in range(1, 256)]
    assert found == sorted(found, reverse=True)
    wide = struct.pack(">64H", *([300] * 64))
    assert jpeg.quality(wide) == 1


def test_wide_tables_are_read_too() -> None:
    data = saved("RGB", "JPEG", quality=70)
    at = data.index(b"\xff\xdb")
    table = data[at + 5 : at + 69]
    wide = b"\xff\xdb" + struct.pack(">H", 131) + b"\x10" + b"".join(bytes([0, v]) for v in table)
    assert jpeg.scan(data[:at] + wide + data[at + 69 :]).jpeg_quality == 70


@given(st.binary(max_size=300))
def test_trailing_bytes_are_counted_whatever_they_are(tail: bytes) -> None:
    for data in (saved("RGB", "JPEG"), saved("RGB", "JPEG", progressive=True)):
        assert jpeg.scan(data + tail).trailing_bytes == len(tail)


def test_pictures_behind_the_first_are_counted_and_are_no_trailing_bytes() -> None:
    frames = [PilImage.fromarray(photo(seed=i)) for i in range(3)]
    buffer = io.BytesIO()
    frames[0].save(buffer, "MPO", save_all=True, append_images=frames[1:])
    facts = jpeg.scan(buffer.getvalue())
    assert facts.n_frames == 3
    assert facts.trailing_bytes == 0
    assert jpeg.scan(buffer.getvalue() + b"12345").trailing_bytes == 5


def test_without_metadata_keeps_the_pixels() -> None:
    plain = saved("CMYK", "JPEG")
    dressed = saved("CMYK", "JPEG", exif=b"Exif\0\0abc", comment=b"hello")
    assert b"hello" in dressed
    assert jpeg.without_metadata(dressed) == jpeg.without_metadata(plain)
    with PilImage.open(io.BytesIO(plain)) as a:
        clean = jpeg.without_metadata(dressed)
        with PilImage.open(io.BytesIO(clean)) as b:
            np.testing.assert_array_equal(np.asarray(a), np.asarray(b))


@given(st.binary(max_size=400))
def test_scan_raises_nothing_but_image_errors(rest: bytes) -> None:
    with pytest.raises(ImageError):
        jpeg.scan(b"\xff\xd8\xff" + rest)
