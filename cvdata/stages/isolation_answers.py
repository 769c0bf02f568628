"""Reading what a sandboxed child says: plain data and arrays, nothing that could run."""

import io
import pickle
from collections.abc import Iterable
from typing import Any

from cvdata.stages.isolation_child import Answer

_SAFE_GLOBALS = {
    ("builtins", "set"),
    ("builtins", "frozenset"),
    ("builtins", "complex"),
    ("collections", "OrderedDict"),
    ("numpy", "ndarray"),
    ("numpy", "dtype"),
    ("numpy._core.multiarray", "_reconstruct"),
    ("numpy._core.multiarray", "scalar"),
    ("numpy._core.numeric", "_frombuffer"),
    ("cvdata.errors", "ErrorCode"),
    ("cvdata.image", "Header"),
    ("cvdata.image", "Image"),
}


class _Restricted(pickle.Unpickler):
    """Results come from a process that ran hostile bytes: no global is looked up but these."""

    allowed: frozenset[tuple[str, str]] = frozenset()

    def find_class(self, module: str, name: str) -> Any:
        """Only what is named; everything else is refused before it is imported."""
        if (module, name) in _SAFE_GLOBALS or (module, name) in self.allowed:
            return super().find_class(module, name)
        raise pickle.UnpicklingError(
            f"a sandboxed result may not hold {module}.{name}: name it in result_types"
        )


def read_answers(body: bytes, allowed: Iterable[tuple[str, str]] = ()) -> list[Answer]:
    """The answers in one message; `UnpicklingError` for anything but data and `allowed` types."""
    reader = _Restricted(io.BytesIO(body))
    reader.allowed = frozenset(allowed)
    answers: list[Answer] = reader.load()
    return answers
