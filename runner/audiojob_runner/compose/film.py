"""Makes the film: each scene by itself, then the whole. Here and nowhere else a film's tools are run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

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
from audiojob_runner.compose.media import Media, clip_of, named
from audiojob_runner.compose.overlay import overlay_script, shown_texts
from audiojob_runner.compose.pictures import Picture
from audiojob_runner.compose.plan import Shot
from audiojob_runner.compose.sound import Part, Voice, write_sound
from audiojob_runner.cpus import usable_cpus
from audiojob_runner.errors import PhaseError
from audiojob_runner.lyrics.clean import Removed, one_row
from audiojob_runner.media import probe
from audiojob_runner.media.examine import examine_file, explained
from audiojob_runner.media.ffmetadata import Chapter, ffmetadata
from audiojob_runner.media.ffmpeg import Failure, FfmpegError, ProgressReader, Surroundings, run_tool
from audiojob_runner.media.ffmpeg_still import StillRequest, seconds_of_picture, still
from audiojob_runner.media.films import first_film
from audiojob_runner.media.levels.loudness import LoudnessRequest, measure
from audiojob_runner.task import TaskContext
from audiojob_runner.typeset.fontconfig import write_fontconfig
from audiojob_runner.typeset.fonts import Fonts
from audiojob_runner.typeset.missing import check_shown
from audiojob_types.contract import ExitCode
from audiojob_types.documents.scenes import SceneList
from audiojob_types.reasons import Reason

MAX_BYTES: Final = 8 * 1024**3
# Films often begin black; a tenth in, there is something to see.
THUMBNAIL_SHARE: Final = 0.1
# A clip that ends so much earlier than it says is damaged at its end.
_MISSING_SECONDS: Final = 0.5
_IN_THE_LOG: Final = "The log has the details."
_SIGNS_LEFT_OUT: Final = "Emoji and signs that no font has were left out of the texts: {count}."


class Studio:
    """One film in the making, in a folder of its own."""

    def __init__(
        self, scenes: SceneList, shots: tuple[Shot, ...], media: Media, frame: Frame, context: TaskContext
    ) -> None:
        self._scenes, self._shots, self._media, self._frame, self._context = scenes, shots, media, frame, context
        self._folder = context.work_dir
        self._cancelled = context.cancelled
        self._threads = usable_cpus()
        self._list = self._folder / "pieces.txt"
        self._sound = self._folder / "sound.wav"
        self._fonts = Fonts(language=scenes.language)
        self._fontconfig: dict[str, str] = {}
        self.total = shots[-1].end
        self.thumbnail_seconds = 0.0
        self.warnings: list[str] = []

    # ---------------------------------------------------------------- pictures

    def shoot(self, low: float, high: float) -> None:
        """Code the pictures of all scenes. Raises :class:`PhaseError` with the scene's number."""
        texts = self._write_texts()
        listed = list[str]()
        before: Path | None = None
        for shot in self._shots:
            pieces = self._shoot(shot, texts[shot.number], self._reporter(shot, low, high))
            if shot.covering and before is not None:
                over = self._folder / f"over-{shot.number:03}.mp4"
                command = cover_command(before, pieces.covering, shot.covering, over, self._frame, self._threads)
                self._run(command, PictureCounter(lambda _: None).feed)
                before.unlink()
                pieces.covering.unlink()
                listed.append(over.name)
            listed.append(pieces.body.name)
            before = pieces.held
        self._list.write_text("".join(f"file '{name}'\n" for name in listed), encoding="utf-8")

    def _shoot(self, shot: Shot, texts: str | None, moved: Callable[[int], None]) -> Pieces:
        names = ("scene-{:03}.mp4", "covering-{:03}.yuv", "held-{:03}.yuv", "decoded-{:03}.txt")
        pieces = Pieces(*(self._folder / name.format(shot.number) for name in names))
        shown, called, name = self._shown(shot)
        command = shot_command(shot, shown, self._frame, pieces, texts, self._threads)
        counter = PictureCounter(moved)
        with named(f"Scene {shot.number}", called, name):
            self._run(command, counter.feed, shown)
            if counter.count != shot.frames - shot.covering:
                raise _no_pictures(shown)
        if isinstance(shown, Clip):
            self._check_clip(shot, shown, pieces.decoded)
        return pieces

    def _check_clip(self, shot: Shot, clip: Clip, decoded: Path) -> None:
        """A warning where a clip has fewer pictures than it says: the last one was held in their place."""
        with decoded.open("rb") as file:
            pictures = sum(line.startswith(b"frame:") for line in file)
        decoded.unlink()
        name = shot.scene.clip or ""
        said = self._media.clips[name][1]
        if said is None:
            return
        wanted = min(said / 1_000 - clip.start_seconds, self._frame.seconds(shot.frames))
        found = self._frame.seconds(pictures)
        if wanted - found > _MISSING_SECONDS:
            self.warnings.append(
                f"Scene {shot.number}: clip {name!r} ends after {clip.start_seconds + found:.1f} s, though it says "
                f"{said / 1_000:.1f} s: the rest cannot be decoded, and the last picture stays."
            )

    def _shown(self, shot: Shot) -> tuple[Picture | Clip | Plate, str, str]:
        """What is seen, the field that names it, and its name."""
        scene = shot.scene
        if scene.picture is not None:
            return self._media.pictures[scene.picture], "picture", scene.picture
        if scene.clip is not None:
            return clip_of(scene, self._media), "clip", scene.clip
        assert scene.colour is not None
        return Plate(scene.colour.removeprefix("#")), "colour", scene.colour

    def _write_texts(self) -> dict[int, str | None]:
        """The files of texts by scene, for fonts that are then known."""
        removed = Removed()
        shown = [text for shot in self._shots for text in shown_texts(shot.scene.texts, removed)]
        if removed.pictures or removed.controls:
            self.warnings.append(_SIGNS_LEFT_OUT.format(count=removed.pictures + removed.controls))
        self.warnings += check_shown(shown, self._fonts) if shown else []
        names = dict[int, str | None]()
        for shot in self._shots:
            content = overlay_script(shot.scene.texts, self._frame, self._fonts)
            names[shot.number] = f"texts-{shot.number:03}.ass" if content is not None else None
            if content is not None:
                (self._folder / f"texts-{shot.number:03}.ass").write_text(content, encoding="utf-8")
        if shown:
            self._fontconfig = write_fontconfig(self._fonts.used.values(), self._folder / "fonts")
        return names

    def _reporter(self, shot: Shot, low: float, high: float) -> Callable[[int], None]:
        """Pictures of a scene as percent of those of the whole film."""
        message = f"Scene {shot.number} of {len(self._shots)}"

        def report(count: int) -> None:
            done = shot.first + min(shot.frames, shot.covering + count)
            self._context.progress(low + (high - low) * done / self.total, message)

        report(-shot.covering)
        return report

    # ---------------------------------------------------------------- sound and the whole

    def mix(self, low: float, high: float) -> None:
        """Put the sound of all scenes together."""

        def beat(share: float) -> None:
            if self._context.cancelled.is_set():
                raise PhaseError(ExitCode.STOPPED, Reason.STOPPED, "The phase was stopped.")
            self._context.progress(low + (high - low) * share, "Mixing the sound")

        music = self._scenes.music
        bed = (self._media.sounds[music.input].path, music) if music is not None else None
        samples = self._frame.samples(self.total)
        cut_off = write_sound(self._sound, Voice(self._parts(), samples), bed, samples, beat)
        if cut_off:
            self.warnings.append(
                f"{cut_off} samples of the sound were cut off above full scale: lower the music or the clips' sound."
            )

    def _parts(self) -> list[Part]:
        parts = list[Part]()
        for shot in self._shots:
            scene, start = shot.scene, self._frame.samples(shot.first)
            samples = self._frame.samples(shot.end) - start
            if scene.narration is not None:
                parts.append(Part(self._media.sounds[scene.narration].path, start, samples))
            if scene.clip is not None and scene.clip_sound_decibels is not None:
                heard = self._media.clip_sounds[(scene.clip, scene.clip_start_milliseconds)]
                parts.append(Part(heard.path, start, samples, scene.clip_sound_decibels, speech=False))
        return parts

    def finish(self, srt: str | None, parts: Sequence[Chapter], loudness: int | None) -> tuple[Path, float]:
        """Pictures and sound in one file, and how long it plays. Raises :class:`PhaseError`."""
        gain = self._gain(loudness) if loudness is not None else 0.0
        metadata, subtitles = self._folder / "film.metadata", self._folder / "film.srt"
        title = one_row(self._scenes.title or "")
        tags = {"title": title} if title else {}
        metadata.write_text(ffmetadata(tags, parts), encoding="utf-8")
        if srt is not None:
            subtitles.write_text(srt, encoding="utf-8")
        target = self._folder / "video.mp4"
        seconds = self._frame.seconds(self.total)
        film = Film(
            self._list, self._sound, metadata, subtitles if srt is not None else None, self._scenes.language, gain,
            target,
        )  # fmt: skip

        def report(position: float) -> None:
            self._context.progress(88 + 10 * min(1.0, position / seconds), "Putting the film together")

        try:
            self._run(film_command(film, seconds, MAX_BYTES), ProgressReader(report).feed)
            self._check(target, seconds)
        except BaseException:
            target.unlink(missing_ok=True)
            raise
        return target, seconds

    def _gain(self, target: int) -> float:
        request = LoudnessRequest(self._sound, "wav", 0, round(self._frame.seconds(self.total)) + 1)
        try:
            found = measure(request, lambda _: self._context.progress(87, "Measuring the loudness"), self._cancelled)
        except FfmpegError as error:
            raise explained(error, self._sound) from error
        if found.unmeasured or found.silent:
            self.warnings.append("The loudness was left as it is: the sound is too short or too quiet to be measured.")
            return 0.0
        gain = found.gain(target)
        if found.integrated + gain < target - 0.05:
            self.warnings.append(
                f"The loudness is {found.integrated + gain:.1f} LUFS and not {target}: its peaks would be cut off."
            )
        return gain

    def _check(self, target: Path, seconds: float) -> None:
        """A film that was put together wrongly says another length than its scenes have."""
        if target.stat().st_size >= MAX_BYTES:
            raise PhaseError(ExitCode.NOT_MEDIA, Reason.TOO_LARGE, f"The film is larger than {MAX_BYTES} bytes.")
        found, sound = examine_file(target, self._cancelled)
        film = first_film(found)
        lengths = (film.duration_seconds if film else None, sound.duration_seconds if sound else None)
        allowed = 0.5 / self._frame.fps, 1 / self._frame.fps
        if any(each is None or abs(each - seconds) > most for each, most in zip(lengths, allowed, strict=True)):
            raise PhaseError(
                ExitCode.TEMPORARY,
                Reason.TEMPORARY_FAILURE,
                f"The film should play {seconds:.3f} s, but its pictures and sound play {lengths} s.",
            )

    def thumbnail(self, video: Path) -> Path:
        """One picture of the film."""
        wanted = self._scenes.thumbnail_milliseconds
        seconds = self._frame.seconds(self.total)
        at = round(seconds * THUMBNAIL_SHARE * 1_000) if wanted is None else wanted
        self.thumbnail_seconds = min(at / 1_000, self._frame.seconds(self.total - 1))
        target = self._folder / "thumbnail.jpg"
        look_at = seconds_of_picture(at, self._frame.fps, self.total)
        request = StillRequest(video, target, "mov", 0, "h264", seconds=look_at, max_width=1_280, max_height=1_280)
        try:
            still(request, self._cancelled)
        except FfmpegError as error:
            raise self._own_fault(error) from error
        return target

    # ---------------------------------------------------------------- tools

    def _run(self, command: list[str], feed: Callable[[bytes], bool], shown: object = None) -> None:
        around = Surroundings(self._folder, self._fontconfig)
        try:
            run_tool(command, feed, self._cancelled, total_seconds=None, around=around)
        except FfmpegError as error:
            self._context.log.warning("ffmpeg: %s", error)
            if isinstance(shown, Picture | Clip) and error.failure in (Failure.REFUSED, Failure.DAMAGED):
                if isinstance(shown, Picture):
                    raise PhaseError(
                        ExitCode.NOT_MEDIA, Reason.CORRUPT_MEDIA, "The source is cut off or damaged."
                    ) from error
                raise explained(error, shown.path) from error
            raise self._own_fault(error) from error

    def _own_fault(self, error: FfmpegError) -> PhaseError:
        """The error where our own files were read or written."""
        if error.failure is Failure.OUT_OF_MEMORY:
            return PhaseError(ExitCode.TEMPORARY, Reason.OUT_OF_MEMORY, "There was not enough memory to make the film.")
        if error.failure in (Failure.REFUSED, Failure.DAMAGED, Failure.TOO_SLOW):
            return PhaseError(
                ExitCode.TEMPORARY,
                Reason.TEMPORARY_FAILURE,
                "The film could not be put together.",
                _IN_THE_LOG,
            )
        if error.failure is Failure.DISK_FULL:
            return PhaseError(ExitCode.DISK_FULL, Reason.DISK_FULL, "The disk filled up while the film was made.")
        return probe.explain(error.failure, b"", 0)


def _no_pictures(shown: Picture | Clip | Plate) -> PhaseError:
    """The error for a scene that came out shorter than it should."""
    if isinstance(shown, Clip):
        message = "The source has no pictures where the scene begins."
        return PhaseError(ExitCode.NOT_MEDIA, Reason.CORRUPT_MEDIA, message)
    return PhaseError(
        ExitCode.TEMPORARY, Reason.TEMPORARY_FAILURE, "A scene came out shorter than it should.", _IN_THE_LOG
    )
