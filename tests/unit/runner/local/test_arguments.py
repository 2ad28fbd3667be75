"""What a person wrote after `run`: each value is read as its field is, and what cannot end well is refused first."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from audiojob_runner.errors import PhaseError
from audiojob_runner.local.arguments import Target, check, expected_files, parse_inputs, parse_parameters
from audiojob_runner.task import TaskInput
from audiojob_types.parameters import resolve_parameters
from audiojob_types.tasks import Task


@pytest.mark.parametrize(
    ("pairs", "code"),
    [
        pytest.param(["song.wav"], 64, id="no name"),
        pytest.param(["=song.wav"], 64, id="an empty name"),
        pytest.param(["source="], 64, id="nothing behind the name"),
        pytest.param(["source=https://a.example/1", "source=https://a.example/2"], 64, id="the same name twice"),
        pytest.param(["source=/no/such/file.wav"], 66, id="a file that is not there"),
    ],
)
def test_bad_inputs_of_the_command_line_are_refused(pairs: list[str], code: int) -> None:
    with pytest.raises(PhaseError) as caught:
        parse_inputs(pairs)
    assert caught.value.exit_code == code


def test_inputs_are_files_or_addresses(tmp_path: Path) -> None:
    (tmp_path / "a=b.wav").write_bytes(b"x")

    file, page = parse_inputs([f"source={tmp_path}/a=b.wav", "page=https://example.org/?a=b"])

    assert (file.name, file.path, file.url) == ("source", (tmp_path / "a=b.wav").resolve(), None)
    assert (page.path, page.url) == (None, "https://example.org/?a=b")


@pytest.mark.parametrize(
    ("task", "pair", "want"),
    [
        pytest.param(Task.TRANSCODE, "title=1999", "1999", id="a title of digits"),
        pytest.param(Task.TRANSCODE, "artist=311", "311", id="a band of digits"),
        pytest.param(Task.PUBLISH, "date=2020", "2020", id="a year"),
        pytest.param(Task.TRANSCODE, "title=true", "true", id="a title that JSON has a word for"),
        pytest.param(Task.PUBLISH, "title=null", "null", id="a title that JSON has another word for"),
        pytest.param(Task.PUBLISH, "title=[untitled]", "[untitled]", id="a title in brackets"),
        pytest.param(Task.PUBLISH, 'title={"a": 1}', '{"a": 1}', id="a title that is JSON"),
        pytest.param(Task.PUBLISH, "title=1e5", "1e5", id="a title like a number"),
        pytest.param(Task.PUBLISH, "title=a=b", "a=b", id="an equals sign in the text"),
        pytest.param(Task.PUBLISH, 'title="1999"', "1999", id="digits in quotes, as was needed once"),
        pytest.param(Task.SEPARATE, "model=htdemucs", "htdemucs", id="a word of a list"),
        pytest.param(Task.SEPARATE, "shifts=2", 2, id="a number"),
        pytest.param(Task.SEPARATE, "sumToMix=true", True, id="yes or no"),
        pytest.param(Task.SEPARATE, "keep=vocals", ["vocals"], id="one word of a list"),
        pytest.param(Task.SEPARATE, "keep=[vocals]", ["vocals"], id="as manifests write it"),
        pytest.param(Task.SEPARATE, "keep=vocals, drums", ["vocals", "drums"], id="words with commas"),
        pytest.param(Task.SEPARATE, 'keep=["vocals","drums"]', ["vocals", "drums"], id="JSON"),
        pytest.param(Task.SEPARATE, "keep=['vocals']", ["vocals"], id="YAML in quotes"),
        pytest.param(Task.DOWNLOAD, "subtitles=en,pt-BR", ["en", "pt-BR"], id="languages"),
        pytest.param(Task.TRANSCODE, "loudnessLufs=-14", -14, id="a number that may be left out"),
    ],
)
def test_values_are_read_as_their_fields_are(task: Task, pair: str, want: Any) -> None:
    found = parse_parameters([pair], task.descriptor.parameters)
    assert found == {pair.partition("=")[0]: want}
    resolve_parameters(task, found)


def test_a_parameter_without_a_value_is_refused() -> None:
    with pytest.raises(PhaseError, match="NAME=VALUE"):
        parse_parameters(["model"], Task.SEPARATE.descriptor.parameters)


@pytest.mark.parametrize(
    ("task", "parameters", "want"),
    [
        pytest.param(Task.NORMALIZE, {}, ["audio.wav"], id="one name alone"),
        pytest.param(Task.TRANSCODE, {"format": "opus"}, ["media.opus"], id="by the format"),
        pytest.param(Task.THUMBNAIL, {}, ["picture.jpg"], id="a format that files spell otherwise"),
        pytest.param(Task.SEPARATE, {"keep": ["drums"]}, ["drums.flac"], id="the stems that are kept"),
        pytest.param(
            Task.SEPARATE, {"stems": "TwoStems", "format": "mp3"}, ["vocals.mp3", "accompaniment.mp3"], id="all stems"
        ),
        pytest.param(Task.INSPECT, {}, ["info.json"], id="JSON"),
        pytest.param(Task.PUBLISH, {}, ["published.json"], id="a list"),
        pytest.param(Task.DOWNLOAD, {}, [], id="what is not known before"),
        pytest.param(
            Task.DOWNLOAD, {"container": "mp3", "info": True}, ["source.mp3", "info.json"], id="what was asked for"
        ),
    ],
)
def test_names_of_outputs_are_known_before(task: Task, parameters: dict[str, Any], want: list[str]) -> None:
    assert sorted(expected_files(task, resolve_parameters(task, parameters))) == sorted(want)


@pytest.mark.parametrize(
    ("task", "names", "said"),
    [
        pytest.param(Task.NORMALIZE, ["audio"], "no input named 'audio'", id="another task's name"),
        pytest.param(Task.SEPARATE, ["audio", "sorce"], "no input named 'sorce'", id="one too many"),
        pytest.param(Task.NORMALIZE, [], "needs an input named 'source'", id="none"),
        pytest.param(Task.PUBLISH, [], "needs an input.", id="none of any name"),
        pytest.param(Task.PUBLISH, ["audio"], "needs a library", id="nowhere to publish"),
        pytest.param(Task.CONTAINER, ["source"], "takes a cluster", id="a program of somebody's"),
    ],
)
def test_what_cannot_end_well_is_refused_before_any_work(
    tmp_path: Path, task: Task, names: list[str], said: str
) -> None:
    inputs = [TaskInput(name, path=tmp_path / "song.mp3") for name in names]
    parameters = task.descriptor.parameters.model_construct()
    with pytest.raises(PhaseError, match=said) as caught:
        check(task, parameters, inputs, Target(tmp_path / "out"))
    assert caught.value.exit_code == 64
    assert "create a new job" not in caught.value.suggestion


def test_a_library_must_be_there_before(tmp_path: Path) -> None:
    inputs = [TaskInput("audio", path=tmp_path / "song.mp3")]
    parameters = resolve_parameters(Task.PUBLISH)
    with pytest.raises(PhaseError, match="musci is not a folder"):
        check(Task.PUBLISH, parameters, inputs, Target(tmp_path / "out", library=tmp_path / "musci"))
    check(Task.PUBLISH, parameters, inputs, Target(tmp_path / "out", library=tmp_path))


def test_what_is_there_is_overwritten_only_by_force(tmp_path: Path) -> None:
    (tmp_path / "vocals.flac").touch()
    (tmp_path / "drums.mp3").touch()
    inputs = [TaskInput("audio", path=tmp_path / "song.wav")]
    parameters = resolve_parameters(Task.SEPARATE)
    with pytest.raises(PhaseError, match=r"already has vocals\.flac\."):
        check(Task.SEPARATE, parameters, inputs, Target(tmp_path))
    check(Task.SEPARATE, parameters, inputs, Target(tmp_path, force=True))
