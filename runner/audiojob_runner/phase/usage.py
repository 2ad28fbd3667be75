"""What a phase takes: memory and OOM kills of its container, from the cgroup; CPU time, sound, work, bytes."""

from __future__ import annotations

import os
import resource
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

from audiojob_runner.task import TaskOutput
from audiojob_types.progress import MAX_MEDIA_SECONDS, PhaseUsage

CGROUP_ROOT: Final = Path("/sys/fs/cgroup")
PROC_CGROUP: Final = Path("/proc/self/cgroup")
PROC_STAT: Final = Path("/proc/self/stat")
_START_TIME: Final = 19  # of the fields behind the program's name, which may hold anything
_MOST: Final = 2**53


class Meter:
    """What one phase has taken so far. The supervisor reads inputs and writes outputs, its worker works.

    ``of_a_program``: an administrator's program has worked in a container of its own, of which nothing is known here.
    ``waited``: seconds from the start of the process that were spent on waiting for somebody else's work.
    """

    def __init__(self, *, of_a_program: bool = False, waited: float = 0.0) -> None:
        self.read_bytes = 0
        self.cpu_elsewhere = 0.0  # seconds that another container's processes spent on it
        self.written_bytes = 0
        self._of_a_program = of_a_program
        self._waited = waited
        self._written_by_task = 0
        self._began: float | None = None
        self._ended: float | None = None
        self._start: float | None = None
        self._gpu_peak: int | None = None
        self._media: float | None = None

    def begin(self) -> None:
        """The task begins."""
        if self._began is None:
            start = seconds_since_start()
            self._began, self._start = time.monotonic(), None if start is None else max(0.0, start - self._waited)

    def told(self, used: Mapping[str, Any]) -> None:
        """What the worker says that the task used. It may be anything: the worker decodes what strangers send."""
        self._gpu_peak = _whole(used.get("gpu_peak_bytes")) or None
        self._written_by_task = _whole(used.get("written_bytes")) or 0
        seconds = used.get("media_seconds")
        self._media = seconds if isinstance(seconds, float) and 0 < seconds <= MAX_MEDIA_SECONDS else None

    def end(self) -> None:
        """The task has ended, however."""
        if self._ended is None:
            self._ended = time.monotonic()

    def made(self, outputs: Iterable[TaskOutput]) -> None:
        """What it has made: unless it told another length, it worked on as much sound as the longest of these has."""
        if self._media is None:
            self._media = max(map(_sound_seconds, outputs), default=0.0) or None

    def usage(self) -> PhaseUsage:
        """For the result. CPU time is that of processes that have ended, and of this one."""
        written = min(_MOST, self.written_bytes + self._written_by_task)
        if self._of_a_program:
            return PhaseUsage(read_bytes=self.read_bytes, written_bytes=written)
        work = (self._ended or time.monotonic()) - self._began if self._began is not None else None
        return PhaseUsage(
            cpu_milliseconds=_milliseconds(cpu_seconds() + self.cpu_elsewhere),
            media_milliseconds=_milliseconds(self._media),
            work_milliseconds=_milliseconds(work),
            start_milliseconds=_milliseconds(self._start),
            gpu_peak_bytes=self._gpu_peak,
            read_bytes=self.read_bytes,
            written_bytes=written,
        )


def cpu_seconds() -> float:
    """CPU time of this process and of those that it waited for, with all that these waited for."""
    spent = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(each.ru_utime + each.ru_stime for each in spent)


def seconds_since_start(stat: Path = PROC_STAT) -> float | None:
    """Since the kernel started this process, before Python ran; None where it cannot be told."""
    try:
        ticks = int(stat.read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()[_START_TIME])
    except (OSError, ValueError, IndexError):
        return None
    return max(0.0, time.clock_gettime(time.CLOCK_BOOTTIME) - ticks / os.sysconf("SC_CLK_TCK"))


def _sound_seconds(output: TaskOutput) -> float:
    """How long the output sounds; 0 for what is neither sound nor film, or does not say."""
    seconds = output.metadata.get("durationSeconds")
    if not output.media_type.startswith(("audio/", "video/")) or isinstance(seconds, bool):
        return 0.0
    return float(seconds) if isinstance(seconds, int | float) and 0 < seconds <= MAX_MEDIA_SECONDS else 0.0


def _whole(value: object) -> int | None:
    return value if isinstance(value, int) and 0 <= value <= _MOST else None


def _milliseconds(seconds: float | None) -> int | None:
    return None if seconds is None else round(seconds * 1_000)


def peak_bytes() -> int:
    """The largest resident set of this process or of one that it waited for, in bytes."""
    own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    children = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    return max(own, children) * 1024


def held_bytes(root: Path = CGROUP_ROOT, proc: Path = PROC_CGROUP) -> int | None:
    """Memory of all processes in this container now, in bytes, without the page cache; None where it cannot be told.

    The kernel's own peak counts cached file pages too: any phase that writes a large file would show its limit.
    """
    for folder, anonymous in _folders(root, proc):
        values = _read_pairs(folder / "memory.stat")
        if anonymous in values:
            return values[anonymous] + values.get("shmem", 0)
    return None


def oom_kills(root: Path = CGROUP_ROOT, proc: Path = PROC_CGROUP) -> int | None:
    """How many processes of this container the kernel killed for memory so far; None where it cannot be told."""
    for folder, _ in _folders(root, proc):
        for name in ("memory.events", "memory.oom_control"):
            values = _read_pairs(folder / name)
            if "oom_kill" in values:
                return values["oom_kill"]
    return None


def more_oom_kills(before: int | None) -> bool | None:
    """Whether there are more of them than ``before``; None if unknown."""
    now = oom_kills()
    return None if now is None or before is None else now > before


def _folders(root: Path, proc: Path) -> list[tuple[Path, str]]:
    """This process's own control groups for memory, each with its name of anonymous memory; not the machine's root."""
    try:
        lines = proc.read_text(encoding="utf-8").splitlines()
    except OSError:
        return []
    found: list[tuple[Path, str]] = []
    for line in lines:
        number, controllers, path = (*line.split(":", 2), "", "")[:3]
        if number == "0" and not controllers:
            # In a container this is "/", and the mounted folder is the container's own; the machine's has no peak.
            folder = root / path.lstrip("/")
            if (folder / "memory.peak").exists() or (folder / "memory.events").exists():
                found.append((folder, "anon"))
        elif "memory" in controllers.split(","):
            # Version 1 names the machine's path even where a container mounts its own folder at the root.
            whole = root / "memory" / path.lstrip("/")
            if path != "/":
                found.append((whole if whole.is_dir() else root / "memory", "total_rss"))
    return found


def _read_pairs(path: Path) -> dict[str, int]:
    """A file of "name number" lines; empty where it cannot be read."""
    try:
        text = path.read_text(encoding="utf-8")
    except OSError:
        return {}
    pairs = (line.split() for line in text.splitlines())
    return {pair[0]: int(pair[1]) for pair in pairs if len(pair) == 2 and pair[1].isdecimal()}
