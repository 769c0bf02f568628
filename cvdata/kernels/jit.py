"""Kernels that take several types or call each other: numba, lazy, without the GIL, cached."""

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba
from numba.extending import intrinsic

F = TypeVar("F", bound=Callable[..., Any])


def jit(function: F) -> F:
    """`function` as machine code that releases the GIL; threads may run it side by side."""
    return _compiled(function, {"nogil": True})


def fast_jit(function: F) -> F:
    """`jit` that may reorder sums: the last bits are the machine's, so never for a decision."""
    return _compiled(function, {"nogil": True, "fastmath": True})


def _compiled(function: F, options: dict[str, Any]) -> F:
    try:
        return cast(F, numba.njit(cache=True, **options)(function))
    except RuntimeError as error:
        if "no locator available" not in str(error):
            raise
        # nowhere to keep machine code: every process compiles for itself
        return cast(F, numba.njit(**options)(function))


def _popcount(typingctx: Any, x: Any) -> Any:
    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.ctpop(args[0])

    return numba.uint64(numba.uint64), codegen


popcount = cast(Callable[[Any], Any], intrinsic(_popcount))
"""Bits set in a uint64; callable from compiled code only (one machine instruction)."""
