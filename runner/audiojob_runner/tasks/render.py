"""Render: the words of a song on a background, over its accompaniment, as a film."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from audiojob_runner.cdg.archive import MEDIA_TYPE
from audiojob_runner.cdg.make import KaraokeZip, write_zip
from audiojob_runner.cpus import usable_cpus
from audiojob_runner.karaoke.behind import Behind
from audiojob_runner.karaoke.film import Film, Look, subtitles
from audiojob_runner.karaoke.soundtrack import SOUND_INPUT, VOCALS_INPUT, Guide, Maker, Soundtrack
from audiojob_runner.karaoke.sources import file_of, invalid, needed, read_record, unwritten
from audiojob_runner.karaoke.timed import SungLine, shown_lines, sung_lines
from audiojob_runner.lyrics.clean import one_row
from audiojob_runner.media import ffmpeg
from audiojob_runner.media.ffmpeg import FfmpegError
from audiojob_runner.media.ffmpeg_still import StillRequest, seconds_of_picture, still
from audiojob_runner.media.rendering.backdrop import Frame
from audiojob_runner.media.rendering.film import SUBTITLES, Background, FilmRequest, write_film
from audiojob_runner.media.rendering.mix import CODEC
from audiojob_runner.task import TaskContext, TaskInput, TaskOutput, TaskResult
from audiojob_runner.typeset.fontconfig import write_fontconfig
from audiojob_runner.typeset.fonts import Fonts
from audiojob_runner.typeset.missing import check_shown
from audiojob_types.base import WireModel
from audiojob_types.documents.lyrics import Lyrics
from audiojob_types.tasks.render import RenderParameters

LYRICS_INPUT, BACKGROUND_INPUT = "lyrics", "background"
SIZES: Final[dict[str, tuple[int, int]]] = {
    "Video2160p": (3_840, 2_160),
    "Video1080p": (1_920, 1_080),
    "Video720p": (1_280, 720),
    "Video480p": (854, 480),
    "Video360p": (640, 360),
    "Video240p": (426, 240),
}
EFFORTS: Final = {"Low": "ultrafast", "Medium": "veryfast", "High": "medium"}
SAMPLE_RATES: Final = {"mp4": 44_100, "webm": 48_000}
NO_WORDS: Final = "There are no words in the lyrics: the film shows the title alone."
# Percent at the end of each part.
_PARTS: Final = {
    "Read": (0.0, 2.0), "Measured": (2.0, 4.0), "Read the background": (4.0, 6.0), "Rendered": (6.0, 95.0),
    "Encoded the sound of the zip": (95.0, 97.0), "Drew the words of the zip": (97.0, 99.0),
}  # fmt: skip
_CODECS: Final = {"mp4": ("mov", "h264"), "webm": ("matroska", "vp9")}
_EXTENSIONS: Final = {"jpeg": "jpg", "png": "png"}
_MAX_THUMBNAIL: Final = 1_280
_MAX_NAME: Final = 300  # letters of what is read: tags may be of any length


def run(inputs: Mapping[str, TaskInput], parameters: WireModel, context: TaskContext) -> TaskResult:
    """Inputs ``lyrics`` and ``accompaniment`` to ``video`` and ``thumbnail``. What is odd is in ``warnings``."""
    assert isinstance(parameters, RenderParameters)
    with TemporaryDirectory(prefix="making-", dir=context.work_dir) as folder:
        return _Rendering(inputs, parameters, context, Path(folder)).run()


@dataclass(frozen=True, slots=True)
class _Written:
    """The words of the film: its subtitles, the fonts that they need, and what the song is called."""

    film: Film
    lines: Sequence[SungLine]
    fonts: Fonts
    names: Mapping[str, str]


class _Rendering:
    """One run: its inputs, and what is known of them. Files on the way are in ``folder``."""

    def __init__(
        self, inputs: Mapping[str, TaskInput], wanted: RenderParameters, context: TaskContext, folder: Path
    ) -> None:
        self._inputs = inputs
        self._wanted = wanted
        self._context = context
        self._folder = folder
        self._warnings: list[str] = []

    def run(self) -> TaskResult:
        context, wanted = self._context, self._wanted
        context.progress(0, "Reading the inputs")
        source = needed(self._inputs, SOUND_INPUT, "Render")
        record = read_record(needed(self._inputs, LYRICS_INPUT, "Render"))
        behind = file_of(self._inputs, BACKGROUND_INPUT, "Render")
        guide = self._guide()
        limit = min(wanted.max_duration_seconds, context.limits.max_duration_seconds or wanted.max_duration_seconds)
        maker = Maker(self._folder, SAMPLE_RATES[wanted.format], limit, self._reporter, context.cancelled)
        sound = maker.make(source, guide)
        self._warnings += sound.warnings(wanted.loudness_lufs)
        self._check_thumbnail(sound.milliseconds)
        written = self._write_words(record, sound.milliseconds)
        background = self._background(behind, sound.frames(wanted.frame_rate))
        request = self._request(sound, written, background)
        thumbnail = context.work_dir / f"thumbnail.{_EXTENSIONS[wanted.thumbnail_format]}"
        try:
            write_film(request, self._reporter("Rendered", sound.seconds), context.cancelled)
            context.progress(_PARTS["Rendered"][1], "Taking the thumbnail")
            still(self._still(request, thumbnail, written.film), context.cancelled)
            zipped = self._zip(request, written, sound) if wanted.cdg else None
        except FfmpegError as error:
            request.target.unlink(missing_ok=True)
            context.log.warning("ffmpeg: %s", error)
            raise unwritten(error) from error
        for warning in self._warnings:
            context.log.warning("%s", warning)
        context.progress(100, "Film written")
        return self._result(request, thumbnail, sound, zipped)

    def _guide(self) -> Guide | None:
        path = file_of(self._inputs, VOCALS_INPUT, "Render")
        level = self._wanted.guide_vocal_decibels
        if level is None:
            return None
        if path is None:
            raise invalid(
                "parameters.render.guideVocalDecibels is set, but the phase has no input vocals.",
                "Leave guideVocalDecibels out, or use a pipeline that separates the vocals.",
            )
        return Guide(path, float(level))

    def _check_thumbnail(self, length: int) -> None:
        wanted = self._wanted.thumbnail_milliseconds
        if wanted is not None and wanted >= length:
            raise invalid(f"parameters.render.thumbnailMilliseconds is {wanted} ms, but the song ends at {length} ms.")

    def _write_words(self, record: Lyrics, length: int) -> _Written:
        lines, warnings = sung_lines(record, length)
        self._warnings += warnings
        names = {name: self._named(record, name) for name in ("title", "artist")}
        end_text = self._wanted.end_text
        end_text = None if end_text is None else one_row(end_text[:_MAX_NAME])
        fonts = Fonts(language=record.language)
        self._warnings += check_shown([*(line.text for line in lines), *names.values(), end_text or ""], fonts)
        lines = shown_lines(lines, fonts.lacks)
        if not lines:
            self._warnings.append(NO_WORDS)
        wanted = self._wanted.model_copy(update={"end_text": end_text})
        look = Look(*SIZES[wanted.video_size], length, names["title"], names["artist"], wanted)
        film = subtitles(lines, look, fonts)
        self._warnings += film.warnings
        (self._folder / SUBTITLES).write_text(film.subtitles, encoding="utf-8")
        return _Written(film, lines, fonts, names)

    def _named(self, record: Lyrics, name: str) -> str:
        """Title or artist: the user's, else that of the lyrics, else that of the sound."""
        found = getattr(self._wanted, name), getattr(record, name), self._inputs[SOUND_INPUT].metadata.get(name)
        return one_row(next((each for each in found if isinstance(each, str)), "")[:_MAX_NAME])

    def _background(self, source: Path | None, frames: int) -> Background:
        wanted = self._wanted
        if source is None:
            return Background(wanted.background_color)
        frame = Frame(*SIZES[wanted.video_size], wanted.frame_rate)
        maker = Behind(self._folder, frame, usable_cpus(), self._context.cancelled)
        report = self._reporter("Read the background", frames / wanted.frame_rate)
        background, warnings = maker.make(source, frames, report)
        self._warnings += warnings
        return background

    def _request(self, sound: Soundtrack, written: _Written, background: Background) -> FilmRequest:
        wanted = self._wanted
        width, height = SIZES[wanted.video_size]
        return FilmRequest(
            folder=self._folder,
            target=self._context.work_dir / f"video.{wanted.format}",
            container=wanted.format,
            width=width,
            height=height,
            fps=wanted.frame_rate,
            frames=sound.frames(wanted.frame_rate),
            sound=sound.path,
            gain_decibels=sound.loudness.gain(wanted.loudness_lufs),
            background=background,
            effort=EFFORTS[wanted.effort],
            threads=usable_cpus(),
            tags={name: text for name, text in written.names.items() if text},
            variables=write_fontconfig(written.fonts.used.values(), self._folder),
        )

    def _still(self, film: FilmRequest, target: Path, shown: Film) -> StillRequest:
        wanted = self._wanted
        demuxer, codec = _CODECS[wanted.format]
        at = shown.shown if wanted.thumbnail_milliseconds is None else wanted.thumbnail_milliseconds
        seconds, form = seconds_of_picture(at, film.fps, film.frames), wanted.thumbnail_format
        return StillRequest(film.target, target, demuxer, 0, codec, form, seconds, _MAX_THUMBNAIL, _MAX_THUMBNAIL)

    def _zip(self, film: FilmRequest, written: _Written, sound: Soundtrack) -> Path:
        """The same for karaoke machines, as loud as the film."""
        request = KaraokeZip(
            lines=written.lines,
            sound=sound.path,
            codec=CODEC,
            milliseconds=sound.seconds * 1_000,
            target=self._context.work_dir / "karaoke.zip",
            title=written.names["title"],
            artist=written.names["artist"],
            gain_decibels=film.gain_decibels,
        )
        heard = self._reporter("Encoded the sound of the zip", sound.seconds)
        verb = "Drew the words of the zip"
        low, high = _PARTS[verb]

        def drawn(share: float) -> None:
            self._context.progress(low + (high - low) * share, f"{verb}: {share:.0%}")

        self._warnings += write_zip(request, written.fonts, heard, drawn, self._context.cancelled)
        return request.target

    def _reporter(self, verb: str, seconds: float | None) -> Callable[[float], None]:
        """Turns ffmpeg's position into percent of a part; without a known length only the position is reported."""
        low, high = _PARTS[verb]

        def report(position: float) -> None:
            reached = min(position, seconds) if seconds else position  # the last one may be a frame beyond
            share = reached / seconds if seconds else 0.0
            of_all = f" of {seconds:.0f} s" if seconds else ""
            self._context.progress(low + (high - low) * share, f"{verb}: {reached:.0f} s{of_all}")

        return report

    def _result(self, request: FilmRequest, thumbnail: Path, sound: Soundtrack, zipped: Path | None) -> TaskResult:
        wanted = self._wanted
        about: dict[str, Any] = {
            **request.tags,
            "durationSeconds": round(sound.seconds, 6),
            "durationMilliseconds": round(sound.seconds * 1_000),
            "width": request.width,
            "height": request.height,
            "framesPerSecond": request.fps,
        }
        outputs = [
            TaskOutput("video", request.target, f"video/{wanted.format}", about),
            TaskOutput("thumbnail", thumbnail, f"image/{wanted.thumbnail_format}"),
        ]
        if zipped is not None:
            outputs.append(TaskOutput("cdg", zipped, MEDIA_TYPE, dict(request.tags)))
        told: dict[str, Any] = {"ffmpeg": ffmpeg.version()}
        if not sound.loudness.silent:
            # Before the room that the mix was given, which the gain makes up for.
            told["gainDecibels"] = round(request.gain_decibels, 2)
        return TaskResult(outputs, {**told, **({"warnings": self._warnings} if self._warnings else {})})
