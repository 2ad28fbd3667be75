"""What the tests of tasks share: a bench that runs them, servers on loopback, and small files."""

from __future__ import annotations

import gc
import logging
import os
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from tests.integration.runner.tasks.web import Web, running

from audiojob_runner.errors import PhaseError
from audiojob_runner.fetch.egress import proxy
from audiojob_runner.logs import CallbackHandler, JsonFormatter
from audiojob_runner.media import ffmpeg
from audiojob_runner.phase.result import encode, failure
from audiojob_runner.phase.worker import result_to_record
from audiojob_runner.task import PartialFolders
from audiojob_runner.tasks import TaskContext, TaskInput, TaskResult, load
from audiojob_types.contract import Device, PhaseLimits, PhaseNetwork
from audiojob_types.outside.redaction import SECRETS
from audiojob_types.parameters import resolve_parameters
from audiojob_types.tasks import Task


@dataclass
class Bench:
    """Runs tasks as the frame does, in folders of its own, and keeps what they report."""

    root: Path
    limits: PhaseLimits = field(default_factory=PhaseLimits)
    allowed_cidrs: tuple[str, ...] = ()
    lyrics_address: str | None = None
    fetch_credentials: Path | None = None
    keeping: PartialFolders | None = None
    device: Device = Device.CPU
    cancelled: threading.Event = field(default_factory=threading.Event)
    reports: list[tuple[float, str]] = field(default_factory=list)
    on_progress: Callable[[], None] = lambda: None
    runs: int = 0
    prepared: object | None = None
    token: str = ""  # goes into each address, as a site's signature does
    told: list[str] = field(default_factory=list)  # what leaves the process, besides the log

    @property
    def models(self) -> Path:
        return self.root / "models"

    @property
    def work(self) -> Path:
        """The folder of the last run."""
        return self.root / f"work-{self.runs}"

    def run(self, task: Task, source: Path | str, **parameters: Any) -> TaskResult:
        """One task on one input. Parameters in their JSON form."""
        name = task.descriptor.inputs[0].name
        if isinstance(source, str) and self.token:
            source = source + f"{'&' if '?' in source else '?'}sig={self.token}"
        given = TaskInput(name, url=source) if isinstance(source, str) else TaskInput(name, path=source)
        return self.run_on(task, [given], **parameters)

    def run_on(self, task: Task, inputs: Sequence[TaskInput], **parameters: Any) -> TaskResult:
        """One task on several."""
        self.runs += 1
        self.work.mkdir()
        self.reports.clear()

        def progress(percent: float, message: str) -> None:
            self.reports.append((percent, message))
            self.on_progress()

        context = TaskContext(
            work_dir=self.work,
            models_root=self.models,
            device=self.device,
            limits=self.limits,
            network=PhaseNetwork(allowed_cidrs=self.allowed_cidrs, lyrics_address=self.lyrics_address),
            progress=progress,
            log=logging.getLogger("test"),
            attempt=1,
            job_uid="uid",
            cancelled=self.cancelled,
            fetch_credentials=self.fetch_credentials,
            keeping=self.keeping,
            prepared=self.prepared,
        )
        try:
            result = load(task)({each.name: each for each in inputs}, resolve_parameters(task, parameters), context)
        except PhaseError as error:
            # As the worker logs it, but not by a logger: pytest keeps records, and with them what yt-dlp left open.
            trace = (type(error), error, error.__traceback__)
            record = logging.LogRecord("test", logging.ERROR, "", 0, "%s", (error.message,), trace)
            self.told += [JsonFormatter().format(record), str(error), repr(error), encode(failure(error)).decode()]
            raise
        self.told += [str(result_to_record(result)), *(message for _, message in self.reports)]
        self.told += [each.path.read_text() for each in result.outputs if each.media_type == "application/json"]
        for output in result.outputs:
            known = task.descriptor.outputs
            assert any(each.covers(output.name, output.media_type) for each in known), f"no such output: {output}"
        return result


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    monkeypatch.setattr(proxy, "UNKNOWN_HOST_SECONDS", 0.0)
    bench = Bench(tmp_path)
    bench.models.mkdir()
    return bench


# An ffmpeg that ends as a real one would when it codes pictures; asked for anything else, it is the real one.
STANDIN = """#!/bin/sh
case "$*" in *{mark}*) {fault} ;; esac
exec {real} "$@"
"""


@pytest.fixture
def break_encoder(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], None]:
    """From now on ffmpeg does this, in words of a shell, where its command has that mark. If it stands still there, it
    is given a second; other calls have the usual time."""
    real, pump = shutil.which("ffmpeg"), ffmpeg._pump

    def standing_in(fault: str, mark: str) -> None:
        def impatient(process: subprocess.Popen[bytes], *others: Any) -> str:
            with monkeypatch.context() as patch:
                if mark in str(process.args):
                    patch.setattr(ffmpeg, "IDLE_SECONDS", 1)
                return pump(process, *others)

        program = bench.root / "bin" / "ffmpeg"
        program.parent.mkdir()
        program.write_text(STANDIN.format(fault=fault, mark=mark, real=real))
        program.chmod(0o755)
        monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
        monkeypatch.setattr(ffmpeg, "_pump", impatient)

    return standing_in


@pytest.fixture
def loopback(bench: Bench) -> None:
    """127.0.0.1 is allowed as if it were public; 127.0.0.2 is not."""
    bench.allowed_cidrs = ("127.0.0.1/32:*",)


TOKEN = "c4n4ry-s3cret"


@pytest.fixture
def secret_address(bench: Bench) -> Iterator[None]:
    """Each address holds a token, and nothing that leaves the process tells it: log, result, progress, files' names."""
    lines: list[str] = []
    handler, root = CallbackHandler(lines.append), logging.getLogger()
    handler.setFormatter(JsonFormatter())
    before = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    bench.token = TOKEN
    yield
    root.removeHandler(handler)
    root.setLevel(before)
    SECRETS.forget()
    names = [str(path.relative_to(bench.root)) for path in bench.root.rglob("*")]
    assert bench.told or not bench.runs
    assert [each for each in (*lines, *bench.told, *names) if TOKEN in each.lower()] == []


@pytest.fixture
def canary() -> Iterator[Web]:
    """A server inside the network, that must never be asked."""
    with running("127.0.0.2") as server:
        server.serve("/secret.mp3", b"secret", Content_Type="audio/mpeg")
        yield server
        assert server.asked == []


@pytest.fixture
def collected() -> Iterator[None]:
    """What a test leaves open is found within that test."""
    yield
    gc.collect()


@pytest.fixture(scope="session")
def sounds(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of small real files, made by ffmpeg."""
    folder = tmp_path_factory.mktemp("sounds")
    tone = ["-f", "lavfi", "-i", "sine=440:duration=4:sample_rate=44100"]
    picture = ["-f", "lavfi", "-i", "testsrc=duration=4:size=160x120:rate=10"]
    for arguments in (
        [*tone, "-ac", "2", "-c:a", "pcm_s16le", "tone.wav"],
        [*tone, "-ac", "1", "-ar", "8000", "-c:a", "pcm_u8", "mono8k.wav"],
        [*tone, "-ac", "2", "tone.mp3"],
        [*tone, "-ac", "2", "tone.flac"],
        [*tone, "-ac", "2", "-c:a", "libvorbis", "tone.ogg"],
        [*tone, "-ac", "2", "-c:a", "libopus", "tone.opus"],
        [*tone, "-ac", "2", "-movflags", "faststart", "tone.m4a"],
        [*tone, "-ac", "6", "-c:a", "pcm_s16le", "surround.wav"],
        [*tone, "-af", "aformat=channel_layouts=7.1", "-c:a", "flac", "surround.flac"],
        [*picture, *tone, "-shortest", "-c:v", "libx264", "film.mp4"],
        [*picture, *tone, "-shortest", "-c:v", "libx264", "film.mkv"],
        [*picture, *tone, "-shortest", "-c:v", "libvpx", "film.webm"],
        [*picture, "-c:v", "libx264", "silent.mp4"],
        [*picture, "-frames:v", "1", "picture.png"],
        [*picture, *tone, "-shortest", "-c:v", "mpeg4", "film.avi"],
    ):
        subprocess.run(["ffmpeg", "-v", "error", "-nostdin", *arguments], cwd=folder, check=True, timeout=60)
    return folder
