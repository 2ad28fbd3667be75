from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from audiojob_runner.fetch.partial import folder as module
from audiojob_runner.fetch.partial.folder import PartialDownload, clear, partial_folders
from audiojob_runner.fetch.partial.format import ABOUT_NAME, BLOCK_BYTES, DATA_NAME, SUMS_NAME, About, address_digest
from audiojob_runner.store import open_store
from audiojob_runner.task import PartialFolders
from audiojob_store import trees
from audiojob_types.contract import FolderStore

ADDRESS = address_digest("uid", "https://example.org/a.mp3")
LIMIT = 10**9
BLOCKS = [bytes([number]) * BLOCK_BYTES for number in range(5)]
ABOUT = About(address=ADDRESS, validator='"v1"', length=8 * BLOCK_BYTES, content_type="audio/mpeg", extension="mp3")


@pytest.fixture
def keeping(tmp_path: Path) -> PartialFolders:
    """The second attempt's: the first may have left something."""
    return PartialFolders(tmp_path / "2-bbbbbbbb/partial", (tmp_path / "1-aaaaaaaa/partial",))


@pytest.fixture
def open_partial() -> Iterator[Callable[[PartialFolders | None], PartialDownload]]:
    """Makes partial downloads, and closes them."""
    made: list[PartialDownload] = []

    def make(keeping: PartialFolders | None) -> PartialDownload:
        made.append(PartialDownload(keeping))
        return made[-1]

    yield make
    for each in made:
        each.close()


def write(partial: PartialDownload, blocks: list[bytes], about: About = ABOUT) -> None:
    """Keep these, in pieces as they come from a network, and a bit of the next block."""
    partial.begin(about)
    content = b"".join(blocks) + b"rest"
    for start in range(0, len(content), 300_000):
        partial.add(content[start : start + 300_000])


def leave(folder: Path, blocks: list[bytes], about: About = ABOUT) -> None:
    """What a killed attempt left."""
    partial = PartialDownload(PartialFolders(folder))
    write(partial, blocks, about)
    partial.close()


def read(partial: PartialDownload) -> list[bytes]:
    found = []
    while block := partial.next_block():
        found.append(block)
    return found


def test_what_one_attempt_kept_the_next_goes_on_with(
    keeping: PartialFolders, open_partial: Callable[[PartialFolders], PartialDownload]
) -> None:
    [first] = keeping.earlier
    leave(first, BLOCKS[:3])
    second = open_partial(keeping)
    assert second.find(ADDRESS, LIMIT) == ABOUT
    assert not first.exists()
    assert read(second) == BLOCKS[:3]
    second.add(BLOCKS[3])
    second.close()
    third = open_partial(PartialFolders(keeping.own.parent.parent / "3-cccccccc/partial", (keeping.own,)))
    assert third.find(ADDRESS, LIMIT) == ABOUT
    assert read(third) == BLOCKS[:4]


def damage_data(folder: Path) -> None:
    with (folder / DATA_NAME).open("r+b") as file:
        file.seek(2 * BLOCK_BYTES + 77)
        file.write(b"?")


def replace_by_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def replace_by_link(path: Path) -> None:
    path.symlink_to(path.rename(path.with_name("elsewhere")))


def zero_tail(folder: Path) -> None:
    os.truncate(folder / DATA_NAME, 2 * BLOCK_BYTES)
    os.truncate(folder / DATA_NAME, 4 * BLOCK_BYTES)


@pytest.mark.parametrize(
    ("harm", "left"),
    [
        pytest.param(damage_data, 2, id="a wrong byte"),
        pytest.param(zero_tail, 2, id="zeros where a lost node had not written yet"),
        pytest.param(lambda folder: os.truncate(folder / DATA_NAME, 3 * BLOCK_BYTES - 1), 2, id="a torn block"),
        pytest.param(lambda folder: os.truncate(folder / SUMS_NAME, 3 * 32 + 5), 3, id="a torn sum"),
        pytest.param(lambda folder: (folder / SUMS_NAME).write_bytes(b"garbage" * 99), 0, id="garbage for sums"),
        pytest.param(lambda folder: (folder / DATA_NAME).write_bytes(b"garbage" * 10**6), 0, id="garbage for data"),
    ],
)
def test_what_does_not_fit_its_sum_is_cut_off(
    keeping: PartialFolders,
    open_partial: Callable[[PartialFolders], PartialDownload],
    harm: Callable[[Path], object],
    left: int,
) -> None:
    leave(keeping.earlier[0], BLOCKS[:4])
    harm(keeping.earlier[0])
    partial = open_partial(keeping)
    assert partial.find(ADDRESS, LIMIT) == ABOUT
    assert read(partial) == BLOCKS[:left]
    partial.add(BLOCKS[4])
    partial.close()
    assert partial.find(ADDRESS, LIMIT) == ABOUT
    assert read(partial) == [*BLOCKS[:left], BLOCKS[4]]


@pytest.mark.parametrize(
    ("address", "limit", "harm"),
    [
        pytest.param(address_digest("uid", "https://example.org/b.mp3"), LIMIT, None, id="another address"),
        pytest.param(ADDRESS, 5 * BLOCK_BYTES, None, id="a file above the limit"),
        pytest.param(ADDRESS, LIMIT, lambda at: (at / ABOUT_NAME).write_bytes(b"{"), id="garbage for a note"),
        pytest.param(ADDRESS, LIMIT, lambda at: (at / ABOUT_NAME).unlink(), id="no note, as of one killed early"),
        pytest.param(ADDRESS, LIMIT, lambda at: (at / SUMS_NAME).unlink(), id="no sums"),
        pytest.param(ADDRESS, LIMIT, lambda at: (at / DATA_NAME).unlink(), id="no data"),
        pytest.param(ADDRESS, LIMIT, lambda at: replace_by_pipe(at / ABOUT_NAME), id="a pipe for a note"),
        pytest.param(ADDRESS, LIMIT, lambda at: replace_by_pipe(at / SUMS_NAME), id="a pipe for sums"),
        pytest.param(ADDRESS, LIMIT, lambda at: replace_by_link(at / SUMS_NAME), id="a link for sums"),
    ],
)
def test_what_is_not_found(
    keeping: PartialFolders,
    open_partial: Callable[[PartialFolders], PartialDownload],
    address: str,
    limit: int,
    harm: Callable[[Path], object] | None,
) -> None:
    leave(keeping.earlier[0], BLOCKS[:2])
    if harm is not None:
        harm(keeping.earlier[0])
    partial = open_partial(keeping)
    assert partial.find(address, limit) is None
    write(partial, BLOCKS[:1])  # and it does not stand in the way
    assert (keeping.own / DATA_NAME).read_bytes() == BLOCKS[0]


def test_a_link_in_place_of_the_data_is_not_followed(
    keeping: PartialFolders, open_partial: Callable[[PartialFolders], PartialDownload]
) -> None:
    leave(keeping.earlier[0], BLOCKS[:1])
    elsewhere = keeping.earlier[0] / "elsewhere"
    (keeping.earlier[0] / DATA_NAME).rename(elsewhere)
    (keeping.earlier[0] / DATA_NAME).symlink_to(elsewhere)
    assert open_partial(keeping).find(ADDRESS, LIMIT) is None


def test_the_largest_is_taken(
    keeping: PartialFolders, open_partial: Callable[[PartialFolders], PartialDownload], tmp_path: Path
) -> None:
    folders = [tmp_path / f"{number}-aaaaaaaa/partial" for number in (3, 4, 5)]
    for folder, count in zip(folders, (1, 3, 2), strict=True):
        leave(folder, BLOCKS[:count])
    partial = open_partial(PartialFolders(keeping.own, tuple(folders)))
    assert partial.find(ADDRESS, LIMIT) == ABOUT
    assert read(partial) == BLOCKS[:3]


def test_two_attempts_at_once_do_not_meet(
    keeping: PartialFolders, open_partial: Callable[[PartialFolders], PartialDownload]
) -> None:
    first = open_partial(PartialFolders(keeping.earlier[0]))
    write(first, BLOCKS[:2])
    second = open_partial(keeping)
    assert second.find(ADDRESS, LIMIT) is None
    write(second, BLOCKS[:1])
    assert clear(PartialFolders(keeping.own.with_name("none"), keeping.earlier)) is False
    first.add(BLOCKS[2][4:])  # behind the rest that write added
    assert (keeping.earlier[0] / DATA_NAME).stat().st_size == 3 * BLOCK_BYTES
    assert (keeping.own / DATA_NAME).read_bytes() == BLOCKS[0]


def test_another_content_is_another_file(
    keeping: PartialFolders, open_partial: Callable[[PartialFolders], PartialDownload]
) -> None:
    """Whoever still has the old one open writes into nothing."""
    partial = open_partial(keeping)
    write(partial, BLOCKS[:2])
    before = (keeping.own / DATA_NAME).stat().st_ino
    with (keeping.own / DATA_NAME).open("rb"):  # so that its number is not given to the next file
        write(partial, BLOCKS[:1], ABOUT.model_copy(update={"validator": '"v2"'}))
        assert (keeping.own / DATA_NAME).stat().st_ino != before


def test_all_that_nobody_writes_is_cleared(keeping: PartialFolders) -> None:
    leave(keeping.earlier[0], BLOCKS[:1])
    leave(keeping.own, BLOCKS[:1])
    assert clear(keeping) is True
    assert not keeping.own.exists()
    assert not keeping.earlier[0].exists()
    assert clear(keeping) is False


def links_to_it(folder: Path, other: Path) -> None:
    folder.parent.mkdir()
    folder.symlink_to(other)


def is_in_a_link(folder: Path, other: Path) -> None:
    folder.parent.symlink_to(other.parent)


@pytest.mark.parametrize("swap", [links_to_it, is_in_a_link])
def test_a_link_that_another_attempt_left_leads_to_nothing(
    keeping: PartialFolders,
    open_partial: Callable[[PartialFolders], PartialDownload],
    tmp_path: Path,
    swap: Callable[[Path, Path], None],
) -> None:
    """Put there after the folders were listed, so that what it leads to is taken, cut off or deleted."""
    other = tmp_path / "0-aaaaaaaa/partial"
    leave(other, BLOCKS[:2])
    damage_data(other)
    before = {path: path.read_bytes() for path in other.iterdir()}
    swap(keeping.earlier[0], other)
    partial = open_partial(keeping)
    assert partial.find(ADDRESS, LIMIT) is None
    assert clear(keeping) is False
    write(partial, BLOCKS[:1])
    assert {path: path.read_bytes() for path in other.iterdir()} == before
    assert (keeping.own / DATA_NAME).read_bytes() == BLOCKS[0]


@pytest.mark.parametrize("number", [errno.ESTALE, errno.EIO, errno.EACCES], ids=errno.errorcode.get)
def test_one_that_cannot_be_looked_at_keeps_no_other(
    keeping: PartialFolders, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    leave(keeping.own, BLOCKS[:1])
    leave(keeping.earlier[0], BLOCKS[:1])
    fail_at(keeping.own, number, monkeypatch)
    assert clear(keeping) is True
    assert not keeping.earlier[0].exists()


def fail_at(path: Path, number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever asks what ``path`` is gets this error."""
    lookup = trees.lookup

    def failing(root: Path, key: str) -> os.stat_result | None:
        if root / key == path:
            raise OSError(number, os.strerror(number))
        return lookup(root, key)

    monkeypatch.setattr(trees, "lookup", failing)


def test_what_earlier_attempts_left_and_cannot_be_looked_at_is_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tmp_path / "store"
    folders = [root / f"demo/uid/work/{number}-aaaaaaaa" for number in (1, 2, 3, 4)]
    good, stale, outside, other = [folder / "partial" for folder in folders]
    for folder in (good, stale, outside.parent, other.parent):
        folder.mkdir(parents=True)
    outside.symlink_to(tmp_path)
    other.symlink_to("../1-aaaaaaaa")
    fail_at(stale, errno.ESTALE, monkeypatch)
    store = open_store(FolderStore(root=str(root)), tmp_path)
    own = root / "demo/uid/work/5-bbbbbbbb/partial"
    assert partial_folders(store, "demo/uid/work", "demo/uid/work/5-bbbbbbbb") == PartialFolders(own, (good,))


@pytest.mark.parametrize("about", [None, ABOUT], ids=["a file that cannot be continued", "no folder to keep it in"])
def test_nothing_is_kept(
    keeping: PartialFolders, open_partial: Callable[[PartialFolders | None], PartialDownload], about: About | None
) -> None:
    partial = open_partial(keeping if about is None else None)
    partial.begin(about)
    partial.add(BLOCKS[0])
    assert partial.next_block() is None
    assert not keeping.own.exists()


def test_a_volume_that_gets_full_keeps_nothing_and_fails_nothing(
    keeping: PartialFolders, open_partial: Callable[[PartialFolders], PartialDownload], monkeypatch: pytest.MonkeyPatch
) -> None:
    partial = open_partial(keeping)
    write(partial, BLOCKS[:1])
    monkeypatch.setattr(module, "has_room", lambda _size, _free, received, length: received < length // 4)
    for block in BLOCKS[1:]:
        partial.add(block)
    assert not keeping.own.exists()


def test_a_volume_without_locks_keeps_nothing_and_fails_nothing(
    keeping: PartialFolders, open_partial: Callable[[PartialFolders], PartialDownload], monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_locks(_descriptor: int, _operation: int) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", no_locks)
    partial = open_partial(keeping)
    write(partial, BLOCKS[:1])
    assert not keeping.own.exists()


def test_a_volume_that_cannot_be_written_fails_nothing(
    tmp_path: Path, open_partial: Callable[[PartialFolders], PartialDownload], caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_bytes(b"")
    partial = open_partial(PartialFolders(tmp_path / "file/partial"))
    write(partial, BLOCKS[:1])
    assert "The partial download is not kept" in caplog.text
