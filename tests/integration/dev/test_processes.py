"""Programs are found by their cluster's tag alone, and locks hold between processes."""

from __future__ import annotations

import io
import socket
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from audiojob_dev.errors import DevError
from audiojob_dev.progress import Progress
from audiojob_dev.rest import wait_until
from audiojob_dev.tools import processes
from audiojob_dev.tools.locks import locked
from audiojob_dev.tools.processes import Program

_LINUX = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
_FOREVER = "import signal, time; print('ready', flush=True); time.sleep(600)"
_STUBBORN = (
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('ready', flush=True); time.sleep(600)"
)


def _start(cluster: Path, script: str, name: str = "sleeper") -> int:
    process = processes.start(Program(name, [sys.executable, "-c", script]), cluster, cluster / "logs")
    log = cluster / "logs" / f"{name}.log"
    wait_until("the program runs", lambda: "ready" in log.read_text(), seconds=20, interval=0.02)
    process.returncode = 0  # Stopped by id below; Popen must not warn of a child that it still counts as running.
    return process.pid


@_LINUX
def test_a_cluster_finds_its_own_programs_and_no_others(tmp_path: Path) -> None:
    ours, theirs = tmp_path / "ours", tmp_path / "ours-too"
    first, second = _start(ours, _FOREVER), _start(theirs, _FOREVER)
    try:
        assert set(processes.tagged(ours)) == {first}
        processes.stop([first], grace_seconds=10)
        assert processes.tagged(ours) == {}
        assert set(processes.tagged(theirs)) == {second}
    finally:
        processes.stop([first, second], grace_seconds=10)


@_LINUX
def test_a_program_that_ignores_sigterm_is_killed_after_its_grace(tmp_path: Path) -> None:
    pid = _start(tmp_path, _STUBBORN)
    processes.stop([pid], grace_seconds=0.2)
    assert processes.tagged(tmp_path) == {}


def test_ports_for_servers_differ_can_be_bound_and_are_none_that_clients_are_given() -> None:
    first, second = processes.free_port(), processes.free_port()
    assert first != second
    assert {first, second} <= set(processes.SERVER_PORTS)
    for port in (first, second):
        with socket.create_server(("127.0.0.1", port)):
            pass


def test_a_port_that_is_taken_is_passed_over() -> None:
    following = processes.free_port() + 1
    with socket.socket() as other:
        with suppress(OSError):  # then somebody else has it
            other.bind(("127.0.0.1", following))
        assert processes.free_port() != following


def test_a_held_lock_is_waited_for_and_then_named(tmp_path: Path) -> None:
    file = tmp_path / "lock"
    waited: list[bool] = []
    with (
        locked(file, seconds=1, holder="a build"),
        pytest.raises(DevError, match="a build holds"),
        locked(file, seconds=0.3, holder="a build", on_wait=lambda: waited.append(True)),
    ):
        pytest.fail("the lock was given twice")
    assert waited == [True]
    with locked(file, seconds=0, holder="a build"):
        pass


def test_waiting_gives_up_with_the_last_reason() -> None:
    def refused() -> bool:
        raise ConnectionRefusedError("nobody listens")

    with pytest.raises(DevError, match=r"the server: not so after 0 s \(nobody listens\)"):
        wait_until("the server", refused, seconds=0)


def test_a_log_shows_each_step_with_its_time_and_how_it_ended() -> None:
    out = io.StringIO()
    now = [0.0]
    with Progress(out, live=False, clock=lambda: now[0]) as progress:
        with progress.step("build etcd") as step:
            step.detail = "12 packages"
            now[0] = 2.5
        with suppress(DevError), progress.step("network"):
            now[0] = 3.5
            raise DevError("no")
    assert out.getvalue().splitlines() == [
        "… build etcd",
        "✓ build etcd  2.5 s  12 packages",
        "… network",
        "✗ network  1.0 s",
    ]


def test_a_terminal_is_left_without_unfinished_lines() -> None:
    out = io.StringIO()
    with Progress(out, live=True) as progress, progress.step("start"):
        progress.note("kept")
    assert "kept\n" in out.getvalue()
    assert out.getvalue().endswith("s\n")
