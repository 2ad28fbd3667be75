"""``serve`` with a Simulate that misbehaves, for tests: ``python -m tests.integration.runner.worker.rogue --root DIR``.

The task does what the file ``<root>/rogue/<job uid>`` says, and notes there what it finds. The worker notes its own
descriptors and memory before each phase.
"""

from __future__ import annotations

import os
import re
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from audiojob_runner.cli import main
from audiojob_runner.settings import Paths, PodIdentity
from audiojob_runner.task import TaskContext, TaskInput, TaskResult
from audiojob_runner.tasks import simulate
from audiojob_runner.worker import child as children
from audiojob_runner.worker.state import Identity
from audiojob_types.base import WireModel

ROOT = Path(sys.argv[-1])
_run, _fork = simulate.run, children.fork


def run(inputs: Mapping[str, TaskInput], parameters: WireModel, context: TaskContext) -> TaskResult:
    told = ROOT / "rogue" / context.job_uid
    for trick in told.read_text().split() if told.exists() else ():
        TRICKS[trick](told, inputs, context)
    return _run(inputs, parameters, context)


def plant(told: Path, inputs: Mapping[str, TaskInput], context: TaskContext) -> None:
    """Leave the job's text wherever this process may."""
    path = inputs["words"].path
    assert path is not None
    text = path.read_text()
    context.log.info("It sings %s", text)
    os.environ["LEFT"] = text
    for folder in (context.work_dir, Path(os.environ["TMPDIR"]), ROOT / "scratch", ROOT / "scratch/deep"):
        folder.mkdir(exist_ok=True)
        (folder / f"left-{text}").write_text(text)
    os.open(ROOT / "scratch" / f"left-{text}", os.O_RDONLY)


def fork_away(told: Path, _inputs: Mapping[str, TaskInput], _context: TaskContext) -> None:
    """Start a process that leaves the session, ignores all signals that it can, and looks on."""
    reading, writing = os.pipe()
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            os.write(writing, str(os.getpid()).encode())
            time.sleep(600)
        os._exit(0)
    told.with_suffix(".away").write_bytes(os.read(reading, 64))


def look(told: Path, _inputs: Mapping[str, TaskInput], _context: TaskContext) -> None:
    """Note all that this process can see."""
    found = [f"{name}={value}" for name, value in os.environ.items()]
    found += [str(path) for path in (ROOT / "scratch").rglob("*")]
    opened = [path for path in Path("/proc/self/fd").iterdir() if int(path.name) > 2]
    found += [str(path.readlink()) for path in opened if path.is_symlink()]  # its own look was one
    told.with_suffix(".seen").write_text("\n".join(found))
    with told.with_suffix(".memory").open("wb") as out, Path("/proc/self/mem").open("rb", 0) as memory:
        for line in Path("/proc/self/maps").read_text().splitlines():
            match = re.match(r"([0-9a-f]+)-([0-9a-f]+) rw", line)
            if match is not None:
                begin, end = (int(each, 16) for each in match.groups())
                memory.seek(begin)
                out.write(memory.read(end - begin))


TRICKS = {"plant": plant, "fork_away": fork_away, "look": look}


def fork(identity: Identity, environ: Mapping[str, str], paths: Paths, pod: PodIdentity) -> children.Child:
    """What is held before each phase, for the test."""
    status = Path("/proc/self/status").read_text()
    anonymous = re.search(r"RssAnon:\s+(\d+)", status)
    assert anonymous is not None
    with (ROOT / "rogue" / "worker").open("a") as notes:
        notes.write(f"{len(list(Path('/proc/self/fd').iterdir()))} {anonymous[1]}\n")
    return _fork(identity, environ, paths, pod)


if __name__ == "__main__":
    simulate.run = run
    children.fork = fork
    sys.exit(main(sys.argv[1:]))
