"""What other pods write is listed and removed without ever leaving the root, whatever they swap, and whenever."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from contextlib import suppress
from itertools import count
from pathlib import Path

import pytest
from tests.unit.runner.swapping import attack_before_call, swap

from audiojob_store import trees

MINE = "job/work/1-aaaaaaaa"


def make(base: Path) -> Path:
    """A store with an attempt of an attacker and one of another job, and files beside the store."""
    root = base / "store"
    for folder in (root / "victim/work", root / "victim/x", base / "outside/sub"):
        folder.mkdir(parents=True)
    for file in (root / "victim/work/song.wav", root / "victim/x/y", base / "outside/keys", base / "outside/sub/more"):
        file.write_text(file.name)
    make_attempt(root)
    return root


def make_attempt(root: Path) -> None:
    for folder in ("a/b", "e"):
        (root / MINE / folder).mkdir(parents=True)
    for file in ("a/b/c.txt", "d.txt", "e/f.txt"):
        (root / MINE / file).write_text(file)


def make_again(root: Path, away: Path) -> None:
    """The attacker's attempt as at first; what became of it lies in a folder of its own."""
    away.mkdir()
    for path in root.iterdir():
        if path.name != "victim":
            path.rename(away / path.name)
    make_attempt(root)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return make(tmp_path)


def intact(root: Path) -> dict[Path, str]:
    """What is not the attacker's."""
    folders = [found for place in (root / "victim", root.parent / "outside") for found in os.walk(place)]
    return {Path(folder, name): Path(folder, name).read_text() for folder, _, names in folders for name in names}


ATTACKS: dict[str, Callable[[Path], Callable[[], None]]] = {
    "a subfolder becomes a link to another job": lambda root: swap(root / MINE / "a", root / "victim/work"),
    "a deeper subfolder becomes a link out of the store": lambda root: swap(
        root / MINE / "a/b", root.parent / "outside"
    ),
    "a subfolder becomes a link upwards": lambda root: swap(root / MINE / "e", "../../../victim/work"),
    "the attempt itself becomes a link": lambda root: swap(root / MINE, root / "victim/work"),
    "the attempt's parent becomes a link": lambda root: swap(root / "job/work", root / "victim"),
    "the job's folder becomes a link": lambda root: swap(root / "job", root / "victim"),
    "a file becomes a link": lambda root: swap(root / MINE / "d.txt", root / "victim/work/song.wav"),
    "a folder becomes a pipe": lambda root: lambda: become_pipe(root / MINE / "a"),
    "the attempt becomes a pipe": lambda root: lambda: become_pipe(root / MINE),
}
ACTIONS: dict[str, Callable[[Path], object]] = {
    "remove the tree": lambda root: trees.remove_tree(root, MINE),
    "list it, then remove each file": lambda root: [
        trees.remove_file(root, entry.key) for entry in trees.walk(root, MINE)
    ],
    "remove what is empty": lambda root: trees.remove_empty_folders(root, "job"),
    "write a file": lambda root: trees.write_file(root, f"{MINE}/a/note.json", b"note"),
}


def become_pipe(path: Path) -> None:
    with suppress(OSError):
        path.rename(path.with_name("away"))
        os.mkfifo(path)


@pytest.mark.parametrize("action", ACTIONS)
@pytest.mark.parametrize("attack", ATTACKS)
def test_nothing_else_is_touched_whenever_somebody_swaps_a_name(
    attack: str, action: str, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = intact(root)
    for number in count(1):
        make_again(root, tmp_path / str(number))
        with (
            attack_before_call(monkeypatch, number, ATTACKS[attack](root)) as seen,
            suppress(OSError),  # to give up is no harm
        ):
            ACTIONS[action](root)
        if len(seen) < number:  # it was done before the attacker's turn came
            assert number > 5
            return
        assert intact(root) == before, f"{attack} before call {number} ({seen[number - 1]})"


def add_links(folder: Path, root: Path) -> None:
    (folder / "to a file").symlink_to(root / "victim/work/song.wav")
    (folder / "to a folder").symlink_to(root / "victim")
    (folder / "upwards").symlink_to("../../..")
    (folder / "to itself").symlink_to("to itself")


def add_odd_names(folder: Path, _root: Path) -> None:
    (folder / "a\nb").mkdir()
    (folder / "a\nb/..\n").write_text("")
    os.mknod(os.fsencode(folder) + b"/\xff\xfe")


def close_folders(folder: Path, _root: Path) -> None:
    (folder / "a").chmod(0)
    (folder / "e").chmod(0o500)


ODDITIES: dict[str, Callable[[Path, Path], object]] = {
    "links to files, folders and upwards": add_links,
    "a second name of another's file": lambda folder, root: os.link(root / "victim/work/song.wav", folder / "mine"),
    "a pipe": lambda folder, _root: os.mkfifo(folder / "pipe"),
    "a socket": lambda folder, _root: os.mknod(folder / "socket", stat.S_IFSOCK | 0o600),
    "names with newlines and bytes that are no text": add_odd_names,
    "closed folders": close_folders,
    "a folder 3,000 deep": lambda folder, _root: dig(folder, 3_000),
}


def dig(folder: Path, depth: int) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    for number in range(depth):
        os.mkdir("n", dir_fd=descriptor)
        below = os.open("n", os.O_RDONLY, dir_fd=descriptor)
        os.close(descriptor)
        descriptor = below
        if number % 500 == 0:
            os.close(os.open("file", os.O_CREAT | os.O_WRONLY, dir_fd=descriptor))
    os.close(descriptor)


@pytest.mark.parametrize("oddity", ODDITIES)
def test_a_tree_goes_with_whatever_is_in_it_and_nothing_else(root: Path, oddity: str) -> None:
    before = intact(root)
    ODDITIES[oddity](root / MINE, root)
    assert len(list(trees.walk(root, "job"))) >= 3
    trees.remove_tree(root, MINE)
    assert not os.path.lexists(root / MINE)
    assert intact(root) == before


def test_what_lies_too_deep_is_listed_as_one_folder(root: Path) -> None:
    dig(root / MINE, 100)
    listed = [entry.key for entry in trees.walk(root, MINE) if entry.key.endswith("/n")]
    assert [key.count("/n") for key in listed] == [trees.MAX_DEPTH + 1]
    trees.remove_tree(root, listed[0])
    assert not os.path.lexists(root / listed[0])


@pytest.mark.parametrize("key", ["", "..", "job/../victim", "/job", "job//work", "job/work/..", "a\0b", "."])
def test_what_is_no_key_is_refused(root: Path, key: str) -> None:
    before = intact(root)
    for action in (trees.remove_tree, trees.remove_file, trees.open_file, trees.lookup):
        with pytest.raises(OSError, match="not a key"):
            action(root, key)
    assert intact(root) == before


@pytest.mark.parametrize("name", ["link", "folder/file", "pipe", "below/file", "folder"])
def test_only_a_regular_file_that_no_link_leads_to_is_opened(tmp_path: Path, name: str) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "real/file").write_text("content")
    (tmp_path / "link").symlink_to("real/file")
    (tmp_path / "below").symlink_to("real")
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(OSError):  # noqa: PT011 - how it fails depends on what it is
        trees.open_file(tmp_path, name)
    os.close(trees.open_file(tmp_path, "real/file"))


def test_a_written_file_replaces_a_link_and_never_what_it_leads_to(root: Path) -> None:
    before = intact(root)
    (root / MINE / "note.json").symlink_to(root / "victim/work/song.wav")
    trees.write_file(root, f"{MINE}/note.json", b"{}")
    assert (root / MINE / "note.json").read_bytes() == b"{}"
    assert not (root / MINE / "note.json").is_symlink()
    assert intact(root) == before
