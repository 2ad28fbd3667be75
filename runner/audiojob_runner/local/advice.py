"""What to do about a failure on this machine, where there is no job to create again and no administrator to ask."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from audiojob_runner.errors import PhaseError
from audiojob_types.models import KNOWN_MODELS
from audiojob_types.reasons import EXPLANATIONS, Reason

# Words of clusters: advice with one of them is for somebody else.
_ELSEWHERE: Final = re.compile(
    r"\b(administrators?|charts?|cluster|helm|images?\.|jobs?|logkey|namespace|nodes?|operator|phases?|pipelines?|pods?|"
    r"queue|scratch|secret|spec\.|store|volume|fetch\.\w+|device auto)",
    re.IGNORECASE,
)
_FIELD: Final = re.compile(r"\bparameters\.[a-zA-Z]+\.([a-zA-Z]+)|\b(timeoutSeconds|maxBytes|maxDurationSeconds)\b")
_AGAIN: Final = "Run it again; --verbose shows the log."
_HERE: Final[dict[Reason, str]] = {
    Reason.INVALID_SPEC: "See: python -m audiojob_runner run --help",
    Reason.INPUT_MISSING: "Check the path.",
    Reason.CHECKSUM_MISMATCH: "Check the disk that the file is on, and run it again.",
    Reason.LIVE_NOT_ALLOWED: "Run it again when there is a recording, or set --param allowLive=true and "
    "--param maxRecordingSeconds.",
    Reason.DNS_ERROR: "Check the address, and whether this machine reaches the network.",
    Reason.BOT_CHECK: "Wait, download less at once, or try from another network.",
    Reason.EXTRACTOR_OUTDATED: "If this lasts, install a newer version of yt-dlp.",
    Reason.BLOCKED_ADDRESS: "Use a public address, or allow the network with --allow-cidr.",
    Reason.TOO_LARGE: "Use a smaller file, or set --param maxBytes.",
    Reason.TOO_LONG: "Use a shorter file, or set --param maxDurationSeconds.",
    Reason.CREDENTIALS_REFUSED: "Use a source that needs no login.",
    Reason.DISK_FULL: "Free some space for --out and for temporary files; TMPDIR moves the latter to another disk.",
    Reason.GPU_ERROR: "Run it with --device CPU.",
    Reason.GPU_OUT_OF_MEMORY: "Run it with --device CPU.",
    Reason.OUT_OF_MEMORY: "Close other programs, or use a shorter input.",
    Reason.STOPPED: "Run it again to start over.",
}


def advice(error: PhaseError, models: Sequence[str], folder: Path) -> str:
    """One sentence. ``models`` are those that the task needs, and ``folder`` is where they are looked for."""
    if error.reason is Reason.MODEL_MISSING:
        return _fetch_models([name for name in models if name in KNOWN_MODELS], folder)
    text = _FIELD.sub(lambda found: f"--param {found[1] or found[2]}", error.suggestion)
    if text and not _ELSEWHERE.search(text):
        return text
    # What was said about this very case may have a way out for either place.
    usual = EXPLANATIONS.get(error.reason)
    own = _alternative(text) if usual is None or usual.suggestion != error.suggestion else ""
    return own or _HERE.get(error.reason, _AGAIN)


def _alternative(text: str) -> str:
    """Of one sentence with alternatives the first that is not about clusters, as a sentence; else empty."""
    sentence, _, more = text.partition(". ")
    if more:
        return ""
    parts = (part for part in sentence.rstrip(".").split(", or ") if not _ELSEWHERE.search(part))
    first = next(parts, "")
    return f"{first[0].upper()}{first[1:]}." if first else ""


def _fetch_models(names: list[str], folder: Path) -> str:
    if not names:
        return f"Put the model's files into {folder}, or name another folder with --models."
    wanted = " ".join(f"--model {name}" for name in names)
    return f"Fetch it: python -m audiojob_runner prefetch {wanted} --models {folder}"
