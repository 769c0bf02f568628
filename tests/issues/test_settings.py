"""What a config may change about the issues, and what it may not."""

import dataclasses

import numpy as np
import pyarrow as pa
import pytest

from cvdata.errors import ConfigError
from cvdata.issues import ISSUES, Columns, Context, IssueSettings, find_issues
from cvdata.schema import ID


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"drak": False}, "did you mean 'dark'"),
        ({"dark": {"treshold": 0.5}}, "did you mean 'threshold'"),
        ({"dark": {"threshold": 1.5}}, "0..1"),
        ({"noisy": {"sigma": -1}}, "negative"),
        ({"dark": {"threshold": "high"}}, "must be a number"),
        ({"dark": {"threshold": float("nan")}}, "must be a number"),
        ({"dark": {"threshold": True}}, "must be a number"),
        ({"dark": 0.5}, "on, off or parameters"),
        (["dark"], "names and settings"),
        ({"no_such_module:Issue": True}, "cannot make an issue"),
        ({"cvdata.issues:Context": True}, "is no issue"),
        ({"cvdata.issues.picture:Dark": True}, "already"),
    ],
)
def test_settings_refuse_what_does_not_exist(data: object, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        IssueSettings.model_validate(data)


def test_settings_round_trip() -> None:
    settings_ = IssueSettings.model_validate(
        {"keep": 0.25, "dark": {"threshold": 0.7}, "blurry": False, "light": True}
    )
    again = IssueSettings.model_validate(settings_.model_dump(mode="json"))
    assert again == settings_
    names = {issue.name: issue.threshold for issue in again.issues()}
    assert (names["dark"], names["light"], "blurry" in names) == (0.7, 0.95, False)
    assert len(names) == len(ISSUES) - 1


@dataclasses.dataclass(frozen=True)
class Portrait:
    """An issue as a user would write it."""

    name = "portrait"
    doc = "Taller than wide."
    definition = "1 where height > width"
    reason = "The user's own."
    columns = ("width", "height")
    threshold: float = 0.5

    def __call__(self, columns: Columns, context: Context) -> np.ndarray:
        return (columns.number("height") > columns.number("width")).astype(float)


def test_an_issue_from_outside() -> None:
    chosen = IssueSettings.model_validate({f"{__name__}:Portrait": True})
    sizes = {"width": pa.array([3, 5]), "height": pa.array([4, 4])}
    ids = {"image_id": pa.array([b"a" * 16, b"b" * 16], ID), "revision": pa.array(["r", "r"])}
    table = pa.table({**ids, **sizes})
    out = find_issues(table, None, Context(), chosen)
    rows = [(r["image_id"][:1], r["issue"]) for r in out.to_pylist() if r["is_flagged"]]
    assert rows == [(b"a", "portrait")]
