"""The C allocator of a worker: memory that is freed and taken again all the time is kept."""

import ctypes
import sys
from functools import lru_cache

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
"""glibc's M_TRIM_THRESHOLD and M_MMAP_THRESHOLD."""
_KEPT_BYTES, _MAPPED_BYTES = 128 << 20, 32 << 20


@lru_cache(maxsize=1)
def keep_freed_memory() -> bool:
    """Keep up to 128 MiB of freed memory in this process; whether the C library can be told so.

    A worker reads and forgets files of 100 KB by the thousand. By default glibc hands each back to
    the kernel, which clears its pages anew: that costs four times what the read costs. A sandbox
    gains nothing by it: it takes and frees the same few sizes, and glibc learns them.
    """
    if not sys.platform.startswith("linux"):
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # musl has none
    if mallopt is None:
        return False
    done = (mallopt(_TRIM_THRESHOLD, _KEPT_BYTES), mallopt(_MMAP_THRESHOLD, _MAPPED_BYTES))
    return all(done)
