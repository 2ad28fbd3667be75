"""Makes the C library keep freed memory. Networks free and allocate the same large blocks for each chunk."""

from __future__ import annotations

import ctypes
from typing import Final

# Numbers of glibc's mallopt(3). Blocks above the first threshold are given back to the kernel as soon as they are
# free; 32 MiB is the most that glibc takes. The second is how much may be free at the end of the heap.
_TRIM_THRESHOLD: Final = -1
_MMAP_THRESHOLD: Final = -3
_MMAP_BYTES: Final = 32 * 1024**2
_TRIM_BYTES: Final = 256 * 1024**2


def keep_freed_memory() -> bool:
    """Keep what is freed for what is asked for next, in this process; whether the C library can.

    What is given back and asked for again comes page by page, each cleared by the kernel: with a small network that is
    a fifth of the processor time. The peak of memory stays the same, the valleys between peaks become shallower.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # musl and others have none
    if mallopt is None:
        return False
    mallopt.argtypes, mallopt.restype = (ctypes.c_int, ctypes.c_int), ctypes.c_int
    taken = [mallopt(_MMAP_THRESHOLD, _MMAP_BYTES), mallopt(_TRIM_THRESHOLD, _TRIM_BYTES)]
    return all(taken)
