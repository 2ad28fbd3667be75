"""Inputs that are read where they lie: a task reads the file that was hashed, whatever takes its name meanwhile."""

from __future__ import annotations

import hashlib
import os
import shutil
import socket
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

import pytest

from audiojob_runner.errors import PhaseError
from audiojob_runner.phase.inputs import Fetcher
from audiojob_runner.phase.process import Pipes, Worker, _Child
from audiojob_runner.phase.worker import Order, receive_line
from audiojob_runner.store.folder import open_folder
from audiojob_runner.task import TaskInput
from audiojob_types.contract import FolderStore, PhaseInputFile
from audiojob_types.reasons import Reason

SONG = b"the song that was hashed"
KEY = "demo/uploads/My Songs/Blue Sky.mp3"
FILE = PhaseInputFile(name="source", key=KEY, sha256=hashlib.sha256(SONG).hexdigest())


@pytest.fixture
def root(tmp_path: Path) -> Path:
    song = tmp_path / "store" / KEY
    song.parent.mkdir(parents=True)
    song.write_bytes(SONG)
    (tmp_path / "secret").write_bytes(b"what the pod has for itself")
    return tmp_path / "store"


@pytest.fixture
def held() -> Iterator[dict[str, BinaryIO]]:
    files: dict[str, BinaryIO] = {}
    yield files
    for file in files.values():
        file.close()


def fetcher(
    root: Path,
    held: dict[str, BinaryIO] | None,
    most: int | None = None,
    on_bytes: Callable[[int], None] = lambda _count: None,
) -> Fetcher:
    return Fetcher(open_folder(FolderStore(root=str(root))), root.parent / "run/inputs", most, on_bytes, held=held)


def handed_over(given: TaskInput, held: dict[str, BinaryIO], run_dir: Path) -> TaskInput:
    """The input as a worker has it, over the socket by which it gets its order."""
    ours, workers = socket.socketpair()
    with ours, workers:
        order = Order(inputs=(given,), run_dir=run_dir, held=tuple(held))
        Worker(_Child(0), Pipes(ours, -1, -1)).order(order, [file.fileno() for file in held.values()])
        line, descriptors = receive_line(workers)
    return Order.from_json(line.decode()).reading(descriptors)[given.name]


def link_to(target: str) -> Callable[[Path], None]:
    def act(song: Path) -> None:
        song.unlink()
        song.symlink_to(target)

    return act


def other_file(song: Path) -> None:
    song.with_name("new").write_bytes(b"another song")
    song.with_name("new").replace(song)


def other_folder(song: Path) -> None:
    shutil.move(song.parent, song.parent.with_name("away"))
    song.parent.with_name("other").mkdir()
    (song.parent.with_name("other") / song.name).write_bytes(b"another song")
    song.parent.symlink_to("other")


SWAPS: dict[str, Callable[[Path], None]] = {
    "a link to what is the pod's": link_to("../../../../secret"),
    "a link to nothing": link_to("nothing"),
    "another file": other_file,
    "nothing": Path.unlink,
    "a folder that is a link": other_folder,
}


@pytest.mark.parametrize("swap", SWAPS.values(), ids=SWAPS)
def test_a_task_and_its_programs_read_what_was_hashed_though_its_place_is_taken_by(
    root: Path, held: dict[str, BinaryIO], swap: Callable[[Path], None]
) -> None:
    given = fetcher(root, held).fetch(0, FILE)
    swap(root / KEY)
    read = handed_over(given, held, root.parent / "run")
    assert read.path is not None
    assert read.path.name == "Blue Sky.mp3", "tasks look at the ending, and tell people the name"
    assert (read.path.read_bytes(), read.path.stat().st_size) == (SONG, len(SONG))
    assert subprocess.run(["cat", str(read.path)], check=True, capture_output=True).stdout == SONG


def test_a_link_that_takes_the_place_before_it_is_opened_counts_as_absent(
    root: Path, held: dict[str, BinaryIO], monkeypatch: pytest.MonkeyPatch
) -> None:
    start = fetcher(root, held)
    real = type(start.store).without_links

    def resolve(store: object, key: str) -> str:
        found = real(start.store, key)
        link_to("../../../../secret")(root / KEY)
        return found

    monkeypatch.setattr(type(start.store), "without_links", resolve)
    with pytest.raises(PhaseError) as caught:
        start.fetch(0, FILE)
    assert caught.value.reason is Reason.INPUT_MISSING


@pytest.mark.parametrize("is_copied", [False, True], ids=["read where it lies", "copied"])
@pytest.mark.parametrize("sha256", [FILE.sha256, None], ids=["hashed", "not hashed"])
def test_each_byte_of_an_input_is_counted_once(
    root: Path, held: dict[str, BinaryIO], sha256: str | None, is_copied: bool
) -> None:
    counted: list[int] = []
    taking = fetcher(root, None if is_copied else held, on_bytes=counted.append)
    taking.fetch(0, FILE.model_copy(update={"sha256": sha256}))
    assert sum(counted) == len(SONG)


def test_the_size_that_is_limited_is_that_of_the_open_file(root: Path, held: dict[str, BinaryIO]) -> None:
    with pytest.raises(PhaseError) as caught:
        fetcher(root, held, most=3).fetch(0, FILE)
    assert caught.value.reason is Reason.TOO_LARGE


def test_a_worker_gets_an_order_longer_than_a_buffer_and_files_with_it(root: Path, held: dict[str, BinaryIO]) -> None:
    given = fetcher(root, held).fetch(0, FILE)
    many = TaskInput("about", metadata={"text": "x" * 100_000})
    ours, workers = socket.socketpair()
    with ours, workers:
        Worker(_Child(0), Pipes(ours, -1, -1)).order(
            Order((given, many), root.parent, held=tuple(held)), [held["source"].fileno()]
        )
        line, [descriptor] = receive_line(workers)
    assert Order.from_json(line.decode()).inputs == (given, many)
    assert not os.get_inheritable(descriptor), "programs have no use for it"
    os.close(descriptor)
