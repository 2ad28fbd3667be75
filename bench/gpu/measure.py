"""Measures Separate on a GPU in eight minutes: ``python bench/gpu/measure.py [--device gpu] [--lines FILE]``.

htdemucs' architecture with random weights. Each figure is one line of JSON as soon as it is known, and each step has
its own time limit, so a run that is cut off has its first figures. ``bench/gpu.sh`` brings it to a machine without a
network. ``--device cpu --small`` is a dry run of every step.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import tempfile
import time
import traceback
from contextlib import suppress
from pathlib import Path
from typing import Final, NoReturn

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

# Steps are forked from here, so that the libraries are loaded once: nothing in this process may touch CUDA.
from bench.gpu.figures import Line, summary
from bench.gpu.steps import STEPS, Setting

from audiojob_types.contract import Device

_BUDGET_SECONDS: Final = 430.0  # loading the libraries, before it, may take half a minute


class Lines:
    """The file of all lines, which steps and this process add to; standard output gets the same."""

    def __init__(self, path: Path) -> None:
        self._path = path
        path.write_bytes(b"")

    def add(self, line: Line) -> None:
        """One more, at once."""
        text = json.dumps(line) + "\n"
        with self._path.open("a", encoding="utf-8") as file:
            file.write(text)
        os.write(1, text.encode())

    def read(self) -> list[Line]:
        """All so far. A step that was killed may have left half a one."""
        found = []
        for text in self._path.read_text(encoding="utf-8").splitlines():
            with suppress(ValueError):
                found.append(json.loads(text))
        return found


def run_step(name: str, setting: Setting, lines: Lines, most: float) -> str:
    """The step in a process group of its own, ended after ``most`` seconds; how it ended."""
    began = time.monotonic()
    child = os.fork()
    if child == 0:
        _be_step(name, setting, lines)
    ended = _wait(child, most)
    with suppress(ProcessLookupError):
        os.killpg(child, signal.SIGKILL)  # what it left running
    lines.add({"step": name, "ended": ended, "stepSeconds": round(time.monotonic() - began, 1)})
    return ended


def _be_step(name: str, setting: Setting, lines: Lines) -> NoReturn:
    os.setsid()
    code = 1
    try:
        for line in STEPS[name][0](setting):
            lines.add({"step": name, **line})
        code = 0
    except Exception:  # noqa: BLE001 - whatever it is, the next step runs
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(code)


def _wait(child: int, most: float) -> str:
    until = time.monotonic() + most
    while time.monotonic() < until:
        pid, status = os.waitpid(child, os.WNOHANG)
        if pid:
            code = os.waitstatus_to_exitcode(status)
            return "ok" if code == 0 else f"failed with {code}"
        time.sleep(0.05)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return f"ended after {most:.0f} s"


def run(setting: Setting, lines: Lines) -> bool:
    """All steps, within the budget; whether each of them came to its end."""
    until = time.monotonic() + _BUDGET_SECONDS
    endings = []
    for name, (_, most) in STEPS.items():
        endings.append(run_step(name, setting, lines, min(most, max(1.0, until - time.monotonic()))))
        if endings[0] != "ok":  # without a model and songs there is nothing to measure
            break
    lines.add(summary(lines.read()))
    return all(each == "ok" for each in endings)


def main() -> int:
    """Run what was asked for; 1 where a step did not come to its end."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", choices=("cpu", "gpu"), default="gpu", help="default: %(default)s")
    parser.add_argument("--small", action="store_true", help="a small network, one song of seconds")
    parser.add_argument("--lines", type=Path, metavar="FILE", help="keep the lines here too")
    options = parser.parse_args()
    if options.device == "cpu":
        os.environ["CUDA_VISIBLE_DEVICES"] = ""
    with tempfile.TemporaryDirectory() as name:
        device = Device.GPU if options.device == "gpu" else Device.CPU
        return 0 if run(Setting(Path(name), device, options.small), Lines(options.lines or Path(name) / "lines")) else 1


if __name__ == "__main__":
    sys.exit(main())
