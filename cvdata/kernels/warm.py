"""Compile every kernel ahead of the first image: `python -m cvdata.kernels.warm`.

Numba keeps machine code in `__pycache__` beside the sources, or in `NUMBA_CACHE_DIR` where that is
set (for an installation that cannot be written, or to share a cache between containers). Compiling
takes about half a minute once per machine; loading takes a fraction of a second.
"""

import sys
import time

from cvdata.kernels import (
    blur,
    border,
    color,
    edges,
    exposure,
    filters,
    hashing,
    pixels,
    resize,
    spectrum,
    stencils,
    texture,
)
from cvdata.kernels.compiled import kernels

MODULES = (
    blur,
    border,
    color,
    edges,
    exposure,
    filters,
    hashing,
    pixels,
    resize,
    spectrum,
    stencils,
    texture,
)
"""Every module with compiled kernels that measures use; importing them registers their kernels."""


def warm() -> int:
    """Compile, or load from numba's cache, every kernel; how many there are."""
    registered = list(kernels())
    for kernel in registered:
        kernel.compile()
    return len(registered)


def main() -> None:
    """Warm the cache and say how long it took."""
    start = time.perf_counter()
    count = warm()
    sys.stdout.write(f"{count} kernels ready in {time.perf_counter() - start:.1f} s\n")


if __name__ == "__main__":
    main()
