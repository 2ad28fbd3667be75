"""What the sweeper makes of a store's contents. Whole passes: tests/integration/runner/sweep/test_sweep.py."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from audiojob_runner.store import open_store
from audiojob_runner.sweep.command import _apply, _read, _stored_job
from audiojob_runner.sweep.plan import Kind, Removal, SweepPlan
from audiojob_store import trees
from audiojob_types.contract import FolderStore

JOB = "music/5f1e0000-0000-4000-8000-00000000000a"
OTHER = "music/5f1e0000-0000-4000-8000-00000000000b"
MANIFEST: dict[str, Any] = {
    "job": "a", "namespace": "music", "uid": JOB.partition("/")[2], "phase": "work", "attempt": 1, "task": "Normalize",
    "fingerprint": "0" * 64, "outputs": [], "createdTime": "2026-01-01T00:00:00Z",
}  # fmt: skip


def test_what_a_download_left_is_told_from_results(tmp_path: Path) -> None:
    store = open_store(FolderStore(root=str(tmp_path)), tmp_path)
    for name, size in {"log/0000": 10, "partial/data": 5_000, "partial/sums": 32, "partial.wav": 700}.items():
        store.write(f"{JOB}/work/1-aaaaaaaa/{name}", bytes(size))
    store.write(f"{JOB}/work/2-bbbbbbbb/partial", bytes(9))  # a file of that name is no such folder
    [found] = _read(store, "music").jobs.values()
    stored = _stored_job(store, JOB, found, datetime.now(UTC))
    assert [(each.bytes, each.remnant_bytes) for each in stored.attempts] == [(5_742, 5_032), (9, 0)]
    assert (stored.bytes, stored.remnant_bytes) == (5_751, 5_032)


def test_whatever_somebody_put_in_place_of_a_manifest_ends_no_pass(tmp_path: Path) -> None:
    store = open_store(FolderStore(root=str(tmp_path)), tmp_path)
    store.write("music/theirs/manifest.json", b"{}")
    piped, linked = (tmp_path / JOB / f"work/{number}-aaaaaaaa" for number in (1, 2))
    for attempt in (piped, linked):
        (attempt / "/".join(["n"] * 200)).mkdir(parents=True)
    os.mkfifo(piped / "manifest.json")
    (linked / "manifest.json").symlink_to(tmp_path / "music/theirs/manifest.json")
    [found] = _read(store, "music").jobs.values()
    stored = _stored_job(store, JOB, found, datetime.now(UTC))
    assert [(each.published, each.expires) for each in stored.attempts] == [(True, None)] * 2, (
        "kept, as unreadable ones"
    )


@pytest.mark.parametrize("moment", [2**40, -(2**40), 253_402_300_800, 2**32])
def test_times_that_somebody_set_end_no_pass_and_keep_nothing(tmp_path: Path, moment: int) -> None:
    store = open_store(FolderStore(root=str(tmp_path)), tmp_path)
    store.write(f"{JOB}/work/1-aaaaaaaa/half", b"half")
    os.utime(tmp_path / JOB / "work/1-aaaaaaaa/half", (moment, moment))
    [found] = _read(store, "music").jobs.values()
    [attempt] = _stored_job(store, JOB, found, datetime.now(UTC)).attempts
    assert attempt.newest <= datetime.now(UTC) + timedelta(minutes=1)


@pytest.mark.parametrize("field", ["createdTime", "expiresTime"])
@pytest.mark.parametrize("moment", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00"])
def test_times_that_utc_does_not_have_end_no_pass(tmp_path: Path, field: str, moment: str) -> None:
    store = open_store(FolderStore(root=str(tmp_path)), tmp_path)
    store.write(f"{JOB}/work/1-aaaaaaaa/manifest.json", json.dumps({**MANIFEST, field: moment}).encode())
    [found] = _read(store, "music").jobs.values()
    [attempt] = _stored_job(store, JOB, found, datetime.now(UTC)).attempts
    assert (attempt.published, attempt.expires) == (True, None), "kept, as unreadable ones"


def test_holes_do_not_count_in_the_share_that_a_pass_may_remove(tmp_path: Path) -> None:
    store = open_store(FolderStore(root=str(tmp_path)), tmp_path)
    store.write(f"{JOB}/work/1-aaaaaaaa/half", bytes(3 * 1024**2))
    os.truncate(tmp_path / JOB / "work/1-aaaaaaaa/half", 2**40)
    [found] = _read(store, "music").jobs.values()
    assert 3 * 1024**2 <= _stored_job(store, JOB, found, datetime.now(UTC)).bytes < 4 * 1024**2


def test_a_folder_that_cannot_be_removed_does_not_keep_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its owner made it deeper than one pass empties."""
    monkeypatch.setattr(trees, "_MAX_ROUNDS", 3)
    store = open_store(FolderStore(root=str(tmp_path)), tmp_path)
    (tmp_path / JOB / "work/1-aaaaaaaa" / "/".join(["n"] * 50)).mkdir(parents=True)
    store.write(f"{OTHER}/work/1-aaaaaaaa/half", b"half")
    contents = _read(store, "music")
    removals = tuple(Removal(Kind.ATTEMPT, f"{job}/work/1-aaaaaaaa", 0, "it is old") for job in (JOB, OTHER))
    failed = _apply(store, SweepPlan(removals), contents.jobs, datetime.now(UTC), dry_run=False)
    assert not (tmp_path / OTHER / "work/1-aaaaaaaa").exists()
    [(removal, error)] = failed
    assert removal.folder.startswith(JOB)
    assert "again and again" in error.message
