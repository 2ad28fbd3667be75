"""Bad environment, phase files and inputs: one clear line in the termination message, the contract's exit code."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.integration.runner.pods import PodFolder, make_pod
from tests.integration.runner.stores import StoreFolder

from audiojob_types.contract import ExitCode

pytestmark = pytest.mark.integration


@pytest.mark.parametrize(
    ("environ", "named"),
    [
        pytest.param({"AUDIOJOB_POD_NAME": ""}, "AUDIOJOB_POD_NAME", id="no pod name"),
        pytest.param({"AUDIOJOB_POD_UID": ""}, "AUDIOJOB_POD_UID", id="no pod uid"),
        pytest.param({"AUDIOJOB_POD_UID": "../../etc"}, "AUDIOJOB_POD_UID", id="a pod uid that is a path"),
    ],
)
def test_a_bad_environment_ends_with_64_and_names_the_variable(
    folder_pod: PodFolder, environ: dict[str, str], named: str
) -> None:
    folder_pod.write_phase()
    folder_pod.environ = environ

    ended = folder_pod.run(pod_uid=environ.get("AUDIOJOB_POD_UID", "0a1b2c3d-1"))

    assert (ended.code, ended.result.reason) == (ExitCode.USAGE, "InvalidSpec")
    assert named in ended.result.message


def test_a_missing_phase_file_ends_with_64_and_names_the_file(folder_pod: PodFolder) -> None:
    ended = folder_pod.run()

    assert (ended.code, ended.result.reason) == (ExitCode.USAGE, "InputMissing")
    assert str(folder_pod.phase_file) in ended.result.message
    assert "AUDIOJOB_PHASE_FILE" in ended.result.suggestion


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        pytest.param({"task": "Dance"}, "task", id="unknown task"),
        pytest.param({"attempt": 0}, "attempt", id="attempt 0"),
        pytest.param(
            {"inputs": [{"name": "source"}]}, "exactly one of url, text, key, manifest", id="input without origin"
        ),
        pytest.param({"store": {"kind": "Tape"}}, "store", id="unknown kind of store"),
        pytest.param({"parameters": {"exitCode": 300}}, "parameters.simulate.exitCode", id="parameter too large"),
        pytest.param({"store": {"kind": "Folder", "root": "/nowhere"}}, "/nowhere", id="store that is not mounted"),
    ],
)
def test_a_bad_phase_file_ends_with_64_and_names_the_field(
    folder_pod: PodFolder, fields: dict[str, Any], named: str
) -> None:
    folder_pod.write_phase(**fields)

    ended = folder_pod.run()

    assert (ended.code, ended.result.reason) == (ExitCode.USAGE, "InvalidSpec"), ended.stderr
    assert named in ended.result.message
    assert b"\n" not in (ended.message or b"")


def test_what_a_newer_operator_added_to_the_phase_file_is_passed_over_and_logged(folder_pod: PodFolder) -> None:
    folder_pod.write_phase(contract=99, colour="red", parameters={"loudness": 11})

    ended = folder_pod.run()

    assert ended.code == ExitCode.OK, ended.stderr
    assert "contract 99" in ended.stderr
    assert "loudness" in ended.stderr


def test_a_phase_file_that_is_not_json_ends_with_64(folder_pod: PodFolder) -> None:
    folder_pod.phase_file.write_text("phase: work", encoding="utf-8")

    assert (folder_pod.run().code, folder_pod.run().result.reason) == (ExitCode.USAGE, "InvalidSpec")


def test_a_scratch_that_is_not_there_ends_with_64(folder_pod: PodFolder) -> None:
    folder_pod.write_phase()
    (folder_pod.root / "scratch").rmdir()

    ended = folder_pod.run()

    assert ended.code == ExitCode.USAGE
    assert "scratch" in ended.result.message


def test_an_input_from_an_earlier_phase_and_an_upload_reach_the_task(pod: PodFolder, store: StoreFolder) -> None:
    ref = store.put_manifest("demo/u/before/1-aaaaaaaa", {"audio": b"sound" * 1000})
    store.put("demo/uploads/my song.mp3", b"upload")
    pod.write_phase(
        inputs=[
            {"name": "audio", "manifest": ref, "output": "audio"},
            {"name": "source", "key": "demo/uploads/my song.mp3"},
            {"name": "page", "url": "https://example.org/song"},
        ]
    )

    ended = pod.run()

    assert ended.code == ExitCode.OK, ended.stderr
    assert ended.result.manifest is not None
    assert store.manifest(ended.result.manifest.key).metadata["inputs"] == ["audio", "page", "source"]
    assert [each.name for each in ended.result.inputs] == ["audio"], "of uploads and addresses nothing is recorded"
    again = pod.run("0b000000-0000-4000-8000-000000000002")
    assert again.result.manifest == ended.result.manifest, "the work was done"
    assert again.result.inputs == ended.result.inputs, "and was looked at again"


def test_a_donor_stands_for_the_work_once_the_inputs_are_what_was_recorded(pod: PodFolder, store: StoreFolder) -> None:
    ref = store.put_manifest("demo/u/before/1-aaaaaaaa", {"audio": b"sound" * 1000})
    donor = {"key": "demo/other/work/1-bbbbbbbb/manifest.json", "sha256": "d" * 64, "count": 1}
    sha256 = hashlib.sha256(b"sound" * 1000).hexdigest()
    audio = {"name": "audio", "manifest": ref, "output": "audio", "recordedSha256": sha256}
    pod.write_phase(inputs=[audio], donor=donor)
    before = store.published()

    ended = pod.run()

    assert ended.code == ExitCode.OK, ended.stderr
    assert ended.result.manifest is not None
    assert ended.result.manifest.to_wire() == donor
    assert [each.to_wire() for each in ended.result.inputs] == [{"name": "audio", "sha256": sha256}]
    assert store.published() == before

    pod.write_phase(inputs=[{**audio, "recordedSha256": "e" * 64}], donor=donor)
    refused = pod.run()
    assert (refused.code, refused.result.reason) == (ExitCode.SOURCE_UNAVAILABLE, "ChecksumMismatch")
    assert (refused.result.manifest, refused.result.inputs) == (None, ())


def _gone(store: StoreFolder, ref: dict[str, Any]) -> None:
    (store.root / "demo/u/before/1-aaaaaaaa/audio.bin").unlink()


def _manifest_gone(store: StoreFolder, ref: dict[str, Any]) -> None:
    (store.root / ref["key"]).unlink()


def _changed(store: StoreFolder, ref: dict[str, Any]) -> None:
    store.put("demo/u/before/1-aaaaaaaa/audio.bin", b"noise" * 1000)


def _manifest_changed(store: StoreFolder, ref: dict[str, Any]) -> None:
    store.put(ref["key"], store.read(ref["key"]).replace(b"before", b"behind"))


def _manifest_garbled(store: StoreFolder, ref: dict[str, Any]) -> None:
    ref["sha256"] = store.put(ref["key"], b"{}")


def _other_output(store: StoreFolder, ref: dict[str, Any]) -> None:
    content = json.loads(store.read(ref["key"]))
    content["outputs"][0]["name"] = "video"
    ref["sha256"] = store.put(ref["key"], json.dumps(content).encode())


def _manifest_of_another(store: StoreFolder, ref: dict[str, Any]) -> None:
    content = json.loads(store.read(ref["key"])) | {"uid": "another"}
    ref["sha256"] = store.put(ref["key"], json.dumps(content).encode())


def _recorded_otherwise(store: StoreFolder, ref: dict[str, Any]) -> None:
    """The pod that published named the sha256 of another's song in its result; its file and its manifest agree."""
    content = json.loads(store.read(ref["key"]))
    content["outputs"][0]["sha256"] = store.put("demo/u/before/1-aaaaaaaa/audio.bin", b"stems" * 1000)
    ref["sha256"] = store.put(ref["key"], json.dumps(content).encode())


@pytest.mark.parametrize(
    ("damage", "code", "reason", "named"),
    [
        pytest.param(_gone, 66, "InputMissing", "'audio'", id="the file is gone"),
        pytest.param(_manifest_gone, 66, "InputMissing", "manifest.json", id="the manifest is gone"),
        pytest.param(_changed, 66, "ChecksumMismatch", "'audio'", id="the file was changed"),
        pytest.param(_manifest_changed, 66, "ChecksumMismatch", "manifest.json", id="the manifest was changed"),
        pytest.param(_manifest_of_another, 66, "ChecksumMismatch", "another phase", id="the manifest is another's"),
        pytest.param(_recorded_otherwise, 66, "ChecksumMismatch", "'audio'", id="another file than was recorded"),
        pytest.param(_manifest_garbled, 64, "InvalidSpec", "manifest.json", id="the manifest is not one"),
        pytest.param(_other_output, 64, "InvalidSpec", "it published: video", id="there is no such output"),
    ],
)
def test_a_bad_input_ends_the_phase_before_the_task_begins(
    pod: PodFolder,
    store: StoreFolder,
    damage: Callable[[StoreFolder, dict[str, Any]], None],
    code: int,
    reason: str,
    named: str,
) -> None:
    ref = store.put_manifest("demo/u/before/1-aaaaaaaa", {"audio": b"sound" * 1000})
    recorded = hashlib.sha256(b"sound" * 1000).hexdigest()
    damage(store, ref)
    pod.write_phase(inputs=[{"name": "audio", "manifest": ref, "output": "audio", "recordedSha256": recorded}])
    before = store.published()

    ended = pod.run()

    assert (ended.code, ended.result.reason) == (code, reason), ended.stderr
    assert named in ended.result.message
    assert store.published() == before


@pytest.mark.parametrize(
    ("key", "code", "reason"),
    [
        pytest.param("demo/uploads/absent.mp3", 66, "InputMissing", id="absent"),
        pytest.param("demo/../../etc/passwd", 64, "InvalidSpec", id="dots that leave the store"),
        pytest.param("/etc/passwd", 64, "InvalidSpec", id="an absolute path"),
        pytest.param("demo/uploads", 66, "InputMissing", id="a folder"),
        pytest.param("demo/uploads/link", 64, "InvalidSpec", id="a link that leaves the store"),
    ],
)
def test_a_key_that_is_no_file_of_the_store_is_refused(
    folder_pod: PodFolder, folder_store: StoreFolder, tmp_path: Path, key: str, code: int, reason: str
) -> None:
    (tmp_path / "secret").write_text("secret", encoding="utf-8")
    folder_store.put("demo/uploads/song.mp3", b"x")
    (folder_store.root / "demo/uploads/link").symlink_to(tmp_path / "secret")
    folder_pod.write_phase(inputs=[{"name": "source", "key": key}])

    ended = folder_pod.run()

    assert (ended.code, ended.result.reason) == (code, reason), ended.stderr


def test_an_upload_with_another_sum_or_above_the_limit_is_refused(pod: PodFolder, store: StoreFolder) -> None:
    store.put("demo/uploads/song.mp3", b"x" * 100)
    wrong = hashlib.sha256(b"y").hexdigest()
    pod.write_phase(inputs=[{"name": "source", "key": "demo/uploads/song.mp3", "sha256": wrong}])
    assert pod.run().result.reason == "ChecksumMismatch"

    pod.write_phase(inputs=[{"name": "source", "key": "demo/uploads/song.mp3"}], limits={"maxInputBytes": 99})
    ended = pod.run()
    assert (ended.code, ended.result.reason) == (ExitCode.NOT_MEDIA, "TooLarge")


def test_a_store_that_refuses_the_credentials_ends_with_77(tmp_path: Path, s3_store: StoreFolder) -> None:
    pod = make_pod(tmp_path / "pod", s3_store)
    pod.write_phase()
    for name, content in (("secretAccessKey", "wrong"), ("secretAccessKey", ""), ("accessKeyId", None)):
        path = pod.root / "etc/audiojob/store" / name
        if content is None:
            path.unlink()
        else:
            path.write_text(content, encoding="utf-8")
        ended = pod.run()
        assert (ended.code, ended.result.reason) == (ExitCode.CREDENTIALS, "CredentialsRefused"), ended.stderr


def test_a_store_that_does_not_answer_ends_with_75_and_does_not_hang(tmp_path: Path, s3_store: StoreFolder) -> None:
    closed = StoreFolder(
        "S3", s3_store.root, s3_store.config | {"endpoint": "http://127.0.0.1:9"}, s3_store.credentials
    )
    pod = make_pod(tmp_path / "pod", closed)
    pod.write_phase()

    ended = pod.run(seconds=60)

    assert (ended.code, ended.result.reason) == (ExitCode.TEMPORARY, "TemporaryFailure"), ended.stderr
