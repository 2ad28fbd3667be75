"""What a program leaves in its folder, read as what it is: words of a stranger."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from audiojob_runner.tasks.program_folder import ProgramProgress, parse_progress, read_plain_file

LINES: dict[str, tuple[bytes, ProgramProgress | None]] = {
    "a percent and a sentence": (b"42 Drawing page 3\n", ProgramProgress(42, "Drawing page 3")),
    "without an end": (b"42 Drawing page 3", ProgramProgress(42, "Drawing page 3")),
    "a percent alone": (b"7\n", ProgramProgress(7, "")),
    "a percent with its sign": (b"7.5% half way\n", ProgramProgress(7.5, "half way")),
    "a percent with spaces around": (b"  7 \n", ProgramProgress(7, "")),
    "all of it": (b"100 done\n", ProgramProgress(100, "done")),
    "the newest of many lines": (b"1 one\n2 two\n", ProgramProgress(2, "two")),
    "a line that is still being written": (b"1 one\n2 tw", ProgramProgress(1, "one")),
    "an empty line at the end": (b"1 one\n\n", ProgramProgress(1, "one")),
    "words between": (b"1 one\nreading\n", ProgramProgress(1, "one")),
    "letters of other scripts": ("3 Ällö 日本\n".encode(), ProgramProgress(3, "Ällö 日本")),
    "control characters": (b"3 a\x1b[31mb\x07\n", ProgramProgress(3, "a [31mb ")),
    "more than all": (b"101 too much\n", None),
    "less than nothing": (b"-1 before\n", None),
    "no number": (b"half way\n", None),
    "a number that is none": (b"nan x\n", None),
    "a number of many digits": (b"9" * 4_000 + b" x\n", None),
    "a percent that runs into its sentence": (b"42Drawing\n", None),
    "bytes that are no text": (b"\xff\xfe\xff\n", None),
    "nothing": (b"", None),
    "line ends": (b"\n\n\n", None),
}


@pytest.mark.parametrize(("content", "expected"), LINES.values(), ids=LINES.keys())
def test_progress(content: bytes, expected: ProgramProgress | None) -> None:
    assert parse_progress(content) == expected


def test_a_file_is_read_up_to_its_limit_or_from_its_end(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"0123456789")
    assert read_plain_file(file, 4) == b"0123"
    assert read_plain_file(file, 4, tail=True) == b"6789"
    assert read_plain_file(file, 40, tail=True) == b"0123456789"


def link(path: Path) -> None:
    secret = path.with_name("token")
    secret.write_text("secret")
    path.symlink_to(secret)


@pytest.mark.parametrize(
    "make",
    [
        pytest.param(link, id="a link, which would be followed here"),
        pytest.param(lambda path: path.mkdir(), id="a folder"),
        pytest.param(os.mkfifo, id="a pipe, which would be waited for"),
        pytest.param(lambda path: None, id="nothing"),
    ],
)
def test_what_is_no_plain_file_is_not_read(tmp_path: Path, make: object) -> None:
    path = tmp_path / "file"
    assert callable(make)
    make(path)
    assert read_plain_file(path, 100) is None
