"""Python functions compiled by numba at first use, cached on disk, importable without numba."""

from collections.abc import Callable, Iterator
from functools import update_wrapper
from typing import Any, Generic, ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")

RGB = "Array(uint8, 3, 'C', readonly=True)"
GRAY = "Array(uint8, 2, 'C', readonly=True)"
"""Signatures of images: a read-only array type also takes writable arrays."""

_KERNELS: "list[Kernel[..., Any]]" = []


def machine_code(function: Callable[..., Any], *signature: str, **options: Any) -> Any:
    """`function` compiled by numba, its code kept on disk where there is a place for it."""
    import numba

    njit: Any = numba.njit
    try:
        return njit(*signature, cache=True, **options)(function)
    except RuntimeError as error:
        if "no locator available" not in str(error):
            raise
        # nowhere to keep machine code: every process compiles for itself
        return njit(*signature, **options)(function)


class Kernel(Generic[P, R]):
    """A function with one explicit numba signature, compiled or loaded from cache when needed.

    Integer semantics are C's, no fast-math: every bit is the same on every machine that follows
    IEEE 754. The GIL is released.
    """

    def __init__(self, function: Callable[P, R], signature: str) -> None:
        self.function = function
        self.signature = signature
        self._native: Callable[P, R] | None = None
        update_wrapper(self, function)

    def compile(self) -> Callable[P, R]:
        """The native function, from numba's cache where it lies there."""
        options = {"nogil": True, "error_model": "numpy", "boundscheck": False}
        native: Callable[P, R] = machine_code(self.function, self.signature, **options)
        self._native = native
        return native

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Call the native function."""
        native = self._native
        if native is None:
            native = self.compile()
        return native(*args, **kwargs)


def compiled(signature: str) -> Callable[[Callable[P, R]], Kernel[P, R]]:
    """Decorator: compile with this numba signature, e.g. ``"void(uint8[:,::1], int64)"``."""

    def wrap(function: Callable[P, R]) -> Kernel[P, R]:
        kernel = Kernel(function, signature)
        _KERNELS.append(kernel)
        return kernel

    return wrap


def kernels() -> "Iterator[Kernel[..., Any]]":
    """Every kernel of the modules imported so far."""
    return iter(_KERNELS)
