"""A large JSON object, element by element, each with the line that it starts on."""

import json
import re
from collections.abc import Iterator
from typing import Any, NamedTuple

_SPACE = re.compile(r"[ \t\n\r]*")


class Item(NamedTuple):
    """An element of the array `section`, or the whole value of a member that is no array."""

    section: str
    line: int
    value: Any


class BadJson(ValueError):
    """The text stops being JSON at `line`."""

    def __init__(self, message: str, line: int) -> None:
        super().__init__(message)
        self.line = line


def json_items(text: str) -> Iterator[Item]:
    """The elements of the arrays of a JSON object; raises `BadJson` where it is damaged.

    What lies before the damage has been yielded by then.
    """
    scan = _Scan(text)
    scan.expect("{")
    if scan.take("}"):
        return
    while True:
        section = scan.value()
        if not isinstance(section, str):
            raise scan.error("a name was expected")
        scan.expect(":")
        if scan.take("["):
            if not scan.take("]"):
                while True:
                    line = scan.line()
                    yield Item(section, line, scan.value())
                    if not scan.take(","):
                        break
                scan.expect("]")
        else:
            line = scan.line()
            yield Item(section, line, scan.value())
        if not scan.take(","):
            break
    scan.expect("}")


class _Scan:
    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.decoder = json.JSONDecoder()
        self._counted = 0
        self._lines = 1

    def skip(self) -> None:
        match = _SPACE.match(self.text, self.at)
        self.at = match.end() if match else self.at

    def line(self) -> int:
        """The line of the next value: counted onwards, so all lines together cost one pass."""
        self.skip()
        self._lines += self.text.count("\n", self._counted, self.at)
        self._counted = self.at
        return self._lines

    def take(self, mark: str) -> bool:
        self.skip()
        if not self.text.startswith(mark, self.at):
            return False
        self.at += 1
        return True

    def expect(self, mark: str) -> None:
        if not self.take(mark):
            raise self.error(f"{mark!r} was expected")

    def value(self) -> Any:
        self.skip()
        try:
            value, self.at = self.decoder.raw_decode(self.text, self.at)
        except (ValueError, RecursionError) as error:
            raise self.error(str(error).partition(":")[0]) from error
        return value

    def error(self, message: str) -> BadJson:
        return BadJson(f"not JSON: {message}", self.line())
