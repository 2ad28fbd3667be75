"""The one who watches a program: what counts as a sign of life, and what is reported."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from audiojob_runner.phase.progress import Progress, Tracker
from audiojob_runner.program.watch import ProgramWatch
from audiojob_runner.settings import Paths


class Watched:
    """A program's folder, and what its watch reports."""

    def __init__(self, root: Path) -> None:
        self.paths = Paths.under(root)
        for folder in (self.paths.work, self.paths.control):
            folder.mkdir(parents=True)
        self.file = self.paths.work / "progress"
        self.file.touch()
        self.reports: list[Progress] = []
        self.watch = ProgramWatch(self.paths, Tracker(self.reports.append))

    def write(self, text: str, second: int) -> None:
        self.file.write_text(text)
        os.utime(self.file, (second, second))

    @property
    def last(self) -> tuple[int, str]:
        return self.reports[-1].percent, self.reports[-1].message


@pytest.fixture
def watched(tmp_path: Path) -> Watched:
    return Watched(tmp_path)


def test_a_program_that_has_said_nothing_owes_nothing(watched: Watched) -> None:
    assert [watched.watch.look() for _ in range(3)] == [True, True, True]
    assert watched.last == (0, "The program starts")


def test_what_it_says_is_reported_once_and_counts_as_a_sign_of_life_once(watched: Watched) -> None:
    watched.write("50 half\n", 1)
    assert [watched.watch.look(), watched.watch.look()] == [True, False]
    assert watched.last == (49, "half"), "publishing takes the last two of a hundred"
    watched.write("60 more\n", 2)
    assert watched.watch.look()
    assert watched.last == (58, "more")


def test_the_same_words_written_again_are_a_sign_of_life(watched: Watched) -> None:
    watched.write("50 half\n", 1)
    watched.watch.look()
    watched.write("50 half\n", 2)
    assert watched.watch.look()


def test_a_program_that_spoke_and_then_wrote_nonsense_or_removed_the_file_is_silent(watched: Watched) -> None:
    watched.write("50 half\n", 1)
    watched.watch.look()
    watched.write("what?\n", 2)
    assert not watched.watch.look()
    watched.file.unlink()
    assert not watched.watch.look()
    assert watched.last == (49, "half")


def test_a_percent_that_falls_is_not_shown(watched: Watched) -> None:
    watched.write("50 half\n", 1)
    watched.watch.look()
    watched.write("10 again\n", 2)
    assert watched.watch.look()
    assert watched.last == (49, "again")


def test_a_link_to_the_token_is_not_read(watched: Watched) -> None:
    token = watched.paths.service_account / "token"
    token.parent.mkdir(parents=True)
    token.write_text("99 secret\n")
    watched.file.unlink()
    watched.file.symlink_to(token)
    watched.watch.look()
    assert not any("secret" in report.message for report in watched.reports)


def test_the_mark_of_publishing_ends_the_watch(watched: Watched) -> None:
    (watched.paths.control / "publishing").touch()
    assert watched.watch.look()
    assert watched.watch.over
    assert watched.last == (98, "Publishing the outputs")
