"""Counts and a target -> what each class gives or gets: within one image of its share."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from cvdata.balance import Balance, solve, spread
from cvdata.balance.targets import rounded
from cvdata.errors import ConfigError

counts = st.dictionaries(st.sampled_from("abcdefgh"), st.integers(1, 500), min_size=1)
FREE = {"undersample": "random", "oversample": "augment", "max_copies": 100_000}


@settings(deadline=None)
@given(counts, st.sampled_from(["equal", "sqrt", "natural"]), st.integers(0, 3000))
def test_every_class_ends_within_one_image_of_its_share(
    n: dict[str, int], target: str, total: int
) -> None:
    total = total and max(total, len(n))
    plan = solve(n, Balance.model_validate({**FREE, "target": target, "total": total}))
    weight = {"equal": lambda c: 1.0, "sqrt": np.sqrt, "natural": float}[target]
    whole = sum(weight(c) for c in n.values())
    asked = total or sum(n.values())
    for one in plan.classes:
        exact = asked * weight(n[one.label]) / whole
        assert abs(one.exact - exact) < 1e-6
        assert abs(one.achieved - exact) < 1 or one.achieved == 1
        assert one.n_cut == 0 or one.n_extra == 0
        assert 0 <= one.n_cut < n[one.label]
    assert [c.label for c in plan.classes] == sorted(n)
    if all(c.exact >= 1 for c in plan.classes):
        assert sum(c.achieved for c in plan.classes) == asked


@settings(deadline=None)
@given(counts, st.dictionaries(st.sampled_from("abcdefgh"), st.floats(0.1, 10), min_size=1))
def test_shares_by_name(n: dict[str, int], shares: dict[str, float]) -> None:
    settings_ = Balance.model_validate({**FREE, "shares": shares, "total": 2000})
    if missing := sorted(set(shares) - set(n)):
        with pytest.raises(ConfigError, match=f"'{missing[0]}'"):
            solve(n, settings_)
        return
    plan = solve(n, settings_)
    assert {c.label for c in plan.classes} == set(shares), "others stay as they are"
    for one in plan.classes:
        assert abs(one.achieved - 2000 * shares[one.label] / sum(shares.values())) < 1


@settings(deadline=None)
@given(counts)
def test_what_only_grows_reaches_the_largest_and_what_is_only_cut_the_smallest(
    n: dict[str, int],
) -> None:
    grown = solve(n, Balance(target="equal", oversample="repeat", max_copies=1000))
    assert {c.achieved for c in grown.classes} == {max(n.values())}
    assert grown.n_cut == 0
    cut = solve(n, Balance(target="equal", undersample="random"))
    assert {c.achieved for c in cut.classes} == {min(n.values())}
    assert cut.n_extra == 0


def test_a_class_with_one_image() -> None:
    settings_ = Balance(target="equal", oversample="augment", max_copies=10)
    plan = solve({"many": 8, "one": 1}, settings_).by_label()
    assert (plan["one"].n_extra, plan["one"].achieved) == (7, 8)
    cut = solve({"many": 8, "one": 1}, Balance(target="equal", undersample="random")).by_label()
    assert (cut["many"].achieved, cut["one"].achieved) == (1, 1)


def test_too_few_copies_are_told() -> None:
    plan = solve({"many": 100, "one": 1}, Balance(target="equal", oversample="augment"))
    one = plan.by_label()["one"]
    assert (one.achieved, one.is_met) == (11, False)
    assert plan.by_label()["many"].is_met


def test_a_class_without_images_is_an_error_that_says_so() -> None:
    with pytest.raises(ConfigError, match="class 'zebra': no image of it is left") as refused:
        solve({"cat": 3, "zebra": 0}, Balance(target="equal", oversample="augment"))
    assert "Classes with images: cat" in str(refused.value)
    with pytest.raises(ConfigError, match="'dog'"):
        solve({"cat": 3}, Balance(shares={"cat": 1, "dog": 1}, oversample="augment"))


def test_images_that_must_stay_stay() -> None:
    plan = solve(
        {"a": 10, "b": 2}, Balance(target="equal", undersample="random"), least={"a": 5}
    ).by_label()
    assert (plan["a"].achieved, plan["a"].is_met) == (5, False)


@pytest.mark.parametrize(
    "wrong",
    [
        {"undersample": "k_center"},
        {"smote": True},
        {"shares": {"a": 0.0}},
        {"total": 5},
        {"beta": 1.0},
    ],
)
def test_settings_that_cannot_be_met(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Balance.model_validate(wrong)


@given(st.lists(st.floats(0, 1000), min_size=1, max_size=20))
def test_rounding_keeps_the_sum_and_stays_within_one(values: list[float]) -> None:
    exact = np.array(values)
    whole = rounded(exact)
    assert (np.abs(whole - exact) < 1 + 1e-6).all()
    assert int(whole.sum()) == round(float(exact.sum()))


@given(st.integers(1, 200), st.integers(0, 2000), st.integers(1, 7))
def test_copies_are_spread_evenly_and_add_up(n: int, total: int, pieces: int) -> None:
    whole = spread(np.arange(n), n, total)
    assert int(whole.sum()) == total
    assert int(whole.max() - whole.min()) <= 1
    cut = [spread(part, n, total) for part in np.array_split(np.arange(n), pieces)]
    assert np.concatenate(cut).tolist() == whole.tolist(), "the ranges change nothing"
