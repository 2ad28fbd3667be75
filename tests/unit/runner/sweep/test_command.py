"""What the sweeper makes of a store's contents. Whole passes: tests/integration/runner/sweep/test_sweep.py."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path

from audiojob_runner.store import open_store
from audiojob_runner.sweep.command import _read, _stored_job
from audiojob_types.contract import FolderStore

JOB = "music/5f1e0000-0000-4000-8000-00000000000a"


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
