"""Lyrics: from which place the words come, and what a song without any becomes."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from tests.integration.runner.tasks.conftest import Bench

from audiojob_runner.errors import PhaseError
from audiojob_runner.task import TaskInput, TaskResult
from audiojob_runner.tasks.lyrics import NOTHING_FOUND
from audiojob_types.contract import ExitCode
from audiojob_types.documents.lyrics import Lyrics
from audiojob_types.reasons import Reason
from audiojob_types.tasks import Task

LRC = "[00:00.50]<00:00.50>Here <00:01.00>be<00:01.50>\n[00:02.00]dragons\n[00:59.00]far away\n"


@pytest.fixture(scope="module")
def songs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Songs of three seconds: with words in their tags, and without."""
    folder = tmp_path_factory.mktemp("songs")
    make = ["ffmpeg", "-v", "error", "-nostdin", "-f", "lavfi", "-i", "sine=d=3"]
    words = f"lyrics={LRC}"
    for name, tags in (("tagged.flac", [words]), ("tagged.m4a", ["lyrics=Here be\ndragons"]), ("bare.flac", [])):
        pairs = [part for tag in tags for part in ("-metadata", tag)]
        subprocess.run([*make, *pairs, "-t", "3", name], cwd=folder, check=True, timeout=60)
    return folder


def text(folder: Path, name: str, content: str, **metadata: Any) -> TaskInput:
    path = folder / f"{name}.txt"
    path.write_text(content, encoding="utf-8")
    return TaskInput(name, path=path, media_type="text/plain", metadata=metadata)


def record(result: TaskResult) -> Lyrics:
    return Lyrics.read(result.outputs[0].path.read_bytes())


def said(result: TaskResult) -> list[str]:
    return list(result.metadata.get("warnings", []))


def test_words_with_times_come_in_every_form(bench: Bench, songs: Path, tmp_path: Path) -> None:
    source = TaskInput("source", path=songs / "bare.flac")
    result = bench.run_on(Task.LYRICS, [source, text(tmp_path, "lyrics", LRC)], language="en")
    assert [output.path.name for output in result.outputs] == [
        "lyrics.json", "lyrics.lrc", "lyrics.srt", "lyrics.vtt", "lyrics.ass",
    ]  # fmt: skip
    found = record(result)
    assert [(line.text, line.start_milliseconds, line.end_milliseconds) for line in found.lines] == [
        ("Here be", 500, 1_500), ("dragons", 2_000, 3_000),
    ]  # fmt: skip
    assert said(result) == [
        "1 line left out that would begin after the end at 0:03: the lyrics may be of a longer version of the song."
    ]
    assert result.outputs[1].path.read_text() == (
        "[la:en]\n[00:00.50]<00:00.50>Here<00:01.00> <00:01.00>be<00:01.50>\n[00:02.00]dragons\n[00:03.00]\n"
    ).replace("Here<00:01.00> ", "Here ")
    assert result.metadata == {
        "lines": 2, "words": 3, "timing": "Words", "language": "en", "warnings": said(result),
        "origin": {"place": "Input", "form": "LRC", "input": "lyrics"},
    }  # fmt: skip


def test_other_programs_read_the_same_times(bench: Bench, tmp_path: Path) -> None:
    result = bench.run_on(Task.LYRICS, [text(tmp_path, "lyrics", LRC)])
    for output in result.outputs[1:]:
        asked = ["ffprobe", "-v", "error", "-of", "json", "-show_entries", "packet=pts_time", str(output.path)]
        answer = subprocess.run(asked, check=True, capture_output=True, timeout=60)
        starts = [float(packet["pts_time"]) for packet in json.loads(answer.stdout)["packets"]]
        assert starts == [0.5, 2.0, 59.0], output.name


def test_words_without_times_come_as_the_record_alone(bench: Bench, tmp_path: Path) -> None:
    result = bench.run_on(Task.LYRICS, [text(tmp_path, "lyrics", "Here be\ndragons")])
    assert [output.name for output in result.outputs] == ["lyrics"]
    assert (record(result).timing, said(result)) == ("None", [])


@pytest.mark.parametrize(
    ("given", "origin", "first"),
    [
        pytest.param(["lyrics", "subtitles-en", "tagged.flac"], ("Input", "lyrics"), "given", id="what the user gave"),
        pytest.param(["subtitles-en", "tagged.flac"], ("Subtitles", "subtitles-en"), "found", id="what Download found"),
        pytest.param(["tagged.flac"], ("Tags", "lyrics"), "Here be", id="comments of FLAC"),
        pytest.param(["tagged.m4a"], ("Tags", "lyrics"), "Here be", id="tags of MP4"),
    ],
)
def test_the_first_place_that_has_words_is_taken(
    bench: Bench, songs: Path, tmp_path: Path, given: list[str], origin: tuple[str, str], first: str
) -> None:
    inputs = [TaskInput("source", path=songs / name) for name in given if "." in name]
    contents = {"lyrics": "given", "subtitles-en": "00:01.000 --> 00:02.000\nfound"}
    inputs += [text(tmp_path, name, contents[name]) for name in given if name in contents]
    found = record(bench.run_on(Task.LYRICS, inputs))
    assert (found.origin.place, found.origin.input) == origin
    assert found.lines[0].text == first


def test_of_several_subtitles_those_in_the_language_come_first(bench: Bench, tmp_path: Path) -> None:
    inputs = [
        text(tmp_path, "subtitles-de", "00:01.000 --> 00:02.000\nHallo", language="de"),
        text(tmp_path, "subtitles-pt-br", "00:01.000 --> 00:02.000\nOi", language="pt-BR"),
    ]
    assert record(bench.run_on(Task.LYRICS, inputs, language="pt")).lines[0].text == "Oi"
    assert record(bench.run_on(Task.LYRICS, inputs[::-1])).lines[0].text == "Hallo"


def test_what_was_found_and_cannot_be_used_is_passed_over(bench: Bench, songs: Path, tmp_path: Path) -> None:
    inputs = [
        text(tmp_path, "subtitles-en", "<tt xmlns='x'>la</tt>"),
        text(tmp_path, "subtitles-fr", "WEBVTT\n\n00:01.000 --> 00:02.000\n♪\n"),
        TaskInput("source", path=songs / "tagged.flac"),
    ]
    result = bench.run_on(Task.LYRICS, inputs)
    assert record(result).origin.place == "Tags"
    refused, empty, *_ = said(result)
    assert refused == (
        "The input subtitles-en cannot be used: The lyrics are TTML. Save them as plain text, LRC, SRT, WebVTT or ASS."
    )
    assert empty == "The input subtitles-fr has no words."


def test_lyrics_of_the_user_that_cannot_be_used_fail_the_phase(bench: Bench, songs: Path, tmp_path: Path) -> None:
    inputs = [text(tmp_path, "lyrics", "la\n" * 300_000), TaskInput("source", path=songs / "tagged.flac")]
    with pytest.raises(PhaseError, match="more than 524,288 bytes") as failed:
        bench.run_on(Task.LYRICS, inputs)
    assert (failed.value.exit_code, failed.value.reason) == (ExitCode.USAGE, Reason.INVALID_SPEC)


def test_a_format_that_the_lyrics_do_not_have_fails_the_phase(bench: Bench, tmp_path: Path) -> None:
    with pytest.raises(PhaseError, match="The lyrics are no SRT"):
        bench.run_on(Task.LYRICS, [text(tmp_path, "lyrics", "la")], format="SRT")


@pytest.mark.parametrize(
    ("words", "warning"),
    [
        pytest.param(None, NOTHING_FOUND, id="nobody knows any words"),
        pytest.param("[Instrumental]", "There are no words in lyrics.", id="the user says that there are none"),
    ],
)
def test_an_instrumental_is_no_failure(
    bench: Bench, songs: Path, tmp_path: Path, words: str | None, warning: str
) -> None:
    inputs = [TaskInput("source", path=songs / "bare.flac")]
    inputs += [text(tmp_path, "lyrics", words)] if words else []
    result = bench.run_on(Task.LYRICS, inputs)
    assert [output.name for output in result.outputs] == ["lyrics"]
    assert record(result).lines == ()
    assert said(result)[-1] == warning


def test_the_length_of_the_audio_goes_before_what_the_source_says(bench: Bench, songs: Path, tmp_path: Path) -> None:
    inputs = [
        TaskInput("source", path=songs / "bare.flac"),
        TaskInput("audio", metadata={"durationSeconds": 1.75}),
        text(tmp_path, "lyrics", LRC),
    ]
    assert [line.text for line in record(bench.run_on(Task.LYRICS, inputs)).lines] == ["Here be"]


def test_all_times_can_be_moved(bench: Bench, tmp_path: Path) -> None:
    found = record(bench.run_on(Task.LYRICS, [text(tmp_path, "lyrics", LRC)], shiftMilliseconds=-500))
    assert [line.start_milliseconds for line in found.lines] == [0, 1_500, 58_500]


def test_addresses_are_not_read(bench: Bench) -> None:
    with pytest.raises(PhaseError, match="input 'source' is an address"):
        bench.run_on(Task.LYRICS, [TaskInput("source", url="https://example.org/song.mp3")])


def test_a_source_that_is_no_media_file_fails_the_phase(bench: Bench, tmp_path: Path) -> None:
    inputs = [text(tmp_path, "source", "no song"), text(tmp_path, "lyrics", LRC)]
    with pytest.raises(PhaseError) as failed:
        bench.run_on(Task.LYRICS, inputs)
    assert failed.value.reason is Reason.NOT_MEDIA


def test_the_record_is_readable_json(bench: Bench, tmp_path: Path) -> None:
    result = bench.run_on(Task.LYRICS, [text(tmp_path, "lyrics", "[00:01.00]שלום 你好")])
    wire = json.loads(result.outputs[0].path.read_text(encoding="utf-8"))
    assert wire["direction"] == "RightToLeft"
    assert wire["lines"][0]["words"][0] == {"text": "שלום", "joined": False, "derived": False}
