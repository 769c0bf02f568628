"""The decode policy: limits, orientation, flags, views, and JPEG pixels identical to Pillow's."""

import io
import threading
import warnings
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image as PilImage
from PIL import ImageOps

from cvdata.errors import ConfigError, ErrorCode, ImageError
from cvdata.image import Image, Limits, open_image
from tests.corpus import mutate
from tests.corpus.base import photo, saved
from tests.corpus.jpeg import exif, with_app1


def pillow_rgb(data: bytes) -> np.ndarray:
    with PilImage.open(io.BytesIO(data)) as image:
        return np.asarray(ImageOps.exif_transpose(image).convert("RGB"))


def code_of(data: bytes, limits: Limits = Limits()) -> ErrorCode | None:
    try:
        open_image(data, limits)
    except ImageError as error:
        found = error
    else:
        return None
    assert len(found.detail) <= 200
    assert found.detail.isprintable()
    return found.code


@settings(max_examples=150, deadline=None)
@given(
    size=st.tuples(st.integers(1, 90), st.integers(1, 90)),
    mode=st.sampled_from(["L", "RGB", "CMYK"]),
    quality=st.integers(1, 100),
    subsampling=st.sampled_from([0, 1, 2]),
    progressive=st.booleans(),
    restart=st.sampled_from([0, 1, 3]),
)
def test_jpeg_pixels_are_pillows(
    size: tuple[int, int],
    mode: str,
    quality: int,
    subsampling: int,
    progressive: bool,
    restart: int,
) -> None:
    data = saved(
        mode,
        "JPEG",
        photo(*size),
        quality=quality,
        subsampling=subsampling,
        progressive=progressive,
        restart_marker_blocks=restart,
    )
    image = open_image(data)
    np.testing.assert_array_equal(image.rgb, pillow_rgb(data))
    assert image.header.mode == mode
    assert image.header.is_progressive == progressive
    assert ("was_cmyk" in image.header.flags) == (mode == "CMYK")


def test_jpeg_pixels_are_pillows_on_real_photographs(shared_data: Path) -> None:
    files = sorted((shared_data / "imagenet_sample").glob("*.JPEG"))
    differing = []
    for file in files:
        data = file.read_bytes()
        if not np.array_equal(open_image(data).rgb, pillow_rgb(data)):
            differing.append(file.name)
    assert len(files) == 500
    assert differing == []


def test_header_facts_are_pillows_on_real_photographs(shared_data: Path) -> None:
    for file in sorted((shared_data / "imagenet_sample").glob("*.JPEG"))[:200]:
        header = open_image(file.read_bytes(), name=file.name).header
        with PilImage.open(file) as image:
            assert (header.format, header.mode) == ("JPEG", image.mode)
            assert (header.width, header.height) == image.size
            assert header.has_icc == bool(image.info.get("icc_profile"))
            assert header.is_progressive == bool(image.info.get("progressive"))
            assert header.exif_orientation == image.getexif().get(0x0112)
            assert "wrong_extension" not in header.flags


def test_exif_orientations_look_alike(shared_data: Path) -> None:
    for kind in ("Landscape", "Portrait"):
        files = sorted((shared_data / "exif_orientation").glob(f"{kind}_*.jpg"))
        images = [open_image(f.read_bytes()) for f in files]
        assert len(images) == 9
        assert len({i.rgb.shape for i in images}) == 1
        base = images[0].thumb(64).astype(int)
        for image in images[1:]:
            assert np.abs(image.thumb(64).astype(int) - base).mean() < 3


@pytest.mark.parametrize("orientation", range(10))
def test_orientation_is_pillows(orientation: int) -> None:
    data = with_app1(saved("RGB", "JPEG"), b"Exif\0\0" + exif(orientation))
    image = open_image(data)
    np.testing.assert_array_equal(image.rgb, pillow_rgb(data))
    assert (image.header.height, image.header.width) == image.rgb.shape[:2]
    assert image.header.exif_orientation == orientation
    assert image.rgb.flags.c_contiguous


def test_limits() -> None:
    data = saved("RGB", "PNG")
    assert code_of(data, Limits(max_pixels=48 * 32)) is None
    assert code_of(data, Limits(max_pixels=48 * 32 - 1)) is ErrorCode.TOO_MANY_PIXELS
    assert code_of(data, Limits(max_side=47)) is ErrorCode.TOO_MANY_PIXELS
    assert code_of(data, Limits(max_bytes=len(data))) is None
    assert code_of(data, Limits(max_bytes=len(data) - 1)) is ErrorCode.TOO_LARGE_FILE
    assert code_of(data, Limits(formats=frozenset({"JPEG"}))) is ErrorCode.FORMAT_DENIED


@pytest.mark.parametrize("fmt", ["AVIF", "JPEG2000"])
def test_formats_on_request(fmt: str) -> None:
    data = saved("RGB", fmt)
    assert code_of(data) is ErrorCode.FORMAT_DENIED
    image = open_image(data, Limits(formats=frozenset({fmt})))
    assert image.header.format == fmt
    np.testing.assert_array_equal(image.rgb, pillow_rgb(data))
    limits = Limits(formats=frozenset({fmt}), max_pixels=10)
    assert code_of(data, limits) is ErrorCode.TOO_MANY_PIXELS
    for size in (40, len(data) * 2 // 3, len(data) - 1):
        assert code_of(data[:size], Limits(formats=frozenset({fmt}))) is ErrorCode.TRUNCATED


def test_formats_that_cannot_be_had_are_a_config_error() -> None:
    with pytest.raises(ConfigError, match="EPS"):
        Limits(formats=frozenset({"JPEG", "EPS"}))
    try:
        import pillow_heif  # noqa: F401
    except ModuleNotFoundError:
        with pytest.raises(ConfigError, match="pip install pillow-heif"):
            Limits(formats=frozenset({"HEIF"}))


def test_views_are_cached_read_only_and_never_enlarged() -> None:
    image = open_image(saved("RGB", "PNG", photo(333, 77)))
    np.testing.assert_array_equal(
        image.gray, np.asarray(PilImage.fromarray(image.rgb).convert("L"))
    )
    assert image.gray is image.gray
    assert image.thumb(64) is image.thumb(64)
    assert image.thumb(64).shape == (15, 64, 3)
    assert image.thumb(333) is image.rgb
    assert image.thumb(1000) is image.rgb
    for view in (image.rgb, image.gray, image.thumb(64)):
        with pytest.raises(ValueError, match="read-only"):
            view[0, 0] = 1


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 700), st.integers(1, 700), st.integers(1, 300))
def test_thumb_keeps_the_mean_and_fits(width: int, height: int, n: int) -> None:
    rgb = photo(width, height)
    small = Image(b"", open_image(saved("RGB", "PNG")).header, rgb).thumb(n)
    assert max(small.shape[:2]) == min(n, max(width, height))
    assert np.abs(small.mean((0, 1)) - rgb.mean((0, 1))).max() < 2.0


def test_memo_computes_once() -> None:
    image = open_image(saved("RGB", "PNG"))
    calls: list[int] = []
    for _ in range(3):
        image.memo("key", lambda: calls.append(1))
    assert calls == [1]


@pytest.mark.parametrize(
    ("name", "is_wrong"),
    [
        ("a.jpg", False),
        ("a.JPEG", False),
        ("dir.png/a.jfif", False),
        ("a", False),
        ("shard.tar!00012.jpg", False),
        ("a.v2", False),
        ("a.png", True),
        ("a.txt", True),
        ("a.gif", True),
    ],
)
def test_wrong_extension(name: str, is_wrong: bool) -> None:
    header = open_image(saved("RGB", "JPEG"), name=name).header
    assert ("wrong_extension" in header.flags) == is_wrong


def test_threads_leave_the_warning_filters_as_they_were() -> None:
    data = [saved("RGB", fmt) for fmt in ("PNG", "GIF", "TIFF", "WEBP", "BMP")]
    expected = [open_image(d).rgb for d in data]
    before = list(warnings.filters)
    limit = PilImage.MAX_IMAGE_PIXELS
    wrong: list[int] = []

    def work(seed: int) -> None:
        rng = np.random.default_rng(seed)
        for k in rng.integers(0, len(data), 60):
            if not np.array_equal(open_image(data[k]).rgb, expected[k]):
                wrong.append(int(k))
            code_of(mutate(data[k], rng))

    threads = [threading.Thread(target=work, args=(i,)) for i in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert warnings.filters == before
    assert limit == PilImage.MAX_IMAGE_PIXELS


def test_any_bytes_are_an_image_or_an_image_error() -> None:
    @settings(max_examples=300, deadline=None)
    @given(
        st.sampled_from(
            [
                *(b"", b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF89a", b"BM"),
                *(b"RIFF\x40\0\0\0WEBPVP8X", b"II*\0\x08\0\0\0", b"MM\0*\0\0\0\x08"),
                b"II+\0\x08\0\0\0",
            ]
        ),
        st.binary(max_size=200),
    )
    def check(magic: bytes, rest: bytes) -> None:
        code_of(magic + rest)

    check()
