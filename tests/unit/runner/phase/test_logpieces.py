from __future__ import annotations

import io
import json
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from audiojob_runner import logs
from audiojob_runner.errors import PhaseError
from audiojob_runner.phase import logpieces
from audiojob_runner.phase.logpieces import LogPieces
from audiojob_runner.store import Store, open_store
from audiojob_types.contract import FolderStore


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store(FolderStore(root=str(tmp_path)), tmp_path)


def pieces(root: Path) -> list[bytes]:
    return [path.read_bytes() for path in sorted(root.glob("log/[0-9][0-9][0-9][0-9]"))]


def until(check: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not check():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_lines_go_to_the_console_at_once_and_to_the_store_at_the_end(tmp_path: Path, store: Store) -> None:
    console = io.StringIO()
    log = LogPieces(console)
    log.write_line("before the store is known")
    log.start(store, "log")
    log.write_line("after")
    assert console.getvalue() == "before the store is known\nafter\n"

    log.close(5)

    assert pieces(tmp_path) == [b"before the store is known\nafter\n"]
    assert log.first_key == "log/0000"


def test_pieces_are_cut_between_lines_and_nothing_is_lost(
    tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logpieces, "LOG_PIECE_BYTES", 1_000)
    lines = [f"{number:04} " + "x" * (number % 90) for number in range(500)]
    log = LogPieces(io.StringIO())
    log.start(store, "log")
    for line in lines:
        log.write_line(line)
    log.close(5)

    written = pieces(tmp_path)
    assert len(written) > 20
    assert all(len(piece) <= 1_000 and piece.endswith(b"\n") for piece in written)
    assert b"".join(written).decode().splitlines() == lines


def test_the_log_is_capped_and_says_so(tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logpieces, "MAX_LOG_BYTES", 5_000)
    log = LogPieces(io.StringIO())
    for _ in range(1_000):
        log.write_line("x" * 50)
    log.start(store, "log")
    log.close(5)

    content = b"".join(pieces(tmp_path))
    assert 4_800 < len(content) <= 5_000
    assert "is cut" in json.loads(content.splitlines()[-1])["message"]


def test_pieces_come_while_the_work_goes_on_and_only_when_there_are_lines(tmp_path: Path, store: Store) -> None:
    log = LogPieces(io.StringIO(), seconds=0.05)
    log.start(store, "log")
    log.write_line("first")
    until(lambda: len(pieces(tmp_path)) == 1)
    log.write_line("second")
    until(lambda: len(pieces(tmp_path)) == 2)
    log.close(5)

    assert pieces(tmp_path) == [b"first\n", b"second\n"]


def test_a_write_that_fails_is_retried(tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logpieces, "RETRY_SECONDS", 0.01)
    (tmp_path / "log").write_text("in the way", encoding="utf-8")
    log = LogPieces(io.StringIO(), seconds=0.05)
    log.start(store, "log")
    log.write_line("kept")
    until(lambda: isinstance(log.failed, PhaseError))
    assert log.first_key is None

    (tmp_path / "log").unlink()
    until(lambda: pieces(tmp_path) == [b"kept\n"])
    log.close(5)

    assert log.first_key == "log/0000"


@pytest.mark.parametrize(
    ("line", "message"),
    [
        pytest.param("printed by a library", "printed by a library", id="a plain line"),
        pytest.param("bell \x07 and \x1b[31mcolour", "bell \x07 and \x1b[31mcolour", id="control characters"),
        pytest.param(logs.as_line({"time": "t", "message": "ours"}), "ours", id="a line that is ours"),
    ],
)
def test_what_programs_print_becomes_one_line_of_json(line: str, message: str) -> None:
    wrapped = logs.wrap_output(line, "ffmpeg")

    assert json.loads(wrapped)["message"] == message
    assert all(character >= " " for character in wrapped)
