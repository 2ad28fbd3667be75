"""A log is read by pieces: its last lines are the right ones, and no length of it fills the memory."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import pytest

from audiojob_files.serving.folder import FolderContents
from audiojob_files.serving.logs import Log, find_log

PREFIX = "music/uid/separate/1-"


async def log_of(root: Path, *pieces: bytes) -> Log:
    folder = root / f"{PREFIX}aaaaaaaa" / "log"
    folder.mkdir(parents=True)
    for number, piece in enumerate(pieces):
        (folder / f"{number:04}").write_bytes(piece)
    return await find_log(FolderContents(root), PREFIX)


@pytest.mark.parametrize("lines", range(8))
async def test_the_last_lines_over_the_ends_of_pieces(tmp_path: Path, lines: int) -> None:
    pieces = (b"1\n2\n", b"", b"3\n", b"4\n5\ncut off")
    log = await log_of(tmp_path, *pieces)
    found = b"".join([each async for each in log.read(await log.tail(lines))])
    assert found == b"".join(b"".join(pieces).splitlines(keepends=True)[-lines:] if lines else [])


async def test_a_long_log_is_never_in_memory_as_a_whole(tmp_path: Path) -> None:
    piece = b"x" * 1_000_000 + b"\n"
    log = await log_of(tmp_path, *[piece] * 16)
    came = 0
    tracemalloc.start()
    try:
        async for each in log.read(await log.tail(100_000)):
            came += len(each)
        most = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert came == 16 * len(piece)
    assert most < 5 * len(piece)
