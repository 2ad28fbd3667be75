"""Fetch, a program, publish: the containers of a Container phase as processes, with the example's real program."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import wave
from pathlib import Path
from typing import Any

import pytest
from tests.integration.runner.pods import PodFolder, eventually
from tests.integration.runner.stores import StoreFolder

from audiojob_types.contract import ExitCode

pytestmark = pytest.mark.integration

SPEAK = Path(__file__).parents[4] / "examples" / "speak" / "speak"
SCRIPT = "Good evening.\n\nThree sheets of paper\nlay on the table.\n\n\nThe end.\n"
PROGRAM = {"image": "docker.io/example/speak:1", "sha256": "5" * 64}


def write_phase(pod: PodFolder, values: dict[str, str] | None = None, **fields: Any) -> None:
    script = {"name": "script", "text": SCRIPT}
    pod.write_phase("Container", {"values": values or {}}, **{"inputs": [script], "program": PROGRAM} | fields)


def run_program(pod: PodFolder, command: list[str]) -> subprocess.CompletedProcess[str]:
    """The program's container: its folder, its few variables, and nothing else."""
    work = pod.root / "work"
    scratch = str(work / "scratch")
    environ = {"PATH": os.environ["PATH"], "AUDIOJOB_WORK": str(work), "HOME": scratch, "TMPDIR": scratch}
    return subprocess.run(command, env=environ, capture_output=True, text=True, timeout=60, check=False, cwd="/")


@pytest.mark.parametrize("voice", ["en", "de"])
def test_a_script_becomes_speech(pod: PodFolder, store: StoreFolder, voice: str) -> None:
    assert shutil.which("espeak-ng"), "apt-get install espeak-ng, which `make test` does where it may"
    write_phase(pod, {"voice": voice, "speed": "200", "pause": "500"})

    fetched = pod.run(entry="fetch")
    assert fetched.code == ExitCode.OK, fetched.stderr
    spoken = run_program(pod, [str(SPEAK)])
    assert spoken.returncode == 0, spoken.stderr
    assert (pod.root / "work/progress").read_text() == "100 Spoke 3 paragraphs\n"
    published = pod.run()

    assert published.code == ExitCode.OK, published.stderr
    ref = published.result.manifest
    assert ref is not None
    manifest = store.manifest(ref.key)
    assert [(each.name, each.file, each.media_type) for each in manifest.outputs] == [
        ("speech", "speech.wav", "audio/wav")
    ]
    assert manifest.outputs[0].metadata["paragraphs"] == 3
    assert manifest.metadata == {"image": PROGRAM["image"], "program": PROGRAM["sha256"]}
    speech = pod.root / "speech.wav"
    speech.write_bytes(store.read(f"{ref.key.rpartition('/')[0]}/speech.wav"))
    with wave.open(str(speech)) as audio:
        frames = audio.readframes(audio.getnframes())
        assert (audio.getframerate(), audio.getnchannels(), audio.getsampwidth()) == (22_050, 1, 2)
        seconds = audio.getnframes() / audio.getframerate()
    assert 2.5 < seconds < 8
    assert published.result.outputs[0].duration_milliseconds == pytest.approx(seconds * 1_000, abs=2)
    assert max(frames) > 0, "it is not silence"
    assert store.keys().count(f"{ref.key.rpartition('/')[0]}/log/fetch/0000") == 1


def test_the_program_finds_files_by_the_names_of_the_inputs(pod: PodFolder, store: StoreFolder) -> None:
    before = store.put_manifest("demo/u/before/1-aaaaaaaa", {"mix": b"RIFF" * 1_000})
    sha256 = store.put("demo/uploads/a song.flac", b"fLaC" * 10)
    inputs = [
        {"name": "script", "text": "Schöne Grüße\n"},
        {"name": "mix", "manifest": before, "output": "mix"},
        {"name": "upload", "key": "demo/uploads/a song.flac", "sha256": sha256},
    ]
    write_phase(pod, {"voice": "en", "motto": "a $(touch /tmp/x) `b` 'c'\nd"}, inputs=inputs)

    fetched = pod.run(entry="fetch")

    assert fetched.code == ExitCode.OK, fetched.stderr
    folder = pod.root / "work/inputs"
    assert sorted(path.name for path in folder.iterdir()) == [
        "manifest.json", "mix", "parameters.d", "parameters.json", "script", "upload"
    ]  # fmt: skip
    assert (folder / "script").read_text() == "Schöne Grüße\n"
    assert (folder / "mix").read_bytes() == b"RIFF" * 1_000
    assert (folder / "upload").read_bytes() == b"fLaC" * 10
    assert json.loads((folder / "manifest.json").read_text()) == {
        "inputs": [
            {"name": "script", "bytes": 16, "mediaType": "text/plain", "metadata": {}},
            {"name": "mix", "bytes": 4_000, "mediaType": "application/octet-stream", "metadata": {}},
            {"name": "upload", "bytes": 40, "metadata": {}},
        ]
    }
    values = {"voice": "en", "motto": "a $(touch /tmp/x) `b` 'c'\nd"}
    assert json.loads((folder / "parameters.json").read_text()) == values
    assert {path.name: path.read_text() for path in (folder / "parameters.d").iterdir()} == values
    assert not fetched.message, "only a failure leaves a message"


def test_a_file_of_a_library_is_copied_for_the_program(
    folder_pod: PodFolder, folder_store: StoreFolder, tmp_path: Path
) -> None:
    shelf = tmp_path / "nas"
    (shelf / "Band").mkdir(parents=True)
    (shelf / "Band/Song.flac").write_bytes(b"fLaC")
    (shelf / "Band/Link.flac").symlink_to(folder_store.root.parent)
    libraries = [{"name": "nas", "store": {"kind": "Folder", "root": str(shelf)}}]
    write_phase(folder_pod, inputs=[{"name": "song", "key": "Band/Song.flac", "library": "nas"}], libraries=libraries)
    ended = folder_pod.run(entry="fetch")
    assert ended.code == ExitCode.OK, ended.stderr
    assert (folder_pod.root / "work/inputs/song").read_bytes() == b"fLaC"

    write_phase(folder_pod, inputs=[{"name": "link", "key": "Band/Link.flac", "library": "nas"}], libraries=libraries)
    assert folder_pod.run(entry="fetch").code == ExitCode.USAGE
    assert not (folder_pod.root / "work/inputs/link").exists()


REFUSED: dict[str, tuple[dict[str, Any], int, str]] = {
    "an upload that is gone": ({"inputs": [{"name": "a", "key": "demo/uploads/none"}]}, 66, "InputMissing"),
    "an address": ({"inputs": [{"name": "a", "url": "https://example.org/"}]}, 64, "InvalidSpec"),
    "another content than was published": (
        {"inputs": [{"name": "a", "key": "demo/uploads/song", "sha256": "0" * 64}]},
        66,
        "ChecksumMismatch",
    ),
    "more bytes than may be": (
        {"inputs": [{"name": "a", "key": "demo/uploads/song"}], "limits": {"maxInputBytes": 3}},
        65,
        "TooLarge",
    ),
}


@pytest.mark.parametrize(("fields", "code", "reason"), REFUSED.values(), ids=REFUSED.keys())
def test_what_cannot_be_fetched_is_told_and_no_list_of_inputs_is_left(
    folder_pod: PodFolder, folder_store: StoreFolder, fields: dict[str, Any], code: int, reason: str
) -> None:
    folder_store.put("demo/uploads/song", b"fLaC")
    write_phase(folder_pod, **fields)
    ended = folder_pod.run(entry="fetch")
    assert (ended.code, ended.result.reason) == (code, reason), ended.stderr
    assert ended.result.suggestion
    assert not (folder_pod.root / "work/inputs/manifest.json").exists()


def test_a_phase_of_another_task_is_not_fetched_for(folder_pod: PodFolder) -> None:
    folder_pod.write_phase("Simulate")
    ended = folder_pod.run(entry="fetch")
    assert (ended.code, ended.result.reason) == (ExitCode.USAGE, "InvalidSpec"), ended.stderr


def test_a_link_in_the_store_is_not_followed(folder_pod: PodFolder, folder_store: StoreFolder) -> None:
    uploads = folder_store.root / "demo/uploads"
    uploads.mkdir(parents=True)
    (uploads / "song").symlink_to("/etc/passwd")
    write_phase(folder_pod, inputs=[{"name": "a", "key": "demo/uploads/song"}])
    ended = folder_pod.run(entry="fetch")
    assert ended.code == ExitCode.USAGE, ended.stderr
    assert not (folder_pod.root / "work/inputs/a").exists()


VOICES: dict[str, tuple[dict[str, str], str, int, str]] = {
    "a voice that is none": ({"voice": "xx-none"}, SCRIPT, 64, "no voice 'xx-none'"),
    "a voice that is an option": ({"voice": "--path=/x"}, SCRIPT, 64, "voice must be a name"),
    "a speed that is no number": ({"speed": "fast"}, SCRIPT, 64, "speed must be a number"),
    "a speed that is a command": ({"speed": "$(id)"}, SCRIPT, 64, "speed must be a number"),
    "a speed out of bounds": ({"speed": "9999"}, SCRIPT, 64, "speed must be from 80 to 450"),
    "a script without words": ({}, "\n \n\n", 65, "no words"),
    "an empty script": ({}, "", 65, "no words"),
}


@pytest.mark.parametrize(("values", "script", "code", "words"), VOICES.values(), ids=VOICES.keys())
def test_the_example_refuses_what_makes_no_sense_with_a_sentence_and_a_code_of_the_contract(
    folder_pod: PodFolder, values: dict[str, str], script: str, code: int, words: str
) -> None:
    write_phase(folder_pod, values, inputs=[{"name": "script", "text": script}])
    assert folder_pod.run(entry="fetch").code == ExitCode.OK
    ended = run_program(folder_pod, [str(SPEAK)])
    assert (ended.returncode, words in ended.stderr) == (code, True), ended.stderr
    assert list((folder_pod.root / "work/outputs").iterdir()) == []


def test_what_a_program_left_that_cannot_be_published_is_told(folder_pod: PodFolder, folder_store: StoreFolder) -> None:
    folder_store.put("demo/secret", b"of somebody else")
    write_phase(folder_pod)
    assert folder_pod.run(entry="fetch").code == ExitCode.OK
    (folder_pod.root / "work/outputs/song.wav").symlink_to(folder_store.root / "demo/secret")

    ended = folder_pod.run()

    assert (ended.code, ended.result.reason) == (ExitCode.TEMPORARY, "ProgramFailed"), ended.stderr
    assert "'song.wav'" in ended.result.message
    assert folder_store.published() == ["demo/secret"]


def test_the_same_program_on_the_same_inputs_finds_what_it_published(
    folder_pod: PodFolder, folder_store: StoreFolder
) -> None:
    write_phase(folder_pod)
    assert folder_pod.run(entry="fetch").code == ExitCode.OK
    (folder_pod.root / "work/outputs/a.txt").write_text("one")
    first = folder_pod.run().result.manifest
    (folder_pod.root / "work/outputs/a.txt").write_text("two")
    write_phase(folder_pod, attempt=2)
    assert folder_pod.run().result.manifest == first
    write_phase(folder_pod, attempt=3, program={**PROGRAM, "sha256": "6" * 64})
    third = folder_pod.run().result.manifest
    assert first is not None
    assert third is not None
    assert third.key != first.key
    assert folder_store.manifest(third.key).outputs[0].bytes == 3


def test_fetching_is_stopped_by_sigterm_within_its_grace(folder_pod: PodFolder, folder_store: StoreFolder) -> None:
    big = folder_store.root / "demo/uploads/big"
    big.parent.mkdir(parents=True)
    with big.open("wb") as file:
        file.truncate(2 * 1024**3)  # a hole; reading it takes a while
    write_phase(folder_pod, inputs=[{"name": "a", "key": "demo/uploads/big"}])
    running = folder_pod.start(entry="fetch")
    eventually(lambda: list((folder_pod.root / "work/inputs").glob(".parts/*/*")), "the copy has begun")
    running.stop()
    ended = running.wait()
    assert (ended.code, ended.result.reason) == (ExitCode.STOPPED, "Stopped"), ended.stderr
    assert not (folder_pod.root / "work/inputs/a").exists()
