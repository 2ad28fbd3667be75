"""What a person sees of a run."""

from __future__ import annotations

import io

from audiojob_runner.local.display import Display
from audiojob_runner.phase.progress import Progress


def test_without_a_terminal_progress_is_a_line_for_every_tenth() -> None:
    stream = io.StringIO()
    display = Display(stream, "Separate")

    for percent in range(101):
        display.show(Progress(percent, "chunk", None))
    display.end()

    assert len(stream.getvalue().splitlines()) == 11
    assert "\x1b" not in stream.getvalue()
