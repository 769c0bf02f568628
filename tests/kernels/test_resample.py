"""`resample` is Pillow's resize, to the bit, of a window."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from cvdata.kernels.filters import SUPPORT as FILTERS
from cvdata.kernels.resample import resample

PILLOW = {
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "area": Image.Resampling.BOX,
    "lanczos": Image.Resampling.LANCZOS,
}


def test_every_filter_has_an_oracle() -> None:
    assert set(FILTERS) == set(PILLOW)


@settings(deadline=None, max_examples=150)
@given(
    height=st.integers(1, 260),
    width=st.integers(1, 260),
    target=st.tuples(st.integers(1, 120), st.integers(1, 120)),
    kind=st.sampled_from(sorted(FILTERS)),
    seed=st.integers(0, 2**32 - 1),
    cut=st.tuples(*[st.floats(0, 0.9)] * 4),
)
def test_equals_pillow_cropped(height, width, target, kind, seed, cut) -> None:
    rgb = np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)
    whole = np.asarray(Image.fromarray(rgb).resize(target[::-1], PILLOW[kind]))
    top, left = int(cut[0] * target[0]), int(cut[1] * target[1])
    rows = max(1, int((target[0] - top) * (1 - cut[2])))
    columns = max(1, int((target[1] - left) * (1 - cut[3])))
    ours = resample(rgb, *target, (top, left, rows, columns), kind)
    np.testing.assert_array_equal(ours, whole[top : top + rows, left : left + columns])
    np.testing.assert_array_equal(resample(rgb, *target, kind=kind), whole)


@pytest.mark.parametrize("kind", sorted(FILTERS))
@pytest.mark.parametrize("value", [0, 255])
def test_saturated_images_do_not_overflow(kind: str, value: int) -> None:
    rgb = np.full((300, 200, 3), value, np.uint8)
    assert (resample(rgb, 64, 37, kind=kind) == value).all()


def test_tall_and_wide_take_pillows_order_of_axes() -> None:
    rng = np.random.default_rng(5)
    for shape in [(2000, 40, 3), (40, 2000, 3), (700, 300, 3), (301, 100, 3)]:
        rgb = rng.integers(0, 256, shape, np.uint8)
        whole = np.asarray(Image.fromarray(rgb).resize((50, 60), PILLOW["bilinear"]))
        np.testing.assert_array_equal(resample(rgb, 60, 50), whole)
