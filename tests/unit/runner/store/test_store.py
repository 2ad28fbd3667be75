from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from audiojob_runner.errors import PhaseError
from audiojob_runner.phase.inputs import local_name
from audiojob_runner.store import Store, open_store
from audiojob_runner.store.base import check_key
from audiojob_types.contract import FolderStore, S3Store
from audiojob_types.reasons import Reason


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store(FolderStore(root=str(tmp_path)), tmp_path)


@pytest.mark.parametrize("key", ["", "/a", "a/", "a//b", "..", "a/../b", "./a", "a\0b"])
def test_a_key_that_is_no_plain_path_is_refused(key: str) -> None:
    with pytest.raises(PhaseError) as caught:
        check_key(key)
    assert (caught.value.exit_code, caught.value.reason) == (64, Reason.INVALID_SPEC)


def test_what_is_written_is_read_listed_and_deleted(store: Store, tmp_path: Path) -> None:
    store.write("a/b/small", b"small")
    store.write_stream("a/c/large", iter([b"x" * 3_000_000] * 5))

    assert store.read("a/b/small", 5) == b"small"
    assert store.size("a/c/large") == 15_000_000
    assert sum(len(chunk) for chunk in store.stream("a/c/large")) == 15_000_000
    assert store.folders("a") == ["a/b", "a/c"]
    assert store.local_path("a/b/small") == tmp_path / "a/b/small"
    store.delete("a/b/small")
    store.delete("a/b/small")
    assert store.size("a/b/small") is None
    assert store.read("a/b/small", 5) is None
    assert store.folders("absent") == []


def test_a_stream_that_breaks_leaves_nothing(store: Store, tmp_path: Path) -> None:
    def broken() -> Iterator[bytes]:
        yield b"x" * 20_000_000
        raise PhaseError(143, Reason.STOPPED, "stopped")

    with pytest.raises(PhaseError, match="stopped"):
        store.write_stream("a/large", broken())

    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_a_stream_that_breaks_keeps_the_object_that_was_there(store: Store) -> None:
    def broken() -> Iterator[bytes]:
        yield b"x" * 20_000_000
        raise ValueError("broken")

    store.write("a/large", b"old")

    with pytest.raises(ValueError, match="broken"):
        store.write_stream("a/large", broken())

    assert store.read("a/large", 100) == b"old"


def test_an_object_larger_than_expected_is_not_read(store: Store) -> None:
    store.write("a", b"123456")

    with pytest.raises(PhaseError) as caught:
        store.read("a", 5)
    assert caught.value.reason is Reason.CHECKSUM_MISMATCH


def test_a_folder_where_a_file_should_go_is_a_clear_failure(store: Store) -> None:
    store.write("a/b", b"x")

    with pytest.raises(PhaseError, match="writing a/b/c"):
        store.write("a/b/c", b"y")


def test_s3_needs_both_credential_files(tmp_path: Path) -> None:
    config = S3Store(bucket="b", endpoint="http://127.0.0.1:9", allow_http=True)
    (tmp_path / "accessKeyId").write_text("id", encoding="utf-8")

    with pytest.raises(PhaseError, match="secretAccessKey") as caught:
        open_store(config, tmp_path)
    assert (caught.value.exit_code, caught.value.reason) == (77, Reason.CREDENTIALS_REFUSED)

    (tmp_path / "secretAccessKey").write_text("secret\n", encoding="utf-8")
    assert open_store(config, tmp_path).local_path("a") is None


@pytest.mark.parametrize(
    ("key", "name"),
    [
        pytest.param("demo/u/song.mp3", "song.mp3", id="a plain name"),
        pytest.param("demo/u/my song.mp3", "input.mp3", id="a space"),
        pytest.param("demo/u/-rf.wav", "input.wav", id="a dash in front"),
        pytest.param("demo/u/.hidden", "input", id="a dot in front"),
        pytest.param("demo/u/" + "x" * 300 + ".flac", "input.flac", id="a very long name"),
        pytest.param("demo/u/x;y.m$p", "input", id="an ending that is none"),
    ],
)
def test_local_names_are_safe(key: str, name: str) -> None:
    assert local_name(key) == name


def lead_to(path: Path, target: Path) -> None:
    path.parent.mkdir(parents=True)
    path.symlink_to(target)


def put_pipe(root: Path) -> None:
    (root / "job").mkdir()
    os.mkfifo(root / "job/a")


STAND_INS: dict[str, Callable[[Path], object]] = {
    "a link to another's file": lambda root: lead_to(root / "job/a", root / "theirs/a"),
    "a folder that is a link": lambda root: (root / "job").symlink_to(root / "theirs"),
    "a link out of the store": lambda root: lead_to(root / "job/a", root.parent / "outside"),
    "a pipe, which nobody will ever write into": put_pipe,
    "a folder": lambda root: (root / "job/a").mkdir(parents=True),
}


@pytest.mark.parametrize("stand_in", STAND_INS)
def test_what_is_no_regular_file_of_its_own_is_absent(tmp_path: Path, stand_in: str) -> None:
    (tmp_path / "store/theirs").mkdir(parents=True)
    for path in (tmp_path / "store/theirs/a", tmp_path / "outside"):
        path.write_bytes(b"theirs")
    store = open_store(FolderStore(root=str(tmp_path / "store")), tmp_path)
    STAND_INS[stand_in](tmp_path / "store")
    assert store.read("job/a", 100) is None
    assert store.size("job/a") is None
    with pytest.raises(FileNotFoundError):
        list(store.stream("job/a"))
    store.delete("job/a") if stand_in != "a folder" else None
    assert store.read("theirs/a", 100) == b"theirs"


def test_people_may_link_within_their_own_folders_and_never_out(tmp_path: Path) -> None:
    store = open_store(FolderStore(root=str(tmp_path)), tmp_path)
    store.write("uploads/a", b"a")
    (tmp_path / "uploads/same").symlink_to("a")
    (tmp_path / "uploads/out").symlink_to("/etc")
    (tmp_path / "uploads/circle").symlink_to("circle")
    assert store.without_links("uploads/same") == "uploads/a"
    for key in ("uploads/out/passwd", "uploads/circle"):
        with pytest.raises(PhaseError, match="leads out"):
            store.without_links(key)
