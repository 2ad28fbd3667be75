"""The commands of scenes: nothing of a person's is in a filter, and all pieces are coded alike."""

from __future__ import annotations

from pathlib import Path

import pytest

from audiojob_runner.compose.commands import (
    Clip,
    Film,
    Pieces,
    Plate,
    cover_command,
    film_command,
    shot_command,
)
from audiojob_runner.compose.counter import PictureCounter
from audiojob_runner.compose.frame import Frame
from audiojob_runner.compose.pictures import Picture
from audiojob_runner.compose.plan import Shot
from audiojob_types.documents.scenes import Fit, Overlay, Scene

FRAME = Frame(320, 180, 25)
PIECES = Pieces(Path("/w/scene.mp4"), Path("/w/covering.mp4"), Path("/w/held.mp4"), Path("/w/decoded.txt"))
NASTY = "'],movie=/etc/passwd;{\\p1}"


def shot(**fields: int) -> Shot:
    scene = Scene(picture="p", duration_milliseconds=2_000, title=NASTY, texts=(Overlay(content=NASTY),), fit=Fit.COVER)
    return Shot(1, scene, 0, 50, **fields)


SHOWN: list[Picture | Clip | Plate] = [
    Picture(Path("/w/p"), "png_pipe", "png", "transpose=clock"),
    Clip(Path("/w/c"), "mov", 2, "h264", 1.5),
    Plate("102030"),
]


@pytest.mark.parametrize("shown", SHOWN, ids=["picture", "clip", "colour"])
def test_one_guarded_input_and_nothing_of_a_person(shown: Picture | Clip | Plate) -> None:
    command = shot_command(shot(), shown, FRAME, PIECES, "texts-001.ass", 2)
    assert command.count("-i") == 1
    assert command.index("-format_whitelist") < command.index("-i")
    assert not any("movie" in word or "passwd" in word for word in command)
    assert command[-1] == "file:/w/scene.mp4"
    graph = command[command.index("-filter_complex") + 1]
    assert "ass=filename=texts-001.ass" in graph
    assert ("loop=" in graph) == (not isinstance(shown, Clip))
    assert "trim=end_frame=50" in graph


def test_a_scene_that_covers_and_is_covered_is_made_in_three_pieces() -> None:
    command = shot_command(shot(covering=12, held=10), SHOWN[0], FRAME, PIECES, None, 2)
    graph = command[command.index("-filter_complex") + 1]
    assert "trim=end_frame=60,split=3[s0][s1][s2]" in graph
    cuts = [f"trim=start_frame={start}:end_frame={end}" for start, end in ((12, 50), (0, 12), (50, 60))]
    assert all(cut in graph for cut in cuts)
    assert [word for word in command if word.startswith("file:/w/")][1:] == [
        "file:/w/scene.mp4", "file:/w/covering.mp4", "file:/w/held.mp4",
    ]  # fmt: skip


def test_all_pieces_of_the_film_are_coded_alike() -> None:
    def coding(command: list[str]) -> list[str]:
        start = command.index("-c:v")
        return command[start : command.index("mp4", start)]

    commands = [shot_command(shot(), shown, FRAME, PIECES, None, 2) for shown in SHOWN]
    commands.append(cover_command(Path("/w/a"), Path("/w/b"), 12, Path("/w/over"), FRAME, 2))
    assert len({tuple(coding(command)) for command in commands}) == 1


def test_fades_are_counted_in_pictures() -> None:
    command = shot_command(shot(fade_in=12, fade_out=10), SHOWN[2], FRAME, PIECES, None, 2)
    graph = command[command.index("-filter_complex") + 1]
    assert "fade=t=in:start_frame=0:nb_frames=12,fade=t=out:start_frame=40:nb_frames=10" in graph


@pytest.mark.parametrize("subtitles", [None, Path("/w/film.srt")], ids=["without subtitles", "with subtitles"])
def test_the_film_copies_pictures_and_codes_sound(subtitles: Path | None) -> None:
    film = Film(Path("/w/list"), Path("/w/s.wav"), Path("/w/m"), subtitles, "en", 0.0, Path("/w/video.mp4"))
    command = film_command(film, 2.0, 10**9)
    assert command[command.index("-safe") + 1] == "1"
    assert command[command.index("-c:v") + 1] == "copy"
    assert ("mov_text" in command) == (subtitles is not None)
    assert "+faststart" in command


def test_pictures_are_counted_in_pieces_of_output() -> None:
    seen = list[int]()
    counter = PictureCounter(seen.append)
    assert not counter.feed(b"frame=0\nfps=0\nfra")
    assert not counter.feed(b"me=")
    assert counter.feed(b"12\nframe=12\nprogress=continue\nframe= 50\n")
    assert (seen, counter.count) == ([12, 50], 50)
