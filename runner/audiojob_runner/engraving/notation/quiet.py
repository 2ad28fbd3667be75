"""music21 without what it says when it is imported."""

from __future__ import annotations

import contextlib
import io

with contextlib.redirect_stderr(io.StringIO()), contextlib.redirect_stdout(io.StringIO()):
    # It misses matplotlib, which plots what we never ask for.
    import music21 as m21

__all__ = ["m21"]
