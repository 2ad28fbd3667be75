"""What another program, ffmpeg, sees and hears of the graphics and of the zip."""

from __future__ import annotations

import subprocess
import threading
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
from tests.unit.runner.cdg.machine import HEIGHT, WIDTH, Machine, line

from audiojob_runner.cdg import stream as stream_module
from audiojob_runner.cdg.bitmap import Mask
from audiojob_runner.cdg.make import DELAY_MILLISECONDS, KaraokeZip, write_zip
from audiojob_runner.cdg.raster import Raster
from audiojob_runner.cdg.song import About, graphics_of
from audiojob_runner.cdg.stream import PALETTE, TITLE_COLOURS, after, before
from audiojob_runner.errors import PhaseError
from audiojob_runner.karaoke.timed import SungLine
from audiojob_runner.media.ffmpeg import FfmpegError
from audiojob_runner.typeset.fonts import Fonts
from audiojob_types.contract import ExitCode

SONG = ["Over the hills and far away", "gypsy jugglers quickly", "Ärger für große Füße", "and the rest of it"]
LINES = [line(text, 7_000 + 3_000 * n, 10_000 + 3_000 * n) for n, text in enumerate(SONG)]
DECOYS = ["over", "hill", "way", "if", "juggler", "Arger", "rost", "til", "off"]


@pytest.fixture(scope="module")
def fonts() -> Fonts:
    return Fonts()


@pytest.fixture(scope="module")
def stream(fonts: Fonts) -> bytes:
    return b"".join(graphics_of(LINES, About(22_000, "A Song", "Somebody"), Raster(fonts).draw).packets())


def decoded(stream: bytes, times: Sequence[float], folder: Path) -> list[np.ndarray]:
    """The screen at those times, as ffmpeg decodes it: it makes a picture of each packet that is not empty."""
    file = folder / "song.cdg"
    file.write_bytes(stream)
    shown = [stream[: 24 * round(at * 0.3) : 24].count(9) - 1 for at in times]
    picked = "+".join(f"eq(n,{number})" for number in shown)
    command = ["ffmpeg", "-v", "error", "-nostdin", "-f", "cdg", "-i", str(file), "-vf", f"select='{picked}'"]
    command += ["-fps_mode", "passthrough", "-pix_fmt", "rgb24", "-f", "rawvideo", "-"]
    raw = subprocess.run(command, check=True, capture_output=True, timeout=120).stdout
    return list(np.frombuffer(raw, np.uint8).reshape(len(times), HEIGHT, WIDTH, 3))


def colours(*numbers: int) -> list[list[int]]:
    return [[17 * part for part in PALETTE[number]] for number in numbers]


def words_of(screen: np.ndarray, slot: int) -> Iterator[np.ndarray]:
    """The words of a row of text, put together from its tiles, each as a picture cut at its edges."""
    tiles = [
        [screen[12 * row : 12 * (row + 1), 6 * column : 6 * (column + 1)] for column in range(1, 49)]
        for row in range(1 + 4 * slot, 4 + 4 * slot)
    ]
    pixels = np.concatenate([np.concatenate(row, axis=1) for row in tiles], axis=0)
    seen = (pixels != np.array(colours(0)[0])).any(axis=2)
    used = np.flatnonzero(seen.any(axis=0))
    for word in np.split(used, np.flatnonzero(np.diff(used) > 5) + 1):
        if word.size:
            yield seen[:, word[0] : word[-1] + 1]


def picture_of(mask: Mask, width: int) -> bytes:
    pixels = np.array([[line >> width - 1 - x & 1 for x in range(width)] for line in mask], bool)
    used = np.flatnonzero(pixels.any(axis=0))
    return pixels[:, used[0] : used[-1] + 1].tobytes()


def test_ffmpeg_sees_what_the_packets_say_at_the_middle_of_each_word(stream: bytes, tmp_path: Path) -> None:
    machine = Machine(stream)
    middles = [(word.start + word.end) / 2 for sung in LINES for word in sung.words]
    for middle, screen in zip(middles, decoded(stream, middles, tmp_path), strict=True):
        expected = np.array(colours(*range(16)), np.uint8)[np.array(machine.play(middle).screen)]
        assert (screen != expected).any(axis=2).sum() == 0, middle


def test_the_words_are_read_back_from_the_pixels(stream: bytes, fonts: Fonts, tmp_path: Path) -> None:
    draw = Raster(fonts).draw
    known = dict[bytes, str]()
    for text in {*" ".join([*SONG, "A Song", "Somebody"]).split(), *DECOYS}:
        glyphs = draw([text], False)
        known[picture_of(glyphs.parts[0], glyphs.width)] = text

    def read(screen: np.ndarray) -> list[str]:
        rows = (" ".join(known.get(word.tobytes(), "?") for word in words_of(screen, slot)) for slot in range(4))
        return [row for row in rows if row]

    title, *song = decoded(stream, (2_000, 6_900, 12_000, 18_000), tmp_path)
    assert read(title) == ["A Song", "Somebody"]
    assert [" ".join(read(screen)) for screen in song] == [" ".join(SONG)] * 3


def test_colours_tell_what_is_sung(stream: bytes, tmp_path: Path) -> None:
    (screen,) = decoded(stream, [8_750], tmp_path)  # the middle of "and", the fourth word of six
    sung, waiting = (
        np.flatnonzero((screen[12:48] == colours(number)[0]).all(axis=2).any(axis=0))
        for number in (after(0), before(0))
    )
    assert sung.max() < waiting.min()
    assert sung.size > 60
    assert waiting.size > 60


@pytest.mark.parametrize(
    ("text", "to_left"),
    [
        ("Приве́т тебе", False), ("καλημέρα κόσμε", False),
        ("שלום עולם", True), ("مرحبا بالعالم", True),
        ("हिन्दी क्षत्रिय", False), ("สวัสดี ชื่อ", False),
        ("さくら 山", False), ("사랑 노래", False),
    ],
)  # fmt: skip
def test_each_word_of_each_script_has_pixels_of_its_own(fonts: Fonts, text: str, to_left: bool) -> None:
    if fonts.lacks(text.replace(" ", "")):
        pytest.skip("no font here has these letters")
    graphics = graphics_of([line(text, 8_000, 10_000, to_left=to_left)], About(15_000), Raster(fonts).draw)
    machine = Machine(b"".join(graphics.packets()))
    counts = list[tuple[int, int]]()
    for at in (7_900, 9_000, 10_000):
        flat = [colour for pixels in machine.play(at).screen for colour in pixels]
        counts.append((flat.count(before(0)), flat.count(after(0))))
    (whole, nothing), (waiting, sung), (rest, all_of_it) = counts
    assert nothing == rest == 0
    assert whole == all_of_it == waiting + sung > 100
    assert 0 < sung < whole


def test_what_no_font_has_is_left_out(tmp_path: Path) -> None:
    raster = Raster(Fonts(tmp_path))
    assert raster.draw(["word"], False).width == 0
    graphics = graphics_of(LINES, About(20_000, "title"), raster.draw)
    assert sum(map(len, graphics.packets())) == 24 * 6_000
    assert graphics.rows == 0


def sound(folder: Path, click_at: float, seconds: float) -> Path:
    """Silence with one click."""
    path = folder / "song.wav"
    shape = f"aevalsrc='0.9*between(t,{click_at},{click_at}+0.001)':s=44100:d={seconds}"
    subprocess.run(["ffmpeg", "-v", "error", "-nostdin", "-f", "lavfi", "-i", shape, str(path)], check=True, timeout=60)
    return path


def make(fonts: Fonts, lines: Sequence[SungLine], source: Path, target: Path, seconds: float) -> list[str]:
    request = KaraokeZip(lines, source, "pcm_s16le", 1_000 * seconds, target, 'Go/"On"?', "Some: Body")
    return write_zip(request, fonts, lambda position: None, lambda share: None, threading.Event())


def test_the_zip_plays_and_its_words_are_in_time_with_its_sound(fonts: Fonts, tmp_path: Path) -> None:
    source, target = sound(tmp_path, 5.0, 8.0), tmp_path / "song.zip"
    assert make(fonts, [line("la", 5_000, 5_100)], source, target, 8.0) == []
    with zipfile.ZipFile(target) as archive:
        assert {entry.compress_type for entry in archive.infolist()} == {zipfile.ZIP_STORED}
        assert archive.testzip() is None
        names = archive.namelist()
        archive.extractall(tmp_path)
    assert names == ["Some- Body - Go--On.cdg", "Some- Body - Go--On.mp3"]
    graphics, mp3 = (tmp_path / name for name in names)
    play = ["ffmpeg", "-v", "error", "-nostdin", "-i", f"file:{mp3}", "-ac", "1", "-f", "s16le", "-"]
    played = np.frombuffer(subprocess.run(play, check=True, capture_output=True, timeout=60).stdout, np.int16)
    click = int(np.abs(played.astype(int)).argmax()) / 44_100
    assert click == pytest.approx(5.0 + DELAY_MILLISECONDS / 1_000, abs=0.001)
    assert graphics.stat().st_size == 24 * round(0.3 * (8_000 + DELAY_MILLISECONDS))
    machine = Machine(graphics.read_bytes())
    assert not any(after(0) in pixels for pixels in machine.play(1_000 * click - 4).screen)
    assert any(after(0) in pixels for pixels in machine.play(1_000 * click + 25).screen)
    again = tmp_path / "again.zip"
    make(fonts, [line("la", 5_000, 5_100)], source, again, 8.0)
    assert again.read_bytes() == target.read_bytes()
    assert sorted(path.name for path in tmp_path.glob("*.zip.*")) == []


def test_an_instrumental_has_its_title(fonts: Fonts, tmp_path: Path) -> None:
    target = tmp_path / "song.zip"
    assert make(fonts, [], sound(tmp_path, 1.0, 2.0), target, 2.0) == []
    with zipfile.ZipFile(target) as archive:
        machine = Machine(archive.read(archive.namelist()[0])).play(2_000)
    assert any(TITLE_COLOURS[0] in pixels for pixels in machine.screen)


def test_a_failure_leaves_no_file(fonts: Fonts, tmp_path: Path) -> None:
    broken = tmp_path / "song.wav"
    broken.write_bytes(bytes(100))
    with pytest.raises(FfmpegError):
        make(fonts, LINES, broken, tmp_path / "song.zip", 8.0)
    assert [path.name for path in tmp_path.iterdir()] == ["song.wav"]


def test_graphics_tell_how_far_they_are_and_can_be_stopped(
    fonts: Fonts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream_module, "_CHUNK_PACKETS", 300)
    target = tmp_path / "song.zip"
    lines = [line("la", 100 * n, 100 * n + 90) for n in range(60)]
    request = KaraokeZip(lines, sound(tmp_path, 0.5, 8.0), "pcm_s16le", 8_000, target)
    shares = list[float]()
    write_zip(request, fonts, lambda position: None, shares.append, threading.Event())
    assert shares == sorted(shares)
    assert len(shares) > len(lines) + 1, "of the lines and of the packets"
    assert shares[0] == 0
    assert shares[-1] == pytest.approx(1)

    for last in (0.5, 0.9):  # while letters are drawn, and while packets are written
        seen = list[float]()
        stopping = threading.Event()

        def stop(
            share: float, seen: list[float] = seen, stopping: threading.Event = stopping, last: float = last
        ) -> None:
            seen.append(share)
            if share >= last:
                stopping.set()

        with pytest.raises(PhaseError) as caught:
            write_zip(request, fonts, lambda position: None, stop, stopping)
        assert caught.value.exit_code == ExitCode.STOPPED
        assert seen[-1] < 1
        assert not target.exists()
