"""How long what was decoded plays, as its own file says it."""

from __future__ import annotations

from pathlib import Path

import soundfile


def decoded_samples(path: Path) -> int:
    """Samples in one channel of a WAV file; 0 where ffmpeg wrote none."""
    try:
        return int(soundfile.info(path).frames)
    except soundfile.LibsndfileError:
        return 0
