"""Every bit of every hash against `imagehash`."""

import io
from pathlib import Path

import imagehash
import numpy as np
import pytest
from hypothesis import given, settings
from PIL import Image as PilImage

from cvdata.image import Header, Image, open_image
from cvdata.measures import build, measure_all
from tests.kernels.pictures import KINDS, SHAPES, Rgb, noise, pictures, smooth

ORACLES = {
    "ahash": imagehash.average_hash,
    "dhash": imagehash.dhash,
    "phash": imagehash.phash,
    "whash": imagehash.whash,
    "colorhash": imagehash.colorhash,
}
MEASURES = [build(name) for name in ORACLES]


def assert_equal(rgb: Rgb) -> None:
    image = Image(b"", Header("PNG", "RGB", rgb.shape[1], rgb.shape[0]), rgb)
    values, failures = measure_all(MEASURES, image)
    assert failures == {}
    pil = PilImage.fromarray(rgb)
    for name, oracle in ORACLES.items():
        bits = np.ravel(oracle(pil).hash)
        assert values[name] == np.packbits(bits).tobytes(), name
        if name != "colorhash":
            assert values[f"{name}_bits_set"] == bits.sum()


def test_photographs(shared_data: Path) -> None:
    paths = sorted((shared_data / "imagenet_sample").glob("*.JPEG"))
    assert len(paths) == 500
    for path in paths:
        assert_equal(open_image(path.read_bytes(), name=path.name).rgb)


@pytest.mark.parametrize("kind", KINDS, ids=lambda k: k.__name__)
def test_every_shape(kind) -> None:
    for shape in (*SHAPES, (700, 300), (1300, 640), (9, 4000), (4000, 9)):
        assert_equal(kind(*shape))


@settings(max_examples=150, deadline=None)
@given(pictures(200))
def test_any_picture(rgb: Rgb) -> None:
    assert_equal(rgb)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGBA", "CMYK", "I;16"])
def test_decoded_modes(mode: str) -> None:
    rgba = PilImage.fromarray(np.dstack([smooth(70, 50), noise(70, 50)[:, :, :1]]))
    if mode == "I;16":
        pil = PilImage.fromarray(smooth(70, 50)[:, :, 0].astype(np.uint16) * 256)
    else:
        pil = rgba.convert(mode) if mode in ("LA", "RGBA") else rgba.convert("RGB").convert(mode)
    packed = io.BytesIO()
    pil.save(packed, "TIFF" if mode == "CMYK" else "PNG")
    assert_equal(open_image(packed.getvalue()).rgb)


@pytest.mark.parametrize("shape", [(240, 320), (500, 333), (97, 1200)])
def test_dihedral_hash_of_whole_images_stays_near(shape: tuple[int, int]) -> None:
    measure = build("phash_dihedral")
    rgb = smooth(*shape, seed=4)

    def bits(pixels: Rgb) -> int:
        whole = np.ascontiguousarray(pixels)
        image = Image(b"", Header("PNG", "RGB", whole.shape[1], whole.shape[0]), whole)
        return int.from_bytes(measure(image)["phash_dihedral"], "big")

    upright = bits(rgb)
    for quarter in range(4):
        turned = np.rot90(rgb, quarter)
        assert (bits(turned) ^ upright).bit_count() <= 4
        assert (bits(turned[:, ::-1]) ^ upright).bit_count() <= 4
