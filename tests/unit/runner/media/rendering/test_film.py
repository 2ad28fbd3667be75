from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from audiojob_runner.media.ffmpeg import FfmpegError
from audiojob_runner.media.probe import MediaInfo
from audiojob_runner.media.rendering.backdrop import Frame, LoopRequest, loop_command
from audiojob_runner.media.rendering.film import Background, FilmRequest, film_command, film_graph
from audiojob_runner.media.rendering.mix import MixRequest, mix_command

REQUEST = FilmRequest(
    folder=Path("/scratch/it's; a [folder]"),
    target=Path("/scratch/video.mp4"),
    container="mp4",
    width=640,
    height=360,
    fps=25,
    frames=50,
    sound=Path("/scratch/sound.wav"),
    gain_decibels=-3.5,
    background=Background("#102030"),
)
INFO = MediaInfo("flac", "flac", 0, 44_100, 2, 4.0, True, False)


def test_no_path_and_no_text_is_in_the_filters() -> None:
    assert film_graph(REQUEST) == (
        "color=c=0x102030:s=640x360:r=25,format=yuv420p,trim=end_frame=50,ass=f=words.ass[film];"
        "[0:0]volume=-3.500dB:precision=double[sound]"
    )


def test_a_picture_is_decoded_once() -> None:
    request = replace(REQUEST, background=Background(picture=Path("/scratch/background.png")))
    command = film_command(request, Path("/scratch/tags"))
    assert "loop=-1:1:0,fps=25,setpts=N/25/TB" in film_graph(request)
    assert "-loop" not in command
    assert "-stream_loop" not in command


def test_each_input_is_read_by_one_demuxer() -> None:
    request = replace(REQUEST, background=Background(loop=Path("/scratch/background.mkv")))
    command = film_command(request, Path("/scratch/tags"))
    allowed = [command[at + 1] for at, option in enumerate(command) if option == "-format_whitelist"]
    assert allowed == ["wav", "ffmetadata", "matroska"]
    assert command.count("-i") == 3
    assert command[command.index("-stream_loop") + 1] == "-1"


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"container": "mkv"}, id="a container"),
        pytest.param({"effort": "slow;"}, id="an effort"),
        pytest.param({"background": Background("red,ass=f=/etc/passwd")}, id="a colour"),
    ],
)
def test_what_is_on_no_list_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(FfmpegError):
        film_command(replace(REQUEST, **change), Path("/scratch/tags"))


def test_a_mix_is_as_long_as_its_first_track() -> None:
    guide = (Path("/in/vocals"), replace(INFO, channels=1), -12.0)
    command = mix_command(MixRequest(Path("/in/a"), INFO, Path("/out.wav"), 44_100, 60, guide))
    graph = command[command.index("-filter_complex") + 1]
    assert "amix=inputs=2:duration=first:normalize=0" in graph
    assert "volume=-18.000dB" in graph, "12 dB below, and the room for both"


def test_only_listed_files_are_mixed_or_looped() -> None:
    with pytest.raises(FfmpegError):
        mix_command(MixRequest(Path("/in/a"), replace(INFO, demuxer="hls"), Path("/out.wav"), 44_100, 60))
    with pytest.raises(FfmpegError):
        loop_command(LoopRequest(Path("/in/a"), Path("/o"), "mov", 0, "gif", Frame(640, 360, 25), 50))
