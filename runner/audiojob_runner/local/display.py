"""What a person sees: a bar on a terminal, lines elsewhere, and the list of tasks."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from contextlib import suppress
from typing import Final, TextIO

from audiojob_runner.phase.progress import Progress
from audiojob_types.tasks import Task

BAR_CHARACTERS: Final = 30


class Display:
    """A bar on a terminal, a line for every tenth elsewhere; log lines pass between."""

    def __init__(self, stream: TextIO, title: str) -> None:
        self._stream = stream
        self._title = title
        self._bar = stream.isatty()
        self._shown = -1
        self._open = False

    def show(self, progress: Progress) -> None:
        """Draw where the task stands."""
        if self._bar:
            self._draw(progress)
        elif progress.percent // 10 > self._shown // 10:
            self._write(f"{self._title} {progress.percent:3} %  {progress.message}\n")
            self._shown = progress.percent

    def log(self, line: str) -> None:
        """Print a log line above the bar."""
        self.end()
        self._write(line + "\n")

    def end(self) -> None:
        """Leave the bar's line."""
        if self._open:
            self._write("\n")
            self._open = False

    def _draw(self, progress: Progress) -> None:
        filled = "#" * (BAR_CHARACTERS * progress.percent // 100)
        left = "" if progress.eta_seconds is None else f"  {_clock(progress.eta_seconds)} left"
        width = max(20, shutil.get_terminal_size().columns - 1)
        line = f"{self._title} [{filled:<{BAR_CHARACTERS}}] {progress.percent:3} %{left}  {progress.message}"
        self._write(f"\r\x1b[K{line[:width]}")
        self._open = True

    def _write(self, text: str) -> None:
        """A terminal that was closed is no reason to fail: its SIGHUP is."""
        with suppress(OSError):
            self._stream.write(text)
            self._stream.flush()


def _clock(seconds: int) -> str:
    minutes, rest = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def describe(write: Callable[[str], object]) -> None:
    """Print every task with its inputs, outputs and parameters."""
    for task in Task:
        known = task.descriptor
        write(f"{task.value}: {known.summary}\n")
        for title, files in (("input", known.inputs), ("output", known.outputs)):
            for file in files:
                optional = " (optional)" if file.optional else ""
                write(f"    {title} {file.name}: {', '.join(file.media_types)}{optional}\n")
        for field in known.parameters.model_fields.values():
            write(f"    {field.description or field.alias}\n")
