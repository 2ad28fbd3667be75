"""What the measurements on a GPU are made of."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from bench.gpu.bundle import chosen
from bench.gpu.figures import Sample, decibels, parse_samples, songs_per_minute, summary, utilisation

SOUND = np.linspace(0.1, 1, 1_000)


@pytest.mark.parametrize(
    ("found", "wanted", "answer"),
    [
        pytest.param(SOUND, SOUND, 200.0, id="the same"),
        pytest.param(SOUND * 1.001, SOUND, 60.0, id="a thousandth off"),
        pytest.param(SOUND, SOUND * 0, -200.0, id="sound where silence is wanted"),
        pytest.param(SOUND * 0, SOUND * 0, 200.0, id="silence"),
        pytest.param(SOUND * np.nan, SOUND, None, id="no number"),
    ],
)
def test_decibels(found: np.ndarray[Any, Any], wanted: np.ndarray[Any, Any], answer: float | None) -> None:
    assert decibels(found, wanted) == answer


def test_looks_of_nvidia_smi_are_read_and_summed_up() -> None:
    text = "0, 4\r\n100, 1824\r\n[N/A], 1824\r\n50, 2048\r\n7"  # as from a terminal; the last line is unfinished
    samples = parse_samples(text)
    assert samples == [Sample(0, 4), Sample(100, 1824), Sample(50, 2048)]
    assert utilisation(samples) == {"samples": 3, "busyPercent": 50.0, "busyLooksPercent": 66.7, "peakMib": 2048}
    assert utilisation([])["busyPercent"] is None
    assert (songs_per_minute(6, 90), songs_per_minute(0, 0)) == (4.0, 0.0)


def line(step: str, what: str, **figures: Any) -> dict[str, Any]:
    return {"step": step, "what": what, **figures}


def test_the_summary_tells_each_aim_by_its_worst_value() -> None:
    found = summary(
        [
            line("agreement", "full", decibels=58.2),
            line("agreement", "mixed", decibels=34.0),
            line("cold", "song", keptMib=0.0, exitCode=0),
            line("cold", "song", keptMib=612.0, exitCode=0),
            line("forked", "song", keptMib=None, exitCode=0),
            line("memory", "full", exitCode=79),
            line("memory", "full", exitCode=75),
            line("memory", "free", exitCode=75),
            {"step": "forked", "ended": "ended after 110 s"},
            {"step": "cold", "ended": "ok"},
        ]
    )
    assert {name: (each["value"], each["met"]) for name, each in found.items() if isinstance(each, dict)} == {
        "full precision, dB": (58.2, False),
        "mixed precision, dB": (34.0, True),
        "MiB kept after a program": (612.0, False),
        "MiB kept after a forked child": (None, None),
        "exit code of a full GPU": (75, False),
    }
    assert found["failed"] == ["forked", "memory"]


LOCK = """# comment
numpy==2.4.6 \\
    --hash=sha256:aa
    # via demucs
obstore==0.12.1 \\
    --hash=sha256:bb \\
    --hash=sha256:cc
    # via audiojob (pyproject.toml)
torch==2.15.0 \\
    --hash=sha256:dd
deno==2.9.8 \\
    --hash=sha256:ee
"""


def test_torch_travels_only_where_it_is_asked_for_and_downloads_never() -> None:
    small = "obstore==0.12.1 \\\n    --hash=sha256:bb \\\n    --hash=sha256:cc\n"
    assert chosen(LOCK, with_torch=False) == small
    everything = chosen(LOCK, with_torch=True)
    assert [name for name in ("numpy", "obstore", "torch", "deno") if name in everything] == [
        "numpy",
        "obstore",
        "torch",
    ]
