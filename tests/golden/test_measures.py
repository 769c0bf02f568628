"""Constants of what is stored: hashes, digests, fingerprints, columns.

A change here means that stored tables no longer compare with new ones: raise the measure's
`version` (or `DECODE_VERSION`) with it. Values were made with imagehash 4.3.2, Pillow 13.0,
xxhash 4.1, OpenCV 5.0 and NumPy 2.4; a hash that moves with a library's upgrade is that library's
doing, and the golden value says which.
"""

import numpy as np
import pytest

from cvdata.image import Header, Image
from cvdata.measures import DEFAULT_MEASURES, MEASURES, build, spec_fingerprint


def scene() -> Image:
    """Integers only: the same pixels wherever it runs."""
    y, x = np.mgrid[0:180, 0:240]
    planes = [(x * x // 61 + 3 * y) % 256, (x * y // 53 + 5 * x) % 256, (y * y // 37 + x) % 200]
    rgb = np.stack(planes, axis=2).astype(np.uint8)
    rgb[40:120, 60:150] = rgb[40:120, 60:150] // 4 + 20
    return Image(b"golden", Header("PNG", "RGB", 240, 180), np.ascontiguousarray(rgb))


HASHES = {
    "ahash": "3f6fc78707e7ff9f",
    "dhash": "ad8d9e2d8c8f9534",
    "phash": "b022cf831efc3674",
    "phash_dihedral": "b022cf831efc3674",
    "whash": "3b6d42870547cf95",
    "colorhash": "000000000040",
    "pixel_digest": "178cd8903bd6bb5f3bbd8f06c68c911d",
}

FINGERPRINTS = {
    "file": "13d6e445046746c2",
    "geometry": "a969685adae87a25",
    "pixel_digest": "ef5ef53fd204bc55",
    "color": "e8d5a6ac107cbab2",
    "exposure": "aeade84a7be12ef9",
    "sharpness": "323087f9de98d109",
    "blur": "2c68146dc957ff73",
    "information": "ab3535b604a08ea9",
    "texture": "fbe9938b652f6408",
    "noise": "4f97fd408a3c5552",
    "border": "c7a28d714f800699",
    "ahash": "e16d634cd3ed247c",
    "dhash": "0d15e6bc2a32ac84",
    "phash": "1a0c5968396c1558",
    "phash_dihedral": "f54b98b4f37fe0cc",
    "whash": "ae51e2f258b562dc",
    "colorhash": "041e85cb6f3a3b42",
    "hog": "a9d961b2d47f8df8",
    "brisque": "ff326ee59a58efaa",
    "piqe": "bc9f7e99ca525e83",
}

VALUES = {
    "brisque": ("brisque", 106.89552296117185),
    "piqe": ("piqe", 84.5028862327449),
    "brightness_p5": ("exposure", 0.15447303921568628),
    "brightness_p99": ("exposure", 0.8944852941176471),
    "brightness_mean": ("exposure", 0.4684911052673384),
    "rms_contrast": ("exposure", 0.19787818577290134),
    "laplacian_variance": ("sharpness", 2512.9781337105624),
    "tenengrad": ("sharpness", 18292.493842592594),
    "edge_density": ("sharpness", 0.04974537037037037),
    "high_frequency_ratio": ("sharpness", 0.06164025596432993),
    "blur_edge_std": ("blur", 75.42295216875453),
    "blur_histogram_std": ("blur", 9.142107251613274),
    "entropy": ("information", 9.397208401834217),
    "gray_entropy": ("information", 7.586930255550683),
    "unique_colors": ("information", 10794),
    "noise_sigma": ("noise", 3.367391746231511),
    "jpeg_blockiness": ("noise", 0.06951026808335878),
    "mean_r": ("color", 113.74564814814815),
    "std_g": ("color", 72.66144911039623),
    "colorfulness": ("color", 128.25981692274476),
    "hsv_mean_h": ("color", 53.47667346221677),
    "lab_mean_l": ("color", 49.552323892519965),
    "dominant_colors": ("color", [61, 60, 56, 195, 91, 111, 88, 193, 101]),
    "background_lab": ("border", [51.93022270636649, 3.165123456790127, 16.20421810699588]),
    "lbp_hist": (
        "texture",
        [
            0.01996978566707582,
            0.021409687470493814,
            0.019922575771881786,
            0.010551411575866301,
            0.7541072608818808,
            0.030686431876121235,
            0.0482721178358984,
            0.028491171749598716,
            0.023864602020583513,
            0.04272495515059956,
        ],
    ),
}

DEFAULT_COLUMNS = (
    "size_bytes int64",
    "format string",
    "mode string",
    "bits int32",
    "sha256 binary[32]",
    "n_frames int32",
    "has_alpha bool",
    "has_icc bool",
    "exif_orientation int32",
    "exif_datetime string",
    "exif_make string",
    "exif_model string",
    "exif_software string",
    "has_gps bool",
    "jpeg_quality int32",
    "is_progressive bool",
    "trailing_bytes int64",
    "wrong_extension bool",
    "exif_invalid bool",
    "multi_frame bool",
    "was_cmyk bool",
    "was_16_bit bool",
    "width int32",
    "height int32",
    "aspect_ratio float32",
    "pixel_digest binary[16]",
    "mean_r float32",
    "mean_g float32",
    "mean_b float32",
    "std_r float32",
    "std_g float32",
    "std_b float32",
    "hist_r float32[16]",
    "hist_g float32[16]",
    "hist_b float32[16]",
    "hsv_mean_h float32",
    "hsv_mean_s float32",
    "hsv_mean_v float32",
    "lab_mean_l float32",
    "lab_mean_a float32",
    "lab_mean_b float32",
    "lab_std_l float32",
    "lab_std_a float32",
    "lab_std_b float32",
    "colorfulness float32",
    "dominant_colors uint8[9]",
    "dominant_fractions float32[3]",
    "is_gray bool",
    "brightness_p1 float32",
    "brightness_p5 float32",
    "brightness_p10 float32",
    "brightness_p15 float32",
    "brightness_p50 float32",
    "brightness_p85 float32",
    "brightness_p90 float32",
    "brightness_p95 float32",
    "brightness_p99 float32",
    "brightness_mean float32",
    "rms_contrast float32",
    "clipped_black float32",
    "clipped_white float32",
    "laplacian_variance float32",
    "tenengrad float32",
    "edge_density float32",
    "high_frequency_ratio float32",
    "blur_edge_std float32",
    "blur_histogram_std float32",
    "entropy float32",
    "gray_entropy float32",
    "unique_colors int32",
    "lbp_hist float32[10]",
    "noise_sigma float32",
    "jpeg_blockiness float32",
    "border_fraction float32",
    "border_color uint8[3]",
    "background_lab float32[3]",
    "ahash binary[8]",
    "ahash_bits_set int32",
    "dhash binary[8]",
    "dhash_bits_set int32",
    "phash binary[8]",
    "phash_bits_set int32",
    "phash_dihedral binary[8]",
)


@pytest.mark.parametrize("column", HASHES)
def test_hashes(column: str) -> None:
    value = build(column)(scene())[column]
    assert isinstance(value, bytes)
    assert value.hex() == HASHES[column]


@pytest.mark.parametrize("measure", MEASURES, ids=lambda m: m.name)
def test_fingerprints(measure: type) -> None:
    assert spec_fingerprint(build(measure.name))[:16] == FINGERPRINTS[measure.name]


@pytest.mark.parametrize("column", VALUES)
def test_values(column: str) -> None:
    measure, expected = VALUES[column]
    assert build(measure)(scene())[column] == pytest.approx(expected, rel=1e-6)


def test_default_columns() -> None:
    fields = [field for name in DEFAULT_MEASURES for field in build(name).fields]
    assert tuple(f"{field.name} {field.dtype}" for field in fields) == DEFAULT_COLUMNS
