"""Container: what a program left becomes outputs, or one sentence that says why not."""

from __future__ import annotations

import json
import logging
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from audiojob_runner.errors import PhaseError
from audiojob_runner.task import TaskContext, TaskInput, TaskResult
from audiojob_runner.tasks.container import MAX_FILES, run
from audiojob_types.contract import Device, ExitCode, PhaseLimits, PhaseNetwork
from audiojob_types.reasons import Reason
from audiojob_types.tasks.container import ContainerParameters


def collect(work: Path) -> TaskResult:
    context = TaskContext(
        work_dir=work, models_root=work, device=Device.CPU, limits=PhaseLimits(), network=PhaseNetwork(),
        progress=lambda percent, message: None, log=logging.getLogger("test"), attempt=1, job_uid="u",
        cancelled=threading.Event(),
    )  # fmt: skip
    given = TaskInput("outputs", path=work, metadata={"image": "x:1"})
    return run({"outputs": given}, ContainerParameters(), context)


@pytest.fixture
def work(tmp_path: Path) -> Path:
    (tmp_path / "outputs").mkdir()
    return tmp_path


def leave(work: Path, *names: str, index: Any = None) -> None:
    for name in names:
        (work / "outputs" / name).write_text("x")
    if index is not None:
        (work / "outputs.json").write_text(index if isinstance(index, str) else json.dumps(index))


def test_files_become_outputs_by_name_and_ending_and_their_origin_is_kept(work: Path) -> None:
    leave(work, "Speech.WAV", "notes.txt", "score.musicxml", "data.bin", "README", ".hidden")
    result = collect(work)
    assert [(each.name, each.path.name, each.media_type) for each in result.outputs] == [
        ("readme", "README", "application/octet-stream"),
        ("speech", "Speech.WAV", "audio/wav"),
        ("data", "data.bin", "application/octet-stream"),
        ("notes", "notes.txt", "text/plain"),
        ("score", "score.musicxml", "application/vnd.recordare.musicxml+xml"),
    ]
    assert result.metadata == {"image": "x:1"}


def test_the_notes_name_files_and_tell_of_them(work: Path) -> None:
    note = {"name": "voice", "mediaType": "audio/x-special", "metadata": {"durationSeconds": 2.5}}
    leave(work, "a.wav", "b.wav", index={"files": {"a.wav": note}})
    outputs = {each.name: each for each in collect(work).outputs}
    assert outputs.keys() == {"voice", "b"}
    assert (outputs["voice"].media_type, outputs["voice"].metadata) == ("audio/x-special", {"durationSeconds": 2.5})


def test_a_program_may_ask_people_to_look_at_its_outputs(work: Path) -> None:
    leave(work, "a.wav", index={"reviewAsked": "Is  this\tthe right song?"})
    assert collect(work).review_asked == "Is this the right song?"


def link(path: Path) -> None:
    path.symlink_to("/etc/passwd")


def hard_link(work: Path) -> None:
    leave(work, "a.wav")
    (work / "outputs/b.wav").hardlink_to(work / "outputs/a.wav")


def replace_folder(work: Path) -> None:
    (work / "outputs").rmdir()
    (work / "outputs").symlink_to("/etc")


def leave_linked_notes(work: Path) -> None:
    leave(work, "a")
    link(work / "outputs.json")


Spoil = Callable[[Path], object]
SPOILT: dict[str, tuple[Spoil, str]] = {
    "nothing": (lambda work: None, "is empty"),
    "only hidden files": (lambda work: leave(work, ".a"), "is empty"),
    "a link to a file of ours": (lambda work: link(work / "outputs/a.txt"), "a link or device"),
    "a pipe": (lambda work: os.mkfifo(work / "outputs/a.wav"), "a link or device"),
    "two names of one file": (hard_link, "a.wav and b.wav in outputs are two names of one file"),
    "a folder": (lambda work: (work / "outputs/a").mkdir(), "'a' in outputs is a folder"),
    "the folder itself replaced by a link": (
        replace_folder,
        "not a folder any more",
    ),
    "the folder removed": (lambda work: (work / "outputs").rmdir(), "cannot be read"),
    "a name with a space": (lambda work: leave(work, "a b.wav"), "cannot be a file's name"),
    "a name with a line end": (lambda work: leave(work, "a\nb"), r"'a\nb' cannot be"),
    "a name that is no text": (lambda work: leave(work, os.fsdecode(b"a\xff")), "cannot be a file's name"),
    "a name that is an option": (lambda work: leave(work, "-rf"), "cannot be a file's name"),
    "a name of 129 characters": (lambda work: leave(work, "a" * 129), "cannot be a file's name"),
    "the name of the manifest": (lambda work: leave(work, "manifest.json"), "but not log or manifest.json"),
    "the name of the log's folder": (lambda work: leave(work, "log"), "but not log or manifest.json"),
    "a name too long for an output": (lambda work: leave(work, "a" * 64 + ".wav"), "cannot be the name of output"),
    "two files of one name": (lambda work: leave(work, "a.wav", "a.mp3"), "would both be output a"),
    "two names that differ in case": (lambda work: leave(work, "a.wav", "A.wav"), "would both be output a"),
    "more files than may be": (lambda work: leave(work, *(f"f{n}" for n in range(MAX_FILES + 1))), "more than 1000"),
    "notes that are no JSON": (lambda work: leave(work, "a", index="{"), "outputs.json is not valid"),
    "notes of another shape": (lambda work: leave(work, "a", index=[]), "outputs.json is not valid"),
    "notes with an unknown field": (
        lambda work: leave(work, "a", index={"files": {"a": {"key": "x"}}}),
        "files.a.key",
    ),
    "notes of a file that is not there": (lambda work: leave(work, "a", index={"files": {"b": {}}}), "tells of 'b'"),
    "notes of a file elsewhere": (
        lambda work: leave(work, "a", index={"files": {"../../etc/passwd": {}}}),
        "which is not in outputs",
    ),
    "a media type that is none": (
        lambda work: leave(work, "a", index={"files": {"a": {"mediaType": "x\r\ny"}}}),
        "files.a.mediaType",
    ),
    "a name in the notes that is a path": (
        lambda work: leave(work, "a", index={"files": {"a": {"name": "../b"}}}),
        "cannot be the name",
    ),
    "notes that are a link": (
        leave_linked_notes,
        "outputs.json is not a file that can be read",
    ),
    "notes without end": (lambda work: leave(work, "a", index=" " * (1024 * 1024 + 1)), "larger than 1048576"),
}


@pytest.mark.parametrize(("spoil", "words"), SPOILT.values(), ids=SPOILT.keys())
def test_what_cannot_be_published_is_told(work: Path, spoil: Spoil, words: str) -> None:
    spoil(work)
    with pytest.raises(PhaseError) as failed:
        collect(work)
    error = failed.value
    assert (error.exit_code, error.reason) == (ExitCode.TEMPORARY, Reason.PROGRAM_FAILED)
    assert words in error.message
    assert "\n" not in error.message
    assert error.suggestion


def test_outside_a_cluster_there_is_no_program_to_collect_from() -> None:
    with pytest.raises(PhaseError, match="needs Kubernetes") as failed:
        run({}, ContainerParameters(), None)  # type: ignore[arg-type]
    assert failed.value.exit_code == ExitCode.USAGE
