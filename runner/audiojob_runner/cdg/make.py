"""The zip of a song from its words and its sound."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from audiojob_runner.cdg.archive import base_name, write_archive
from audiojob_runner.cdg.packets import NOTHING, packet_at
from audiojob_runner.cdg.raster import Raster
from audiojob_runner.cdg.song import About, graphics_of
from audiojob_runner.errors import stopped
from audiojob_runner.karaoke.timed import SungLine
from audiojob_runner.media.ffmpeg_encode import EncodeRequest, EncodeStream, StreamKind, encode
from audiojob_runner.typeset.fonts import Fonts

SAMPLE_RATE: Final = 44_100
BIT_RATE: Final = 192_000
# Of an MP3 that does not say how much of its start is no sound every decoder plays all: what LAME puts before it (576
# samples) and what each decoder needs to begin (529). The words wait for so long.
DELAY_SAMPLES: Final = 576 + 529
DELAY_MILLISECONDS: Final = 1_000 * DELAY_SAMPLES / SAMPLE_RATE
# Letters take most of the time, putting them into packets the rest.
_DRAWING_SHARE: Final = 0.7
# Of 24 hours of MP3, and more than any phase is given.
_MAX_BYTES: Final = 4 * 1024**3


@dataclass(frozen=True, slots=True)
class KaraokeZip:
    """What is to be made: ``target`` from the words and a WAV of ours of ``codec`` and ``milliseconds``.

    ``gain_decibels`` changes its level. Title and artist are shown, and name the files.
    """

    lines: Sequence[SungLine]
    sound: Path
    codec: str
    milliseconds: float
    target: Path
    title: str = ""
    artist: str = ""
    gain_decibels: float = 0.0


def write_zip(
    request: KaraokeZip,
    fonts: Fonts,
    position: Callable[[float], None],
    drawn: Callable[[float], None],
    cancelled: threading.Event,
) -> list[str]:
    """Write the zip; sentences on what could not be shown. ``position`` takes seconds of sound, ``drawn`` the share of
    the graphics that is done.

    Raises :class:`audiojob_runner.media.ffmpeg.FfmpegError`, :class:`audiojob_runner.errors.PhaseError` when it is
    cancelled, and :class:`OSError`; then it leaves no file.
    """

    def reached(share: float) -> None:
        if cancelled.is_set():
            raise stopped()
        drawn(share)

    song = request.target.with_name(f"{request.target.name}.mp3")
    about = About(request.milliseconds, request.title, request.artist, DELAY_MILLISECONDS)
    try:
        encode(_as_mp3(request, song), position, cancelled)
        draw = Raster(fonts).draw
        graphics = graphics_of(request.lines, about, draw, lambda share: reached(_DRAWING_SHARE * share))
        whole = max(1, packet_at(about.length + about.delay)) * len(NOTHING)
        pieces = _counted(
            graphics.packets(), lambda count: reached(_DRAWING_SHARE + (1 - _DRAWING_SHARE) * count / whole)
        )
        write_archive(request.target, base_name(request.title, request.artist), pieces, song)
    except BaseException:
        request.target.unlink(missing_ok=True)
        raise
    finally:
        song.unlink(missing_ok=True)
    return graphics.warnings()


def _counted(pieces: Iterable[bytes], told: Callable[[int], None]) -> Iterator[bytes]:
    """The pieces; after each, how many bytes there were."""
    count = 0
    for piece in pieces:
        yield piece
        count += len(piece)
        told(count)


def _as_mp3(request: KaraokeZip, target: Path) -> EncodeRequest:
    stream = EncodeStream(
        path=request.sound,
        demuxer="wav",
        index=0,
        kind=StreamKind.AUDIO,
        source_codec=request.codec,
        codec="mp3",
        bit_rate=BIT_RATE,
        sample_rate=SAMPLE_RATE,
        channels=2,
        source_channels=2,
        gain_decibels=request.gain_decibels,
    )
    tags = {name: value for name, value in (("title", request.title), ("artist", request.artist)) if value}
    seconds = int(request.milliseconds / 1_000) + 1
    return EncodeRequest((stream,), target, "mp3", seconds, _MAX_BYTES, tags, gapless=False)
