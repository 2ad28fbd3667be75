"""Compose: a list of scenes to a film, one scene after the other.

Never one graph for all: pictures of each scene are coded by themselves and put together without coding them again,
sound is put together as samples and coded once. So memory does not grow with the number of scenes.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from audiojob_runner.compose.film import Studio
from audiojob_runner.compose.frame import frame_of
from audiojob_runner.compose.media import read_media
from audiojob_runner.compose.plan import plan
from audiojob_runner.compose.scenes import MAX_BYTES, check_names, read_scenes, unused
from audiojob_runner.compose.subtitles import chapters, cues, write_chapters, write_srt, write_webvtt
from audiojob_runner.errors import PhaseError
from audiojob_runner.lyrics.clean import one_row
from audiojob_runner.media import ffmpeg
from audiojob_runner.task import TaskContext, TaskInput, TaskOutput, TaskResult
from audiojob_types.base import WireModel
from audiojob_types.contract import ExitCode
from audiojob_types.reasons import Reason
from audiojob_types.tasks.compose import ComposeParameters

SCENES_INPUT: Final = "scenes"
_READ: Final = 10.0  # percent, when all media are read


def run(inputs: Mapping[str, TaskInput], parameters: WireModel, context: TaskContext) -> TaskResult:
    """Input ``scenes`` and the media that it names to ``video``, ``thumbnail``, chapters and subtitles."""
    assert isinstance(parameters, ComposeParameters)
    context.progress(0, "Reading the scenes")
    given = inputs.get(SCENES_INPUT)
    if given is None or given.path is None:
        raise PhaseError(ExitCode.USAGE, Reason.INVALID_SPEC, "Compose needs an input file named 'scenes'.")
    with given.path.open("rb") as file:
        scenes = read_scenes(file.read(MAX_BYTES + 1))
    known = set(inputs) - {SCENES_INPUT}
    check_names(scenes, known)
    frame = frame_of(parameters)
    media = read_media(
        scenes, inputs, context, lambda share: context.progress(share * _READ, "Reading pictures and sound")
    )
    shots = plan(scenes, media.lengths, frame)
    studio = Studio(scenes, shots, media, frame, context)
    studio.shoot(_READ, 80.0)
    studio.mix(80.0, 86.0)
    spoken = [media.lengths.narrations[shot.scene.narration] if shot.scene.narration else 0 for shot in shots]
    said, parts = cues(shots, spoken, frame), chapters(shots, frame)
    video, seconds = studio.finish(write_srt(said) if said else None, parts, parameters.loudness_lufs)
    picture = studio.thumbnail(video)
    for path in context.work_dir.iterdir():
        if path not in (video, picture) and path.is_file():
            path.unlink()
    metadata: dict[str, Any] = {
        "durationSeconds": round(seconds, 6), "width": frame.width, "height": frame.height,
        "framesPerSecond": frame.fps, "scenes": len(shots),
    }  # fmt: skip
    if title := one_row(scenes.title or ""):
        metadata["title"] = title
    outputs = [TaskOutput("video", video, "video/mp4", metadata)]
    outputs.append(TaskOutput("thumbnail", picture, "image/jpeg", {"seconds": round(studio.thumbnail_seconds, 3)}))
    if parts:
        outputs.append(_text(context, "chapters", "chapters.vtt", "text/vtt", write_chapters(parts)))
    if said:
        outputs.append(_text(context, "vtt", "subtitles.vtt", "text/vtt", write_webvtt(said, scenes.language)))
        outputs.append(_text(context, "srt", "subtitles.srt", "application/x-subrip", write_srt(said)))
    for name in unused(scenes, known):
        context.log.info("input %s is in no scene", name)
    warnings = studio.warnings
    for warning in warnings:
        context.log.warning("%s", warning)
    context.progress(100, "The film is made")
    about = {"ffmpeg": ffmpeg.version(), **({"warnings": warnings} if warnings else {})}
    return TaskResult(outputs, about)


def _text(context: TaskContext, name: str, file: str, media_type: str, content: str) -> TaskOutput:
    path: Path = context.work_dir / file
    path.write_text(content, encoding="utf-8", newline="")
    return TaskOutput(name, path, media_type)
