"""What drops an image, what only warns: the rules of a selection as a config."""

import difflib
from typing import Literal

from pydantic import Field, field_validator

from cvdata.config import Frozen
from cvdata.duplicates.tables import ACTIONS
from cvdata.errors import ConfigError
from cvdata.issues import ISSUES

Action = Literal["drop", "warn", "ignore"]
ACTION_NAMES: tuple[Action, ...] = ("drop", "warn", "ignore")

OTHER = "other"
"""The name in a mapping of rules that stands for all that are not named."""


class DuplicateRule(Frozen):
    """What happens to the copies of a keeper."""

    action: str = "remove"
    """remove: copies drop; merge: they drop, their labels and boxes go to the keeper;
    reweight: all stay with weight 1 / group size; keep: all stay; ignore: not even a warning."""
    method: str = "any"
    """Which groups: any, exact_sha256, exact_pixels, perceptual, dihedral, semantic."""

    @field_validator("action")
    @classmethod
    def _known(cls, value: str) -> str:
        if value not in (*ACTIONS, "ignore"):
            raise ValueError(f"not one of {', '.join(ACTIONS)}, ignore")
        return value


class LeakRule(Frozen):
    """What happens to copies in different splits."""

    action: Action = "drop"
    """drop: the image in the split that needs less protection drops; warn; ignore."""
    method: str = "any"
    """Which pairs: any, exact_sha256, exact_pixels, perceptual, dihedral, semantic."""
    protect: list[str] = Field(["test", "val", "valid", "validation", "dev"])
    """Splits to keep whole, the most precious first; then all others, and train last. Copies of
    evaluation sets of other workspaces drop from the splits that are not named."""

    def is_protected(self, split: str | None) -> bool:
        """Whether the split is one that is evaluated on."""
        return split in self.protect

    def rank(self, split: str | None) -> int:
        """Place of a split, 0 is the most precious; equal places lose nothing to each other."""
        if split in self.protect:
            return self.protect.index(split)
        return len(self.protect) + (split in (None, "train", "training"))


class SqlRule(Frozen):
    """A condition of the user's own, in SQL."""

    name: str
    """What it is called where it is explained."""
    where: str
    """A condition over the columns of `images` (records and measures side by side); the other
    tables can be asked in subqueries."""
    action: Literal["drop", "warn"] = "drop"
    """drop, or only warn."""


class Rules(Frozen):
    """What drops an image and what only warns, for each kind of finding."""

    issues: dict[str, Action] = Field({OTHER: "warn"})
    """By issue: drop, warn or ignore; `other` is for those not named (docs/issues.md). What cannot
    be read drops always."""
    outliers: dict[str, Action] = Field({OTHER: "warn"})
    """By method: drop, warn or ignore what is flagged; `other` is for those not named."""
    label_issues: dict[str, Action] = Field({OTHER: "warn"})
    """By method: drop, warn or ignore what is flagged; `other` is for those not named."""
    duplicates: DuplicateRule = DuplicateRule()
    """What happens to copies."""
    leaks: LeakRule = LeakRule()
    """What happens to copies in different splits."""
    floors: dict[str, int] = Field({})
    """By class: so many images stay, the best of those that would drop; `other` is for all classes
    not named. What cannot be read, what leaks and what you drop yourself never comes back."""
    keep_list: str | None = None
    """File with a path, key, uri or hex id a line: these stay whatever is found."""
    drop_list: str | None = None
    """File with a path, key, uri or hex id a line: these drop."""
    sql: list[SqlRule] = Field([])
    """Conditions over the tables, e.g. `{name: small, where: "width < 64", action: drop}`."""

    @field_validator("issues", "outliers", "label_issues", mode="before")
    @classmethod
    def _off_means_ignore(cls, value: object) -> object:
        """YAML reads `off` and `on` as false and true."""
        if not isinstance(value, dict):
            return value
        words = {False: "ignore", True: "warn"}
        return {k: words[v] if isinstance(v, bool) else v for k, v in value.items()}

    @field_validator("floors")
    @classmethod
    def _not_negative(cls, value: dict[str, int]) -> dict[str, int]:
        for label, floor in value.items():
            if floor < 0:
                raise ValueError(f"the floor of {label} is negative")
        return value

    @field_validator("sql")
    @classmethod
    def _named_once(cls, value: list[SqlRule]) -> list[SqlRule]:
        names = [rule.name for rule in value]
        if len(set(names)) < len(names):
            raise ValueError("two rules have one name")
        return value

    def floor(self, label: str | None) -> int:
        """How many images of a class stay; images without a label have no floor."""
        return 0 if label is None else self.floors.get(label, self.floors.get(OTHER, 0))

    def check(self, issue_names: set[str], methods: dict[str, set[str]]) -> None:
        """Raise `ConfigError` for a name that nothing found bears; `methods` by table."""
        known = {issue.name for issue in ISSUES} | issue_names
        _refuse_unknown("issues", self.issues, known)
        for table, rules in (("outliers", self.outliers), ("label_issues", self.label_issues)):
            if table in methods:
                _refuse_unknown(table, rules, methods[table])
        for table, method in (("duplicates", self.duplicates.method), ("leaks", self.leaks.method)):
            if table in methods and method not in methods[table]:
                there = ", ".join(sorted(methods[table]))
                raise ConfigError(f"{table}: dedup has not looked by {method!r}, only by {there}")


def action_of(rules: dict[str, Action], name: str) -> Action:
    """What these rules say of one name."""
    return rules.get(name, rules.get(OTHER, "warn"))


def _refuse_unknown(what: str, rules: dict[str, Action], known: set[str]) -> None:
    for name in rules:
        if name != OTHER and name not in known:
            close = difflib.get_close_matches(name, sorted(known), n=1, cutoff=0.4)
            hint = f"; did you mean {close[0]!r}?" if close else ""
            there = ", ".join(sorted(known)) or "none"
            raise ConfigError(f"{what}: no {name!r}{hint} There are: {there}")
