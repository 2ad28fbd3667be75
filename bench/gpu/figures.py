"""What the measurements on a GPU come to: pure functions of numbers and of nvidia-smi's text."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

MOST_DECIBELS: Final = 200.0  # what equal sounds are called; infinity is no JSON
FULL_DECIBELS: Final = 60.0
MIXED_DECIBELS: Final = 30.0
MOST_KEPT_MIB: Final = 16.0  # the driver's own figure moves by a few

Line = dict[str, Any]


def decibels(found: NDArray[Any], wanted: NDArray[Any]) -> float | None:
    """By how much ``wanted`` is above what ``found`` differs from it; None where either is no number."""
    reference = np.asarray(wanted, dtype=np.float64)
    wrong = float(((np.asarray(found, dtype=np.float64) - reference) ** 2).sum())
    right = float((reference**2).sum())
    if not (math.isfinite(wrong) and math.isfinite(right)):
        return None
    if wrong == 0:
        return MOST_DECIBELS
    return round(min(MOST_DECIBELS, 10 * math.log10(right / wrong)), 1) if right else -MOST_DECIBELS


@dataclass(frozen=True, slots=True)
class Sample:
    """One look at the card: how busy in percent, and its memory in use."""

    busy: float
    used_mib: float


def parse_samples(text: str) -> list[Sample]:
    """What ``nvidia-smi --query-gpu=utilization.gpu,memory.used`` wrote, without units. A line that it could not end,
    or that says ``[N/A]``, is left out."""
    found = []
    for line in text.splitlines():
        try:
            busy, used = (float(part) for part in line.split(","))
        except ValueError:
            continue
        found.append(Sample(busy, used))
    return found


def utilisation(samples: Sequence[Sample]) -> Line:
    """Mean, the share of looks that found it busy at all, and the most memory; nulls where nobody looked."""
    if not samples:
        return {"samples": 0, "busyPercent": None, "busyLooksPercent": None, "peakMib": None}
    return {
        "samples": len(samples),
        "busyPercent": round(sum(each.busy for each in samples) / len(samples), 1),
        "busyLooksPercent": round(100 * sum(each.busy > 0 for each in samples) / len(samples), 1),
        "peakMib": max(each.used_mib for each in samples),
    }


def songs_per_minute(songs: int, seconds: float) -> float:
    """So many in so long."""
    return round(60 * songs / seconds, 2) if seconds > 0 else 0.0


@dataclass(frozen=True, slots=True)
class Aim:
    """One figure of the lines: ``fits`` says which lines, ``figure`` where in them, ``met`` whether it is right."""

    name: str
    step: str
    what: str
    figure: str

    def of(self, lines: Iterable[Line]) -> list[Any]:
        """The values measured, without those that nobody could measure."""
        fitting = [each for each in lines if each.get("step") == self.step and each.get("what") == self.what]
        return [each[self.figure] for each in fitting if each.get(self.figure) is not None]


AIMS: Final = (
    Aim("full precision, dB", "agreement", "full", "decibels"),
    Aim("mixed precision, dB", "agreement", "mixed", "decibels"),
    Aim("MiB kept after a program", "cold", "song", "keptMib"),
    Aim("MiB kept after a forked child", "forked", "song", "keptMib"),
    Aim("exit code of a full GPU", "memory", "full", "exitCode"),
)


def summary(lines: Sequence[Line]) -> Line:
    """Each aim with its worst value and whether it was met; null where it was not measured."""
    found: Line = {"step": "summary"}
    for aim in AIMS:
        values = aim.of(lines)
        found[aim.name] = {"value": _worst(aim, values), "met": _is_met(aim, values) if values else None}
    failed = (each for each in lines if each.get("ended") not in (None, "ok") or _is_failed_phase(each))
    found["failed"] = sorted({str(each["step"]) for each in failed})
    return found


def _is_failed_phase(line: Line) -> bool:
    return line.get("what") in ("song", "free") and line.get("exitCode") != 0


def _worst(aim: Aim, values: Sequence[Any]) -> Any:
    if not values:
        return None
    if aim.figure == "exitCode":
        return next((each for each in values if each != 79), 79)
    return max(values) if aim.figure == "keptMib" else min(values)


def _is_met(aim: Aim, values: Sequence[Any]) -> bool:
    worst = _worst(aim, values)
    if aim.figure == "exitCode":
        return bool(worst == 79)
    if aim.figure == "keptMib":
        return bool(worst <= MOST_KEPT_MIB)
    return bool(worst >= (FULL_DECIBELS if aim.what == "full" else MIXED_DECIBELS))
