"""What fields of operations may be; a wrong one says what to change, before any worker starts."""

from cvdata.augment.warping import INTERPOLATIONS
from cvdata.errors import ConfigError


def within(operation: object, low: float, high: float, *fields: str) -> None:
    """Each of these fields is a number in [low, high]."""
    name = getattr(operation, "name", type(operation).__name__)
    for field in fields:
        value = getattr(operation, field)
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise ConfigError(f"{name}: {field} is a number, not {value!r}")
        if not low <= value <= high:
            raise ConfigError(f"{name}: {field} lies in {low:g} … {high:g}, not {value:g}")


def ordered(operation: object, low: str, high: str) -> None:
    """One field is not above the other."""
    name = getattr(operation, "name", type(operation).__name__)
    first, second = getattr(operation, low), getattr(operation, high)
    if first > second:
        raise ConfigError(f"{name}: {low} {first:g} is above {high} {second:g}")


def one_of(operation: object, field: str, known: tuple[str, ...]) -> None:
    """The field is one of these names."""
    name = getattr(operation, "name", type(operation).__name__)
    value = getattr(operation, field)
    if value not in known:
        raise ConfigError(f"{name}: {field} is one of {', '.join(known)}, not {value!r}")


def paintable(operation: object) -> None:
    """`interpolation` and `fill` are ones that there are."""
    one_of(operation, "interpolation", INTERPOLATIONS)
    within(operation, 0, 255, "fill")
