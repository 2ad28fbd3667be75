"""Render: what is seen and heard at which time, looked at in the film itself."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from tests.integration.runner.tasks.conftest import Bench
from tests.integration.runner.tasks.render.films import (
    SECOND_SUNG,
    SUNG,
    Picture,
    Word,
    film_of,
    lengths,
    like,
    line,
    pictures,
    record,
    render,
    tone,
    words,
)

from audiojob_runner.task import TaskInput

FPS = 30
WHITE = (255, 255, 255)


def test_each_word_fills_in_its_own_time(bench: Bench, tmp_path: Path) -> None:
    """Half of it at its middle; all of it afterwards; nothing before. Title, countdown, two voices and the end too."""
    first, second = words("here be dragons", 7_000, 700), words("far away", 9_500)
    lyrics = record(line(first, "Ann"), line(second, "Bob"), title="Song", artist="Band")
    result = render(bench, lyrics, tone(tmp_path, 15.01), titleSeconds=2)
    seen = pictures(film_of(result))

    def sung(milliseconds: int, color: tuple[int, int, int] = SUNG) -> int:
        below_the_countdown = seen[milliseconds * FPS // 1_000, 58:]
        return int(like(below_the_countdown, color).sum())

    for group, color in ((first, SUNG), (second, SECOND_SUNG)):
        before = 0
        for word in group:
            middle, after = sung((word.start + word.end) // 2, color), sung(word.end + 40, color)
            assert before < middle < after, word
            assert 0.2 < (middle - before) / (after - before) < 0.8, word
            assert sung(word.start - 40, color) <= before + 2, word
            before = after
    # The title, the words before anybody sings, 3, 2, 1 and the end.
    assert like(seen[1 * FPS], WHITE).sum() > 300
    assert like(seen[6_700 * FPS // 1_000], WHITE).sum() > 300
    counts = [int(like(seen[at * FPS // 1_000], SUNG).sum()) for at in (3_900, 4_500, 5_500, 6_500, 7_010)]
    assert counts[0] == 0
    assert min(counts[1:4]) > 20
    assert counts[4] < 10
    assert like(seen[14 * FPS], WHITE).sum() > 300
    assert like(seen[11_500 * FPS // 1_000], WHITE).sum() == 0, "nothing between the last words and the end"
    # As long as the song to one picture; percent by time.
    assert lengths(film_of(result)) == {"frames": 451, "sound": pytest.approx(15.01, abs=1 / FPS)}
    about = result.outputs[0].metadata
    assert (about["durationMilliseconds"], about["width"], about["height"]) == (15_010, 426, 240)
    percents = [percent for percent, _ in bench.reports]
    assert percents == sorted(percents)
    assert percents[-1] == 100
    assert any(0 < percent < 100 for percent in percents)
    assert bench.work.joinpath("thumbnail.jpg").read_bytes()[:2] == b"\xff\xd8"
    assert sorted(path.name for path in bench.work.iterdir()) == ["thumbnail.jpg", "video.mp4"]
    assert film_of(result).read_bytes().index(b"moov") < film_of(result).read_bytes().index(b"mdat")


SONGS = {
    "Latin": "Grüße où ñandú", "Greek": "καλημέρα κόσμε", "Cyrillic": "привет мир", "Hebrew": "שלום עולם",
    "Arabic": "مرحبا بالعالم", "Hindi": "नमस्ते दुनिया", "Thai": "สวัสดี ชาวโลก", "Chinese": "你好 世界",
    "Japanese": "こんにちは 世界", "Korean": "안녕하세요 세계",
}  # fmt: skip


def test_ten_scripts_have_letters_and_those_from_the_right_change_by_words(bench: Bench, tmp_path: Path) -> None:
    """No font is missing, and none of the words looks as another does, as boxes would."""
    lines, at = [], 2_000
    for text in SONGS.values():
        lines.append(line(words(text, at, 400)))
        at += 400 * len(text.split())
    result = render(bench, record(*lines), tone(tmp_path, at / 1_000 + 1), rows=2, frameRate=10)
    assert "warnings" not in result.metadata
    seen = pictures(film_of(result))
    shapes, at = set(), 2_000
    for number, (script, text) in enumerate(SONGS.items()):
        halves = seen[:, :120] if number % 2 == 0 else seen[:, 120:]
        count = len(text.split())

        def row(milliseconds: int, half: Picture = halves, begin: int = at) -> npt.NDArray[np.bool_]:
            return like(half[(begin + milliseconds) // 100], SUNG)

        whole = row(400 * count - 50)
        assert whole.any(), script
        shapes.add(int(whole.sum()))
        if script in ("Hebrew", "Arabic"):
            filled = [int(row(each).sum()) for each in (100, 300, 500)]
            assert filled[0] == pytest.approx(filled[1], rel=0.1), script
            assert filled[2] > filled[0] * 1.3, script
            assert np.flatnonzero(row(200).any(axis=0)).min() > 426 / 2 - 30, "the first word is the one at the right"
        at += 400 * count
    assert len(shapes) == len(SONGS)


def make(folder: Path, name: str, *arguments: str) -> Path:
    command = ["ffmpeg", "-v", "error", "-nostdin", "-y", "-f", "lavfi", "-i", *arguments, name]
    subprocess.run(command, cwd=folder, check=True, timeout=60)
    return folder / name


def mean(picture: Any) -> list[int]:
    return [round(float(each)) for each in picture.mean(axis=(0, 1))]


def test_a_picture_fills_the_frame(bench: Bench, tmp_path: Path) -> None:
    """Left out is what sticks out: here red, above and below."""
    tall = "color=red:size=400x900,drawbox=y=300:h=300:color=blue:t=fill"
    picture = make(tmp_path, "tall.png", tall, "-frames:v", "1")
    given = TaskInput("background", path=picture)
    result = render(bench, record(line(words("la", 500))), tone(tmp_path, 2.0), given, frameRate=10)
    seen = pictures(film_of(result))
    assert len(seen) == 20
    for each in (seen[0], seen[-1]):
        red, green, blue = mean(each)
        assert red < 40
        assert green < 40
        assert blue > 180


def test_a_film_is_repeated_and_a_broken_end_of_it_left_out(bench: Bench, tmp_path: Path) -> None:
    colors = "color=red:size=320x180:rate=10:duration=1[a];color=blue:size=320x180:rate=10:duration=1[b];[a][b]concat"
    # A thousandth of what it says is missing is not heard of; half of it is.
    film = make(tmp_path, "loop.mkv", colors, "-c:v", "libx264", "-g", "1")
    given = TaskInput("background", path=film)
    result = render(bench, record(line(words("la", 500))), tone(tmp_path, 5.0), given, frameRate=10)
    seen = pictures(film_of(result))
    reds = ["red" if mean(each)[0] > 128 else "blue" for each in seen]
    assert reds == [*["red"] * 10, *["blue"] * 10] * 2 + ["red"] * 10
    assert "warnings" not in result.metadata

    film.write_bytes(film.read_bytes()[: film.stat().st_size * 6 // 10])
    result = render(bench, record(line(words("la", 500))), tone(tmp_path, 3.0), given, frameRate=10)
    assert len(pictures(film_of(result))) == 30
    [warning] = result.metadata["warnings"]
    assert warning.startswith("The input background ends after ")


def test_webm_with_a_guiding_voice_as_loud_as_wanted(bench: Bench, tmp_path: Path) -> None:
    vocals = TaskInput("vocals", path=tone(tmp_path, 9.0, "-af", "volume=0.1", name="vocals.flac"))
    result = render(
        bench, record(line(words("la", 500))), tone(tmp_path, 4.0, name="song.mp3"), vocals, format="webm",
        loudnessLufs=-20, guideVocalDecibels=-6, thumbnailFormat="png", frameRate=10,
        thumbnailMilliseconds=3_999,
    )  # fmt: skip
    film = film_of(result)
    found = lengths(film)
    assert found["frames"] == pytest.approx(found["sound"] * 10, abs=1.01)
    assert found["sound"] == pytest.approx(4.0, abs=0.06), "as long as the accompaniment, and not as the voice"
    meter = ["ffmpeg", "-nostdin", "-i", str(film), "-map", "0:a", "-af", "ebur128", "-f", "null", "-"]
    told = subprocess.run(meter, check=True, capture_output=True, text=True, timeout=60).stderr
    assert "I:         -20.0 LUFS" in told.rpartition("Summary")[2]
    assert bench.work.joinpath("thumbnail.png").read_bytes()[1:4] == b"PNG"


def test_an_instrumental_shows_its_title(bench: Bench, tmp_path: Path) -> None:
    result = render(bench, record(), tone(tmp_path, 1.5), frameRate=10)
    assert result.metadata["warnings"] == ["There are no words in the lyrics: the film shows the title alone."]
    assert like(pictures(film_of(result))[7], WHITE).sum() > 300


def test_a_word_may_be_longer_than_the_song_and_a_line_longer_than_the_screen(bench: Bench, tmp_path: Path) -> None:
    long = [Word("w" * 400, 500, 90_000)]
    result = render(bench, record(line(long)), tone(tmp_path, 2.0), frameRate=10)
    assert len(pictures(film_of(result))) == 20
