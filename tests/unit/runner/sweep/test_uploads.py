"""Uploads go once no job can want them; what people put there by hand stays."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from audiojob_runner.store import open_store
from audiojob_runner.sweep.audiojobs import read_jobs
from audiojob_runner.sweep.command import _read, _remove_uploads
from audiojob_types.contract import FolderStore

ID = "up-" + "0" * 32
NOW = datetime(2026, 11, 29, 12, tzinfo=UTC)
OLD, RECENT = NOW - timedelta(hours=25), NOW - timedelta(hours=23)
SOURCE: dict[str, Any] = {"source": {"object": {"key": f"{ID}/song.flac"}}}
INPUT: dict[str, Any] = {"inputs": [{"name": "words", "object": {"key": f"{ID}/song.flac"}}]}
REVIEW: dict[str, Any] = {"reviews": [{"phase": "a", "approved": True, **INPUT}]}


def job(state: str, spec: dict[str, Any] = SOURCE, **status: Any) -> dict[str, Any]:
    return {"metadata": {"uid": "u"}, "spec": spec, "status": {"state": state, **status}}


def ended(moment: datetime) -> dict[str, Any]:
    return job("Succeeded", completionTime=moment.isoformat().replace("+00:00", "Z"))


CASES = [
    pytest.param(OLD, [], False, id="nobody names it, and it is old"),
    pytest.param(RECENT, [], True, id="it came, or a job was made of it, a short while ago"),
    pytest.param(OLD, [job("Running")], True, id="a job reads it"),
    pytest.param(OLD, [job("Pending")], True, id="a job waits, perhaps for its start time"),
    pytest.param(OLD, [job("Suspended")], True, id="a job is suspended"),
    pytest.param(OLD, [job("Failed")], True, id="a job failed and may be retried"),
    pytest.param(OLD, [job("Cancelled")], True, id="a job was cancelled and may be retried"),
    pytest.param(OLD, [job("Unheard")], True, id="a state of a later version"),
    pytest.param(OLD, [job("Pending", INPUT)], True, id="a side input"),
    pytest.param(OLD, [job("Pending", REVIEW)], True, id="an input of a review"),
    pytest.param(OLD, [ended(RECENT)], True, id="a job ended a short while ago"),
    pytest.param(OLD, [ended(OLD)], False, id="its job succeeded long ago"),
    pytest.param(OLD, [job("Succeeded", completionTime="soon")], True, id="a time that cannot be read"),
    pytest.param(OLD, [job("Running", {"source": {"object": {"key": "other/a"}}})], False, id="a job of another file"),
]


@pytest.mark.parametrize(("used", "jobs", "stays"), CASES)
def test_an_upload(tmp_path: Path, used: datetime, jobs: list[dict[str, Any]], stays: bool) -> None:
    store = open_store(FolderStore(root=str(tmp_path)), tmp_path)
    by_hand = [
        f"music/uploads/{name}" for name in ("song.flac", "album/.upload.json", "up-1/a", f"{ID[:-1]}1/song.flac")
    ]
    for key in (*by_hand, f"music/uploads/{ID}/song.flac", f"music/uploads/{ID}/.upload.json"):
        store.write(key, b"x")
        os.utime(tmp_path / key, (used.timestamp(), used.timestamp()))
    contents = _read(store, "music")
    live = read_jobs(iter(jobs))
    assert _remove_uploads(store, contents, live, NOW, dry_run=True) == []
    assert (tmp_path / "music/uploads" / ID / "song.flac").exists()
    assert _remove_uploads(store, contents, live, NOW, dry_run=False) == []
    assert (tmp_path / "music/uploads" / ID).exists() is stays
    assert all((tmp_path / key).exists() for key in by_hand)
