"""How numbers are shown."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cvdata.report import display


@given(st.integers(0, 10**9), st.integers(1, 10**9))
def test_a_share_never_hides_something_or_claims_all(n: int, total: int) -> None:
    n = min(n, total)
    text = display.share(n, total)
    assert text.endswith("\u00a0%")
    shown = text.removesuffix("\u00a0%")
    assert (shown == "0") == (n == 0)
    assert (shown == "100") == (n == total)
    if shown[0] not in "<>":
        assert abs(float(shown) - 100 * n / total) <= 0.0500001


def test_a_share_of_nothing_is_no_number() -> None:
    assert display.share(0, 0) == display.NONE


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "–"),
        ("abc", "abc"),
        (True, "yes"),
        (12345, "12,345"),
        (12345.678, "12,346"),
        (1614.9, "1,615"),
        (0.123456, "0.1235"),
        (3.0, "3"),
        (0.0000123, "1.23 × 10^-5"),
        (1e20, "1 × 10^20"),
        (math.nan, "–"),
        (math.inf, "–"),
    ],
)
def test_numbers(value: display.Cell, text: str) -> None:
    assert display.number(value) == text


@given(st.floats(min_value=-1e12, max_value=1e12))
def test_a_number_keeps_four_digits(value: float) -> None:
    text = display.number(value)
    if "×" in text:
        mantissa, exponent = text.split(" × 10^")
        read = float(mantissa) * 10.0 ** int(exponent)
    else:
        read = float(text.replace(",", ""))
    assert math.isclose(read, value, rel_tol=5.1e-4, abs_tol=1e-300)


@pytest.mark.parametrize(
    ("n", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1 kB"),
        (999_600, "1 MB"),
        (57e6, "57 MB"),
        (3.2e18, "3.2e+03 PB"),
    ],
)
def test_sizes(n: float, text: str) -> None:
    assert display.size(n) == text.replace(" ", "\u00a0")


def test_the_middle_of_a_long_name_is_cut() -> None:
    shown = display.name("holiday/" + "x" * 300 + ".tar.gz", 30)
    assert len(shown) == 30
    assert shown.startswith("holiday/")
    assert shown.endswith(".tar.gz")


def test_headings_know_acronyms() -> None:
    assert display.heading("exif_rotated") == "EXIF rotated"
    assert display.heading("odd_aspect_ratio") == "Odd aspect ratio"


def test_columns_of_numbers_are_known() -> None:
    table = display.DataTable(("a", "b", "c"), (("x", 1, None), ("y", None, None)))
    assert [table.numeric(i) for i in range(3)] == [False, True, False]
