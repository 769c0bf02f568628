"""Weights against scikit-learn and the published formulas."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.utils.class_weight import compute_class_weight

from cvdata.balance import effective_number, inverse_frequency, repeat_factors
from cvdata.balance.weights import largest

counts = st.dictionaries(st.sampled_from("abcdef"), st.integers(1, 60), min_size=1)


@given(counts)
def test_inverse_frequency_is_scikit_learns_balanced(n: dict[str, int]) -> None:
    labels = np.array([label for label, c in n.items() for _ in range(c)])
    names = np.unique(labels)
    expected = compute_class_weight("balanced", classes=names, y=labels)
    ours = inverse_frequency({k: float(v) for k, v in n.items()})
    assert np.allclose([ours[name] for name in names], expected, rtol=1e-12)


@given(counts, st.floats(0.01, 0.999))
def test_effective_numbers_as_in_the_paper(n: dict[str, int], beta: float) -> None:
    """E_n = 1 + β + … + β^(n−1), the sum that its closed form stands for; weights ∝ 1 / E_n."""
    ours = effective_number({k: float(v) for k, v in n.items()}, beta)
    raw = {label: 1 / sum(beta**i for i in range(c)) for label, c in n.items()}
    scale = len(n) / sum(raw.values())
    for label, weight in ours.items():
        assert weight == pytest.approx(raw[label] * scale, rel=1e-9)
    assert sum(ours.values()) == pytest.approx(len(n))


def test_the_ends_of_beta() -> None:
    counts = {"a": 1.0, "b": 10.0, "c": 100.0}
    assert set(effective_number(counts, 0.0).values()) == {1.0}
    near = effective_number(counts, 1 - 1e-9)
    inverse = inverse_frequency(counts)
    assert near["a"] / near["c"] == pytest.approx(inverse["a"] / inverse["c"], rel=1e-4)


def test_repeat_factors_as_in_lvis() -> None:
    """t = 0.25 of 100 images: an object in 1 of them has sqrt(25) = 5, one in 25 has 1."""
    factors = repeat_factors({"rare": 1, "known": 25, "common": 90}, 100, 0.25)
    assert factors == {"rare": 5.0, "known": 1.0, "common": 1.0}
    images = [["rare", "common"], ["common"], [], None, ["unknown"]]
    assert largest(factors, images).tolist() == [5.0, 1.0, 1.0, 1.0, 1.0]
