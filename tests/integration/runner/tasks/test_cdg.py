"""Render with cdg: the zip beside the film."""

from __future__ import annotations

import json
import subprocess
import zipfile
from pathlib import Path

from tests.integration.runner.tasks.conftest import Bench
from tests.unit.runner.cdg.machine import Machine

from audiojob_runner.cdg.stream import after
from audiojob_runner.task import TaskInput
from audiojob_types.documents.lyrics import Line, Lyrics, Origin, Place, Timing, Word
from audiojob_types.tasks import Task


def test_the_zip_has_the_names_the_words_and_the_sound_of_the_film(bench: Bench, tmp_path: Path) -> None:
    record = Lyrics(
        timing=Timing.WORDS,
        origin=Origin(place=Place.INPUT),
        title="Song",
        artist="Somebody",
        lines=(Line(words=(Word(text="la"), Word(text="la")), start_milliseconds=3_000, end_milliseconds=4_000),),
    )
    lyrics, sound = tmp_path / "lyrics.json", tmp_path / "sound.flac"
    lyrics.write_text(json.dumps(record.to_wire()), encoding="utf-8")
    make = ["ffmpeg", "-v", "error", "-nostdin", "-f", "lavfi", "-i", "sine=d=5", str(sound)]
    subprocess.run(make, check=True, timeout=60)
    result = bench.run_on(
        Task.RENDER,
        [TaskInput("lyrics", path=lyrics), TaskInput("accompaniment", path=sound)],
        videoSize="Video240p",
        effort="Low",
        frameRate=10,
        cdg=True,
    )
    output = next(each for each in result.outputs if each.name == "cdg")
    assert (output.path.name, output.media_type) == ("karaoke.zip", "application/zip")
    with zipfile.ZipFile(output.path) as archive:
        assert archive.namelist() == ["Somebody - Song.cdg", "Somebody - Song.mp3"]
        machine = Machine(archive.read("Somebody - Song.cdg"))
    assert len(machine.stream) == 24 * 1_508  # five seconds, and what the MP3 begins late
    assert not any(after(0) in pixels for pixels in machine.play(3_020).screen)
    assert any(after(0) in pixels for pixels in machine.play(3_600).screen)
    percents = [percent for percent, _ in bench.reports]
    assert percents == sorted(percents)
    assert sorted(path.name for path in bench.work.iterdir()) == ["karaoke.zip", "thumbnail.jpg", "video.mp4"]
