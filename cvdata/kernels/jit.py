"""Kernels that take several types or call each other; importing them imports numba.

`compiled` is for kernels of one signature that are called from Python alone: measures import those
and pay for numba at the first image. A kernel that another kernel calls must be numba's own.
"""

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba
from numba.extending import intrinsic

from cvdata.kernels.compiled import machine_code

F = TypeVar("F", bound=Callable[..., Any])


def jit(function: F) -> F:
    """`function` as machine code that releases the GIL; threads may run it side by side."""
    return cast(F, machine_code(function, nogil=True))


def fast_jit(function: F) -> F:
    """`jit` that may reorder sums: the last bits are the machine's, so never for a decision."""
    return cast(F, machine_code(function, nogil=True, fastmath=True))


def _popcount(typingctx: Any, x: Any) -> Any:
    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.ctpop(args[0])

    return numba.uint64(numba.uint64), codegen


popcount = cast(Callable[[Any], Any], intrinsic(_popcount))
"""Bits set in a uint64; callable from compiled code only (one machine instruction)."""
