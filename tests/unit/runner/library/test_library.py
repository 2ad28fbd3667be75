"""A library in a folder: whole files or none, nothing overwritten, also where there are no hard links."""

from __future__ import annotations

import errno
import hashlib
import os
import time
from contextlib import suppress
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from tests.unit.runner.swapping import attack_before_call, swap

from audiojob_runner.errors import PhaseError
from audiojob_runner.library.library import Added, FolderLibrary, Piece, rename_new
from audiojob_store import trees
from audiojob_types.contract import ExitCode
from audiojob_types.reasons import Reason


@pytest.fixture
def library(tmp_path: Path) -> FolderLibrary:
    root = tmp_path / "nas"
    root.mkdir()
    return FolderLibrary(root, "nas")


def piece(tmp_path: Path, content: bytes, sha256: str = "") -> Piece:
    path = tmp_path / f"{hashlib.sha256(content).hexdigest()[:8]}.flac"
    path.write_bytes(content)
    return Piece(path, sha256 or hashlib.sha256(content).hexdigest(), lambda _count: None)


def seen(library: FolderLibrary) -> dict[str, bytes]:
    return {
        str(path.relative_to(library.root)): path.read_bytes() for path in library.root.rglob("*") if path.is_file()
    }


@pytest.fixture(params=["hard links", "no hard links"])
def links(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Some network and FUSE file systems have none."""
    if request.param == "no hard links":

        def refuse(*_: Any, **__: Any) -> None:
            raise OSError(errno.EPERM, "Operation not permitted")

        monkeypatch.setattr(os, "link", refuse)


@pytest.mark.usefixtures("links")
def test_new_then_already_there_then_taken(library: FolderLibrary, tmp_path: Path) -> None:
    blue, other = piece(tmp_path, b"blue"), piece(tmp_path, b"rose")

    assert library.add("A/B/Blue.flac", blue) is Added.NEW
    assert library.add("A/B/Blue.flac", blue) is Added.ALREADY_THERE
    assert library.add("A/B/Blue.flac", other) is Added.TAKEN
    assert seen(library) == {"A/B/Blue.flac": b"blue"}


@pytest.mark.usefixtures("links")
def test_a_name_is_given_once(tmp_path: Path) -> None:
    for name in ("1", "2"):
        (tmp_path / name).write_bytes(name.encode())

    with trees.folder(tmp_path, "") as folder:
        rename_new("1", "target", folder)
        with pytest.raises(FileExistsError):
            rename_new("2", "target", folder)

    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {"2": b"2", "target": b"1"}


def test_somebody_faster_keeps_the_name(
    library: FolderLibrary, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = piece(tmp_path, b"blue")

    def faster(_source: str, target: str, _folder: int) -> None:
        (library.root / target).write_bytes(b"rose")
        raise FileExistsError(target)

    monkeypatch.setattr("audiojob_runner.library.library.rename_new", faster)

    assert library.add("Blue.flac", given) is Added.TAKEN
    assert seen(library) == {"Blue.flac": b"rose"}


def test_bytes_that_are_not_the_promised_ones_leave_nothing(library: FolderLibrary, tmp_path: Path) -> None:
    with pytest.raises(PhaseError) as caught:
        library.add("Blue.flac", piece(tmp_path, b"blue", sha256="0" * 64))
    assert (caught.value.exit_code, caught.value.reason) == (ExitCode.TEMPORARY, Reason.CHECKSUM_MISMATCH)
    assert seen(library) == {}


def test_parts_of_the_dead_go_after_a_day_and_those_of_the_living_stay(library: FolderLibrary, tmp_path: Path) -> None:
    dead, living, foreign = (library.root / name for name in (".audiojob-1.part", ".audiojob-2.part", ".other.part"))
    for path in (dead, living, foreign):
        path.write_bytes(b"half")
    long_ago = time.time() - 90_000
    for path in (dead, foreign):
        os.utime(path, (long_ago, long_ago))

    library.add("Blue.flac", piece(tmp_path, b"blue"))

    assert sorted(seen(library)) == [".audiojob-2.part", ".other.part", "Blue.flac"]


TAKEN = {
    "a folder of that name": lambda path: path.mkdir(),
    "a link, wherever it leads": lambda path: path.symlink_to("elsewhere"),
}


@pytest.mark.parametrize("make", TAKEN.values(), ids=TAKEN.keys())
def test_a_name_is_taken_also_by(library: FolderLibrary, tmp_path: Path, make: Any) -> None:
    make(library.root / "Blue.flac")
    assert library.add("Blue.flac", piece(tmp_path, b"blue")) is Added.TAKEN


def test_a_file_where_a_folder_is_needed_is_told(library: FolderLibrary, tmp_path: Path) -> None:
    (library.root / "A Band").write_bytes(b"")
    with pytest.raises(PhaseError, match="has a file where A Band") as caught:
        library.add("A Band/Blue.flac", piece(tmp_path, b"blue"))
    assert caught.value.exit_code == ExitCode.USAGE


def test_a_link_that_leads_out_is_not_followed_not_even_to_make_a_folder(
    library: FolderLibrary, tmp_path: Path
) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (library.root / "A Band").symlink_to(elsewhere)
    with pytest.raises(PhaseError, match="A Band is a link that leads out"):
        library.add("A Band/Sky/Blue.flac", piece(tmp_path, b"blue"))
    assert list(elsewhere.iterdir()) == []


@pytest.mark.parametrize("key", ["../Blue.flac", "/Blue.flac", "A//Blue.flac"])
def test_a_key_stays_in_the_library(library: FolderLibrary, tmp_path: Path, key: str) -> None:
    with pytest.raises(PhaseError):
        library.add(key, piece(tmp_path, b"blue"))
    assert seen(library) == {}


SWAPS: dict[str, Any] = {
    "the folder becomes a link to another library": lambda nas: swap(nas / "A/B", nas.parent / "other"),
    "the folder above becomes a link": lambda nas: swap(nas / "A", nas.parent / "other"),
    "the folder becomes a link upwards": lambda nas: swap(nas / "A/B", "../../../other"),
    "a link takes the file's name": lambda nas: swap(nas / "A/B/Blue.flac", nas.parent / "other/B/Blue.flac"),
    "a link to the same bytes takes the file's name": lambda nas: swap(
        nas / "A/B/Blue.flac", nas.parent / "other/same"
    ),
}


@pytest.mark.parametrize("before", [None, b"blue"], ids=["a new file", "a file that is there"])
@pytest.mark.parametrize("attack", SWAPS)
@pytest.mark.usefixtures("links")
def test_nothing_outside_is_written_or_read_whatever_becomes_a_link_and_whenever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, attack: str, before: bytes | None
) -> None:
    for number in count(1):
        library = FolderLibrary(tmp_path / str(number) / "nas", "nas")
        other = library.root.parent / "other"
        for path in (library.root / "A/B", other / "B"):
            path.mkdir(parents=True)
        if before is not None:
            (library.root / "A/B/Blue.flac").write_bytes(before)
        (other / "same").write_bytes(b"blue")
        given = piece(tmp_path, b"blue")
        with attack_before_call(monkeypatch, number, SWAPS[attack](library.root)) as seen, suppress(PhaseError):
            library.add("A/B/Blue.flac", given)
        left = {str(path.relative_to(other)) for path in other.rglob("*")}
        assert left == {"B", "same"}, f"before call {number}, {seen[number - 1]}"
        if len(seen) < number:
            assert number > 5
            return


def test_a_link_within_the_library_is_the_folder_that_it_leads_to(library: FolderLibrary, tmp_path: Path) -> None:
    (library.root / "Beatles, The").mkdir()
    (library.root / "The Beatles").symlink_to("Beatles, The")
    assert library.add("The Beatles/Help/Blue.flac", piece(tmp_path, b"blue")) is Added.NEW
    assert list(seen(library)) == ["Beatles, The/Help/Blue.flac"]


def test_a_circle_of_links_is_told(library: FolderLibrary, tmp_path: Path) -> None:
    (library.root / "A").symlink_to("B")
    (library.root / "B").symlink_to("A")
    with pytest.raises(PhaseError, match="nas failed"):
        library.add("A/Blue.flac", piece(tmp_path, b"blue"))
