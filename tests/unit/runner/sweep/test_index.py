"""The index of jobs by day: what leads from a name to a folder when the AudioJob is gone."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.support.stored import SHA

from audiojob_runner.store import open_store
from audiojob_runner.store.inventory import StoredObject
from audiojob_runner.sweep.command import _read, _stored_job, _write_index
from audiojob_runner.sweep.index import (
    MAX_OUTPUTS,
    JobIndex,
    Noted,
    SeenJob,
    index_job,
    keys_by_file,
    note,
    outdated,
    strays,
    with_last_state,
)
from audiojob_runner.sweep.plan import LiveJobs, SweepPlan
from audiojob_types.contract import FolderStore, Manifest

NOW = datetime(2026, 11, 28, 12, tzinfo=UTC)
DAY = timedelta(days=1)
UID = "5f1e0000-0000-4000-8000-00000000000a"
FOLDER = f"music/{UID}"
KEY = f"music/index/2026-11-28/song-{UID[:8]}.json"
SEEN = SeenJob("separate", "Succeeded", NOW + timedelta(minutes=5))


def manifest(phase: str = "work", *, outputs: int = 1, created: datetime = NOW, **more: Any) -> Manifest:
    files = [
        {"name": f"o{number}", "file": f"o{number}.flac", "mediaType": "audio/flac", "bytes": 7, "sha256": SHA}
        for number in range(outputs)
    ]
    return Manifest.read(
        {"job": "song", "namespace": "music", "uid": UID, "phase": phase, "attempt": 1, "task": "Separate",
         "fingerprint": SHA, "outputs": files, "createdTime": created.isoformat(), **more}
    )  # fmt: skip


def noted(phase: str = "work", **more: Any) -> Noted:
    return note(manifest(phase, **more), f"{FOLDER}/{phase}/1-00000000")


def test_a_job_is_found_by_the_day_of_its_first_manifest_and_its_name() -> None:
    notes = [noted("late", created=NOW + DAY), noted("early", expiresTime="2027-01-01T00:00:00Z")]
    entry = index_job(FOLDER, notes, NOW, SEEN, {})
    assert entry is not None
    assert entry.key == KEY
    wire = entry.job.to_wire()
    assert (wire["job"], wire["folder"], wire["pipeline"], wire["state"]) == ("song", FOLDER, "separate", "Succeeded")
    assert [each["folder"] for each in wire["attempts"]] == [f"{FOLDER}/early/1-00000000", f"{FOLDER}/late/1-00000000"]
    assert wire["attempts"][0]["outputs"] == [{"name": "o0", "file": "o0.flac", "mediaType": "audio/flac", "bytes": 7}]
    assert wire["attempts"][0]["expiresTime"] == "2027-01-01T00:00:00Z"


def test_nothing_published_is_not_indexed() -> None:
    assert index_job(FOLDER, [], NOW, SEEN, {}) is None


HOSTILE = {
    "a way up": "../../other",
    "a path": "a/b",
    "nothing": "",
    "a very long name": "x" * 300,
    "two lines": "a\nb",
}


@pytest.mark.parametrize("name", HOSTILE.values(), ids=HOSTILE.keys())
def test_a_manifest_cannot_choose_where_the_index_is_written(name: str) -> None:
    entry = index_job(FOLDER, [noted(job=name, namespace=name, pipeline=name)], NOW, None, {})
    assert entry is not None
    assert entry.key == f"music/index/2026-11-28/job-{UID[:8]}.json"
    assert (entry.job.namespace, entry.job.uid, entry.job.pipeline) == ("music", UID, None)


def test_an_entry_is_bounded_and_says_how_much_there_is() -> None:
    attempt = noted(outputs=1_000).attempt
    assert (len(attempt.outputs), attempt.count) == (MAX_OUTPUTS, 1_000)


def test_a_job_keeps_its_day_when_its_first_manifest_is_gone() -> None:
    entry = index_job(FOLDER, [noted("late", created=NOW + DAY)], NOW, None, keys_by_file([KEY, "music/index/notes"]))
    assert entry is not None
    assert entry.key == KEY


WRITTEN = {
    "there is none": (None, None, True),
    "a manifest is newer": (NOW - DAY, None, True),
    "it is newer than all": (NOW + DAY, None, False),
    "the job has ended since": (NOW + timedelta(minutes=1), SEEN, True),
    "it knows how the job ended": (NOW + timedelta(minutes=6), SEEN, False),
}


@pytest.mark.parametrize(("written", "seen", "due"), WRITTEN.values(), ids=WRITTEN.keys())
def test_it_is_written_when(written: datetime | None, seen: SeenJob | None, due: bool) -> None:
    entry = index_job(FOLDER, [noted()], NOW, seen, {})
    assert entry is not None
    assert outdated(entry, StoredObject(KEY, 1, written) if written else None, seen) is due


@pytest.mark.parametrize(
    ("before", "state"),
    [
        pytest.param(None, None, id="nobody ever saw the job"),
        pytest.param(b"{", None, id="what was there cannot be read"),
        pytest.param(b'{"job": "song"}', None, id="what was there is no index"),
    ],
)
def test_a_job_that_is_gone_without_a_word(before: bytes | None, state: str | None) -> None:
    entry = index_job(FOLDER, [noted()], NOW, None, {})
    assert entry is not None
    assert with_last_state(entry, before).state == state


def test_what_was_known_of_a_job_outlives_it() -> None:
    first = index_job(FOLDER, [noted()], NOW, SEEN, {})
    later = index_job(FOLDER, [noted(), noted("more")], NOW, None, {})
    assert first is not None
    assert later is not None
    record = with_last_state(later, json.dumps(first.job.to_wire()).encode())
    assert (record.state, record.pipeline, len(record.attempts)) == ("Succeeded", "separate", 2)


def test_the_pipeline_is_known_from_the_manifest_too() -> None:
    entry = index_job(FOLDER, [noted(pipeline="separate")], NOW, None, {})
    assert entry is not None
    assert entry.job.pipeline == "separate"


def test_only_what_the_sweeper_wrote_is_ever_taken_away() -> None:
    others = ["music/index/notes.txt", "music/index/2026-11-28/readme.md", "music/index/2026-11-28/a/b.json"]
    lost = f"music/index/2026-11-27/gone-{UID[:8]}.json"
    assert strays([KEY, lost, *others], frozenset({KEY})) == [lost]


def test_a_pass_over_a_folder(tmp_path: Path) -> None:
    store = open_store(FolderStore(root=str(tmp_path)), tmp_path)
    store.write(f"{FOLDER}/work/1-00000000/manifest.json", json.dumps(manifest().to_wire()).encode())
    store.write(f"music/index/2026-11-01/gone-{UID[:8]}.json", b"{}")

    def sweep(live: LiveJobs) -> None:
        contents = _read(store, "music")
        for folder, found in contents.jobs.items():
            _stored_job(store, folder, found, NOW)
        _write_index(store, contents, SweepPlan(), live)

    sweep(LiveJobs(frozenset({UID}), seen={UID: SEEN}))
    sweep(LiveJobs(frozenset()))
    assert [path.name for path in (tmp_path / "music" / "index").iterdir()] == ["2026-11-28"]
    assert JobIndex.read((tmp_path / KEY).read_bytes()).state == "Succeeded"
    (tmp_path / FOLDER / "work/1-00000000/manifest.json").unlink()
    sweep(LiveJobs(frozenset()))
    assert not (tmp_path / KEY).exists()
