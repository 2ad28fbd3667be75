"""The record of checksums, and what a file is compared with."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
import yaml

from audiojob_runner.errors import PhaseError
from audiojob_runner.models import volume as modelvolume
from audiojob_runner.models.volume import (
    LOCK_NAME,
    PART_SUFFIX,
    Lock,
    contradiction,
    listing,
    read_lock,
    sha256_of,
    write_lock,
)
from audiojob_types.models import KNOWN_MODELS
from audiojob_types.reasons import Reason

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
DIGEST = hashlib.sha256(b"weights").hexdigest()
NAME = f"a1b2c3d4-{DIGEST[:8]}.th"


def test_what_is_recorded_is_read_back(tmp_path: Path) -> None:
    lock = Lock().with_file(NAME, 7, DIGEST, NOW)
    write_lock(tmp_path, lock)
    assert read_lock(tmp_path) == lock
    assert [path.name for path in tmp_path.iterdir()] == [LOCK_NAME]


def test_the_first_record_of_a_file_stays() -> None:
    lock = Lock().with_file(NAME, 7, DIGEST, NOW).with_file(NAME, 8, "0" * 64, NOW)
    assert (lock.files[NAME].bytes, lock.files[NAME].sha256) == (7, DIGEST)


def test_without_a_record_nothing_is_recorded(tmp_path: Path) -> None:
    assert read_lock(tmp_path) == Lock()
    assert read_lock(tmp_path / "absent") == Lock()


def test_a_record_of_a_newer_version_can_be_read(tmp_path: Path) -> None:
    (tmp_path / LOCK_NAME).write_text('{"files": {}, "signature": "x"}', encoding="utf-8")
    assert read_lock(tmp_path) == Lock()


@pytest.mark.parametrize("text", ["", "{", "[]", '{"files": []}', '{"files": {"a": {"sha256": "ab"}}}', "\ufeff{}"])
def test_a_record_that_cannot_be_read_is_told(tmp_path: Path, text: str) -> None:
    (tmp_path / LOCK_NAME).write_text(text, encoding="utf-8")
    with pytest.raises(PhaseError) as caught:
        read_lock(tmp_path)
    assert (caught.value.exit_code, caught.value.reason) == (64, Reason.CHECKSUM_MISMATCH)


@pytest.mark.parametrize("make", [os.mkfifo, Path.mkdir, lambda path: path.symlink_to("/dev/zero")])
def test_what_is_no_file_is_not_read_for_ever(tmp_path: Path, make: Callable[[Path], object]) -> None:
    make(tmp_path / LOCK_NAME)
    make(tmp_path / NAME)
    with pytest.raises(PhaseError, match="cannot be read"):
        read_lock(tmp_path)
    with pytest.raises(OSError, match="regular file"):
        sha256_of(tmp_path / NAME)


def test_links_of_an_administrator_are_followed(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").write_bytes(b"weights")
    (tmp_path / NAME).symlink_to("elsewhere")
    assert sha256_of(tmp_path / NAME) == DIGEST


def test_nothing_is_written_through_a_link(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").write_bytes(b"weights")
    (tmp_path / f"{LOCK_NAME}{PART_SUFFIX}").symlink_to("elsewhere")
    write_lock(tmp_path, Lock())
    assert (tmp_path / "elsewhere").read_bytes() == b"weights"
    assert read_lock(tmp_path) == Lock()


def test_a_write_that_fails_leaves_the_old_record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_lock(tmp_path, Lock().with_file(NAME, 7, DIGEST, NOW))

    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("audiojob_runner.models.volume.os.fsync", full)
    with pytest.raises(OSError, match="No space"):
        write_lock(tmp_path, Lock())
    assert NAME in read_lock(tmp_path).files
    assert [path.name for path in tmp_path.iterdir()] == [LOCK_NAME]


@pytest.mark.parametrize(
    ("name", "lock", "fits"),
    [
        pytest.param(NAME, Lock(), True, id="the published digits"),
        pytest.param("a1b2c3d4.th", Lock(), True, id="nothing to compare with"),
        pytest.param("a1b2c3d4-00000000.th", Lock(), False, id="other published digits"),
        pytest.param(NAME, Lock().with_file(NAME, 7, DIGEST, NOW), True, id="the recorded sha256"),
        pytest.param(NAME, Lock().with_file(NAME, 7, DIGEST[:8] + "0" * 56, NOW), False, id="another recorded one"),
        pytest.param(NAME, Lock().with_file("other.th", 7, "0" * 64, NOW), True, id="another file's record"),
    ],
)
def test_what_a_file_is_compared_with(name: str, lock: Lock, fits: bool) -> None:
    assert (contradiction(name, DIGEST, lock) == "") is fits


def test_reading_may_be_ended(tmp_path: Path) -> None:
    (tmp_path / "large").write_bytes(bytes(3 * modelvolume.BLOCK_BYTES))
    seen: list[int] = []

    def stop(number: int) -> None:
        seen.append(number)
        raise InterruptedError

    with pytest.raises(InterruptedError):
        sha256_of(tmp_path / "large", stop)
    assert seen == [modelvolume.BLOCK_BYTES]


@pytest.mark.parametrize("name", KNOWN_MODELS)
def test_the_list_of_a_model_is_what_demucs_reads(name: str) -> None:
    known = KNOWN_MODELS[name]
    bag = yaml.safe_load(listing(known))
    assert bag["models"] == list(known.signatures), "signatures of digits alone must stay text"
    assert all(isinstance(signature, str) for signature in bag["models"])
    assert bag.get("weights") == ([list(row) for row in known.weights] if known.weights else None)
    assert bag.get("segment") == known.segment
