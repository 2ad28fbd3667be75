"""Keeps the supervisor's memory and descriptors from what runs beside it as the same user.

The worker decodes what strangers send. Were it taken over, it could trace the supervisor, or write into its memory, and
so let it say anything. The kernel refuses that for a process that is not dumpable, and no other process can make it
dumpable again.
"""

from __future__ import annotations

import ctypes
import logging
import os
from typing import Final

_PR_SET_DUMPABLE: Final = 4

_log = logging.getLogger(__name__)


def refuse_tracers() -> None:
    """From now on nobody without privileges traces this process. What is forked later inherits that, until it execs."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0) != 0:  # a sandbox may refuse it; results are verified all the same
        _log.warning("The supervisor can be traced by its worker: %s.", os.strerror(ctypes.get_errno()))


def allow_tracers() -> None:
    """Undo :func:`refuse_tracers` in a process forked after it: programs of its worker read files through /proc."""
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_DUMPABLE, 1, 0, 0, 0)
