"""EXIF facts against Pillow's own reader, and against garbage."""

import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image as PilImage

from cvdata.decode.exif import Exif, iso_datetime, read_exif

TEXT = st.text(
    st.characters(codec="ascii", min_codepoint=33, max_codepoint=126), min_size=1, max_size=40
)


@given(st.integers(1, 8), TEXT, TEXT, TEXT, st.datetimes(min_value=datetime.datetime(1900, 1, 1)))
def test_reads_what_pillow_writes(
    orientation: int, make: str, model: str, software: str, when: datetime.datetime
) -> None:
    exif = PilImage.Exif()
    exif[0x0112], exif[0x010F], exif[0x0110], exif[0x0131] = orientation, make, model, software
    exif[0x0132] = "2001:01:01 00:00:00"
    exif.get_ifd(0x8769)[0x9003] = when.strftime("%Y:%m:%d %H:%M:%S").rjust(19, "0")
    exif.get_ifd(0x8825)[1] = "N"
    assert read_exif(exif.tobytes()) == Exif(
        orientation=orientation,
        datetime=when.replace(microsecond=0).isoformat(),
        make=make,
        model=model,
        software=software,
        has_gps=True,
    )


@given(st.binary(max_size=300), st.sampled_from([b"", b"II*\0\x08\0\0\0", b"MM\0*\0\0\0\x08"]))
def test_garbage_is_never_an_error(rest: bytes, head: bytes) -> None:
    found = read_exif(head + rest)
    for text in (found.make, found.model, found.software):
        assert text is None or (text.isprintable() and len(text) <= 100)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2021:03:04 05:06:07", "2021-03-04T05:06:07"),
        ("2021-03-04T05:06:07+02:00", "2021-03-04T05:06:07"),
        ("0000:00:00 00:00:00", None),
        ("2021:13:04 05:06:07", None),
        ("    :  :     :  :  ", None),
        ("", None),
        (None, None),
    ],
)
def test_datetime(text: str | None, expected: str | None) -> None:
    assert iso_datetime(text) == expected


def test_text_is_made_printable() -> None:
    exif = PilImage.Exif()
    exif[0x010F] = "Ca\nmera\x1b[31m\u202e" + "x" * 500
    make = read_exif(exif.tobytes()).make
    assert make is not None
    assert make.isprintable()
    assert len(make) == 100


def test_xmp_gives_the_orientation_only_where_exif_has_none() -> None:
    xmp = b'<rdf tiff:Orientation="8">'
    exif = PilImage.Exif()
    exif[0x0112] = 3
    assert read_exif(None, xmp).orientation == 8
    assert read_exif(exif.tobytes(), xmp).orientation == 3
