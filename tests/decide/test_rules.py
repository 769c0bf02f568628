"""Rules in YAML: what they take and what they refuse, saying what to change."""

import pytest
from pydantic import ValidationError

from cvdata.decide.rules import LeakRule, Rules, action_of
from cvdata.errors import ConfigError


def test_off_and_on_of_yaml_are_words_too() -> None:
    rules = Rules.model_validate({"issues": {"dark": False, "blurry": "drop", "light": True}})
    assert rules.issues == {"dark": "ignore", "blurry": "drop", "light": "warn"}


def test_what_is_not_named_follows_other_and_else_warns() -> None:
    assert action_of({"dark": "drop"}, "light") == "warn"
    assert action_of({"dark": "drop", "other": "ignore"}, "light") == "ignore"
    assert action_of({"dark": "drop", "other": "ignore"}, "dark") == "drop"


@pytest.mark.parametrize(
    "wrong",
    [
        {"issues": {"dark": "delete"}},
        {"duplicates": {"action": "burn"}},
        {"floors": {"cat": -1}},
        {"sql": [{"name": "a", "where": "true"}, {"name": "a", "where": "false"}]},
        {"isues": {}},
    ],
)
def test_what_is_no_rule_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Rules.model_validate(wrong)


def test_a_slip_in_a_name_is_answered_with_the_nearest() -> None:
    with pytest.raises(ConfigError, match="did you mean 'blurry'"):
        Rules(issues={"blury": "drop"}).check(set(), {})
    with pytest.raises(ConfigError, match="did you mean 'lof'"):
        Rules(outliers={"lo": "drop"}).check(set(), {"outliers": {"lof", "knn"}})
    rules = Rules.model_validate({"duplicates": {"method": "semantic"}})
    with pytest.raises(ConfigError, match="has not looked by 'semantic'"):
        rules.check(set(), {"duplicates": {"any", "perceptual"}})
    Rules(issues={"mine": "drop"}).check({"mine"}, {})
    Rules(outliers={"lof": "drop"}).check(set(), {})  # no table: nothing to compare with


def test_splits_by_how_precious_they_are() -> None:
    rule = LeakRule(protect=["test", "val"])
    ranks = [rule.rank(name) for name in ("test", "val", "extra", "train")]
    assert ranks == sorted(set(ranks))
    assert rule.rank("extra") == rule.rank("more"), "neither of them loses"
    assert rule.rank("training") == rule.rank("train")
