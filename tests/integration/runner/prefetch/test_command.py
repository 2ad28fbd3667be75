"""Prefetch as the process that it is in a pod: ended half-way, twice at once, on a full volume, misspelled."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.integration.runner.pods import eventually
from tests.integration.runner.prefetch.filling import ONE, ONE_NAME, ONE_PATH, SIZE, Filling, Process, ranges
from tests.integration.runner.tasks.web import Handler


def hold(release: threading.Event) -> Callable[[Handler], None]:
    """Half of the file, and the rest when told."""

    def route(handler: Handler) -> None:
        if handler.headers.get("Range"):
            ranges(ONE)(handler)
            return
        handler.send_response(200)
        handler.send_header("Content-Length", str(SIZE))
        handler.end_headers()
        handler.wfile.write(ONE[: SIZE // 2])
        handler.wfile.flush()
        release.wait(30)
        handler.close_connection = True

    return route


@pytest.mark.parametrize(("number", "code"), [(signal.SIGKILL, -9), (signal.SIGTERM, 143)], ids=["killed", "stopped"])
def test_a_process_that_is_ended_goes_on_where_it_was(
    tmp_path: Path, filling: Filling, number: signal.Signals, code: int
) -> None:
    release = threading.Event()
    filling.web.routes[f"/demucs/{ONE_PATH}"] = hold(release)
    process = Process(tmp_path, filling.base)
    part = filling.root / f"{ONE_NAME}.part"

    first = process.start()
    eventually(lambda: part.exists() and part.stat().st_size > 0, "some bytes")
    first.send_signal(number)
    first.communicate(timeout=30)
    release.set()
    arrived = part.stat().st_size

    assert (first.returncode, (filling.root / ONE_NAME).exists()) == (code, False)
    assert process.run()[0] == 0
    assert filling.asked()[-1] == (ONE_PATH, f"bytes={arrived}-")
    assert (filling.root / ONE_NAME).read_bytes() == ONE


def test_a_second_process_waits_for_the_first(tmp_path: Path, filling: Filling) -> None:
    release = threading.Event()
    filling.web.routes[f"/demucs/{ONE_PATH}"] = hold(release)
    process = Process(tmp_path, filling.base)
    first = process.start()
    eventually(lambda: filling.web.asked, "the first request")
    second = process.start()
    assert second.stderr is not None
    assert "Another prefetch" in second.stderr.readline()
    release.set()
    first.communicate(timeout=60)
    second.communicate(timeout=60)
    assert (first.returncode, second.returncode) == (0, 0)
    assert len(filling.web.asked) == 2, "the first request, and its rest"


@pytest.mark.parametrize("told", [True, False], ids=["the server tells the size", "the disk fills on the way"])
def test_a_full_volume_is_told_and_nothing_half_written_stays(tmp_path: Path, filling: Filling, told: bool) -> None:
    body = ONE * 4

    def large(handler: Handler) -> None:
        handler.send_response(200)
        if told:
            handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)
        handler.close_connection = True

    unshare = shutil.which("unshare")
    assert unshare, "install util-linux"
    filling.root.mkdir()
    filling.web.routes[f"/demucs/{ONE_PATH}"] = large
    script = (
        f'mount -t tmpfs -o size=1m tmpfs "{filling.root}" && "$@"; code=$?; '
        f'find "{filling.root}" -type f > "{tmp_path}/left"; exit $code'
    )
    wrapper = (unshare, "--user", "--map-root-user", "--mount", "sh", "-c", script, "sh")
    code, said = Process(tmp_path, filling.base, wrapper=wrapper).run()
    assert code == 78, said
    assert "DiskFull: The models volume is full" in said
    assert "models.size" in said
    left = (tmp_path / "left").read_text(encoding="utf-8").splitlines()
    assert [path for path in left if not path.endswith(".prefetch.lock")] == []


def test_the_command_line_refuses_what_it_does_not_know(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "audiojob_runner", "prefetch", "--models", str(tmp_path)]
    for arguments, word in (
        (["--model", "../evil"], "invalid choice"),
        (["--model", "hf://a/b"], "invalid choice"),
        ([], "--model"),
        (["--model", "htdemucs", "--base-url", "file:///etc/"], "http"),
    ):
        ended = subprocess.run([*command, *arguments], capture_output=True, text=True, timeout=60, check=False)
        assert (ended.returncode, word in ended.stderr) == (64, True), ended.stderr
