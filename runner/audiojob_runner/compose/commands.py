"""The ffmpeg commands of a film: one for each scene, one for each cover of a scene by the next, one for the whole.

Nothing that a person wrote is in a filter: files have names of ours, colours are six digits, the rest are numbers. All
pieces are coded in the same way, so that they can be put together without coding them again.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from audiojob_runner.compose.frame import SAMPLE_RATE, Frame
from audiojob_runner.compose.pictures import Picture
from audiojob_runner.compose.plan import Shot
from audiojob_runner.media.ffmpeg import MAX_ERROR_RATE, file_argument, guards
from audiojob_runner.media.ffmpeg_still import MAX_PIXELS, PICTURE_DECODERS, VIDEO_DECODERS
from audiojob_types.documents.scenes import Fit

# More pictures are coded at once with more threads, each some 50 MiB at 1080p.
MAX_THREADS: Final = 2
KEYFRAME_SECONDS: Final = 5
TIMESCALE: Final = 90_000
_HEAD: Final = (
    "ffmpeg", "-hide_banner", "-nostdin", "-nostats", "-v", "error", "-progress", "pipe:1", "-stats_period", "0.5",
)  # fmt: skip
# Pictures that are read once more and thrown away: another encoder would need a hundred megabytes.
_BARE: Final = ("-an", "-c:v", "rawvideo", "-pix_fmt", "yuv420p", "-f", "rawvideo")
_COLOURS: Final = ("-colorspace", "bt709", "-color_primaries", "bt709", "-color_trc", "bt709", "-color_range", "tv")


@dataclass(frozen=True, slots=True)
class Clip:
    """A film that is shown: by the demuxer and coding that the probe found, from so many seconds on."""

    path: Path
    demuxer: str
    index: int
    codec: str
    start_seconds: float


@dataclass(frozen=True, slots=True)
class Plate:
    """A plain colour, six digits."""

    digits: str


@dataclass(frozen=True, slots=True)
class Pieces:
    """Files of one scene. ``covering`` are its first pictures without what they cover, ``held`` its last one longer.

    ``decoded`` has a line for each picture that a clip still had, before its last one is held.
    """

    body: Path
    covering: Path
    held: Path
    decoded: Path


def shot_command(
    shot: Shot, shown: Picture | Clip | Plate, frame: Frame, pieces: Pieces, texts: str | None, threads: int
) -> list[str]:
    """One scene. ``texts`` is the name of a file of subtitles in the folder that the command runs in."""
    chain = [*_source_filters(shown, shot, frame, pieces.decoded.name), *([f"ass=filename={texts}"] if texts else [])]
    if not isinstance(shown, Clip):
        # All is drawn once, and then shown again and again.
        chain.append("loop=loop=-1:size=1:start=0")
    total = shot.frames + shot.held
    chain += [f"settb=expr=1/{frame.fps}", "setpts=N", f"trim=end_frame={total}"]
    if shot.fade_in:
        chain.append(f"fade=t=in:start_frame=0:nb_frames={shot.fade_in}")
    if shot.fade_out:
        chain.append(f"fade=t=out:start_frame={shot.frames - shot.fade_out}:nb_frames={shot.fade_out}")
    parts = [(shot.covering, shot.frames, pieces.body, False)]
    if shot.covering:
        parts.append((0, shot.covering, pieces.covering, True))
    if shot.held:
        parts.append((shot.frames, total, pieces.held, True))
    graph = f"[0:{_stream(shown)}]{','.join(chain)}"
    if len(parts) == 1:
        graph += "[p0]"
    else:
        cuts = (
            f"[s{number}]trim=start_frame={start}:end_frame={end},setpts=PTS-STARTPTS[p{number}]"
            for number, (start, end, _, _) in enumerate(parts)
        )
        graph += f",split={len(parts)}{''.join(f'[s{number}]' for number in range(len(parts)))};{';'.join(cuts)}"
    command = [*_HEAD, *_input(shown, frame), "-filter_complex", graph]
    for number, (_, _, path, exact) in enumerate(parts):
        coding = [*_BARE, "-r", str(frame.fps)] if exact else _coding(frame, threads)
        command += ["-map", f"[p{number}]", *coding, "-y", file_argument(path)]
    return command


def cover_command(before: Path, after: Path, frames: int, target: Path, frame: Frame, threads: int) -> list[str]:
    """The pictures of ``after`` as they come over those of ``before``: so many of each."""
    seconds = f"{frames / frame.fps:.6f}"
    graph = f"[0:v][1:v]xfade=transition=fade:duration={seconds}:offset=0,format=yuv420p[p]"
    size = f"{frame.width}x{frame.height}"
    own = [*guards(("rawvideo",), ("rawvideo",)), "-f", "rawvideo", "-pixel_format", "yuv420p", "-video_size", size]
    own += ["-framerate", str(frame.fps)]
    return [
        *_HEAD, *own, "-i", file_argument(before), *own, "-i", file_argument(after), "-filter_complex", graph,
        "-map", "[p]", "-frames:v", str(frames), *_coding(frame, threads), "-y", file_argument(target),
    ]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Film:
    """What the whole is put together of. ``pieces`` is a list of files for ffmpeg; ``subtitles`` an SRT file."""

    pieces: Path
    sound: Path
    metadata: Path
    subtitles: Path | None
    language: str | None
    gain_decibels: float
    target: Path


def film_command(film: Film, seconds: float, max_bytes: int) -> list[str]:
    """All pictures as they are, sound coded once, chapters, and subtitles that can be turned on."""
    command = [
        *_HEAD,
        *guards(("concat", "mov"), ()), "-f", "concat", "-safe", "1", "-i", file_argument(film.pieces),
        *guards(("wav",), ("pcm_s16le",)), "-f", "wav", "-i", file_argument(film.sound),
        *guards(("ffmetadata",)), "-f", "ffmetadata", "-i", file_argument(film.metadata),
    ]  # fmt: skip
    if film.subtitles is not None:
        command += [*guards(("srt",), ("srt", "subrip")), "-f", "srt", "-i", file_argument(film.subtitles)]
    command += ["-map", "0:v", "-map", "1:a", "-c:v", "copy", "-c:a", "aac", "-b:a", "192k"]
    if film.gain_decibels:
        command += ["-af", f"volume={film.gain_decibels:.3f}dB:precision=double"]
    if film.subtitles is not None:
        command += ["-map", "3:s", "-c:s", "mov_text"]
        command += ["-metadata:s:s:0", f"language={film.language}"] if film.language else []
    return [
        *command, "-map_metadata", "2", "-map_metadata:s:v", "-1", "-map_metadata:s:a", "-1", "-map_chapters", "2",
        "-t", f"{seconds:.6f}", "-fs", str(max_bytes), "-movie_timescale", str(SAMPLE_RATE),
        "-fflags", "+bitexact", "-flags", "+bitexact", "-movflags", "+faststart", "-f", "mp4", "-y",
        file_argument(film.target),
    ]  # fmt: skip


def _stream(shown: Picture | Clip | Plate) -> str:
    return str(shown.index) if isinstance(shown, Clip) else "v"


def _input(shown: Picture | Clip | Plate, frame: Frame) -> list[str]:
    if isinstance(shown, Plate):
        colour = f"color=c=0x{shown.digits}:s={frame.width}x{frame.height}:r={frame.fps},format=rgb24"
        return [*guards(("lavfi",), ("rawvideo", "wrapped_avframe")), "-f", "lavfi", "-i", colour]
    if isinstance(shown, Picture):
        # A picture that is cut off is no picture: without the option the rest is grey.
        decoding = [*guards((shown.demuxer,), PICTURE_DECODERS[shown.codec]), "-err_detect", "explode"]
    else:
        decoding = [*guards((shown.demuxer,), VIDEO_DECODERS[shown.codec]), "-max_error_rate", str(MAX_ERROR_RATE)]
        if shown.start_seconds:
            decoding += ["-ss", f"{shown.start_seconds:.3f}"]
    return [
        *decoding, "-max_pixels", str(MAX_PIXELS), "-threads", "1", "-f", shown.demuxer,
        "-i", file_argument(shown.path),
    ]  # fmt: skip


def _source_filters(shown: Picture | Clip | Plate, shot: Shot, frame: Frame, decoded: str) -> list[str]:
    """Brings what is shown into the frame, in the colours of HD."""
    turn = [shown.turn] if isinstance(shown, Picture) and shown.turn else []
    rate = _clip_filters(frame, decoded) if isinstance(shown, Clip) else []
    width, height = frame.width, frame.height
    # As it is shown the picture is iw*sar wide: pixels need not be square.
    if shot.scene.fit is Fit.COVER:
        bound, cut = "max", f"crop={width}:{height}"
    else:
        bound, cut = "min", f"pad={width}:{height}:(ow-iw)/2:(oh-ih)/2"
    factor = f"{bound}({width}/(iw*sar),{height}/ih)"
    sides = (f"{bound}({most},max(2,round({side}*{factor})))" for side, most in (("iw*sar", width), ("ih", height)))
    wide, high = sides
    size = f"scale=w='{wide}':h='{high}':flags=bicubic:out_color_matrix=bt709:out_range=tv"
    return [*rate, *turn, size, "format=yuv420p", cut, "setsar=1"]


def _clip_filters(frame: Frame, decoded: str) -> list[str]:
    """Pictures at the film's rate, each told in the file ``decoded``; then the last one for ever."""
    noted = ("metadata=mode=add:key=decoded:value=1", f"metadata=mode=print:key=decoded:file={decoded}")
    return [f"fps=fps={frame.fps}", *noted, "tpad=stop_mode=clone:stop=-1"]


def _coding(frame: Frame, threads: int) -> list[str]:
    """The same for all pieces that go into the film."""
    return [
        "-an", "-c:v", "libx264", "-preset", "veryfast", "-crf", "20", "-g", str(KEYFRAME_SECONDS * frame.fps),
        "-threads", str(max(1, min(threads, MAX_THREADS))), "-r", str(frame.fps), "-pix_fmt", "yuv420p", *_COLOURS,
        "-map_metadata", "-1", "-map_chapters", "-1", "-fflags", "+bitexact", "-flags:v", "+bitexact",
        "-video_track_timescale", str(TIMESCALE), "-f", "mp4",
    ]  # fmt: skip
