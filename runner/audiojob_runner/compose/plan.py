"""When each scene begins and ends, to the picture: the whole film before anything of it is made. No I/O."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from audiojob_runner.compose.frame import SAMPLE_RATE, Frame
from audiojob_runner.compose.scenes import bad_scenes
from audiojob_types.documents.scenes import LEAST_MILLISECONDS, MAX_MILLISECONDS, Scene, SceneList, Transition

FADE_MILLISECONDS: Final = 500
_LONGEST: Final = f"{MAX_MILLISECONDS // 60_000} minutes"


@dataclass(frozen=True, slots=True)
class Lengths:
    """How long media play, in milliseconds, by the names of inputs. A clip may be None: its file does not say it."""

    narrations: Mapping[str, int]
    clips: Mapping[str, int | None]


@dataclass(frozen=True, slots=True)
class Shot:
    """One scene with its place in the film, counted in pictures.

    Of its ``frames`` the first ``covering`` ones cover the last picture of the scene before; ``held`` more are needed
    behind its end, which the next scene covers. ``fade_in`` and ``fade_out`` are from and to black.
    """

    number: int
    scene: Scene
    first: int
    frames: int
    covering: int = 0
    held: int = 0
    fade_in: int = 0
    fade_out: int = 0

    @property
    def end(self) -> int:
        """The first picture behind it."""
        return self.first + self.frames


def plan(scenes: SceneList, lengths: Lengths, frame: Frame) -> tuple[Shot, ...]:
    """The shots in order. Raises ``PhaseError`` (InvalidSpec) for scenes that do not fit."""
    ends = list[int]()
    total = 0
    for number, scene in enumerate(scenes.scenes, 1):
        total += scene_milliseconds(number, scene, lengths)
        if total > MAX_MILLISECONDS:
            raise bad_scenes(
                f"The film is longer than {_LONGEST} with scene {number} of {len(scenes.scenes)}.",
                "Make a film of fewer or shorter scenes.",
            )
        ends.append(frame.frames(total))
    wanted = scenes.thumbnail_milliseconds
    if wanted is not None and wanted >= total:
        raise bad_scenes(f"thumbnailMilliseconds is {wanted}, but the film ends at {total} ms.")
    starts = [0, *ends[:-1]]
    counts = [end - start for start, end in zip(starts, ends, strict=True)]
    kinds = [Transition.CUT, *(scene.transition for scene in scenes.scenes[1:]), Transition.CUT]
    # A scene is never faded for more than half of its time.
    fades = [min(frame.frames(FADE_MILLISECONDS), count // 2) for count in counts]
    shots = list[Shot]()
    for at, scene in enumerate(scenes.scenes):
        follows = kinds[at + 1]
        shots.append(
            Shot(
                number=at + 1,
                scene=scene,
                first=starts[at],
                frames=counts[at],
                covering=fades[at] if kinds[at] is Transition.CROSS_FADE else 0,
                held=fades[at + 1] if follows is Transition.CROSS_FADE else 0,
                fade_in=fades[at] if kinds[at] is Transition.FADE else 0,
                fade_out=fades[at] if follows is Transition.FADE else 0,
            )
        )
    return tuple(shots)


def scene_milliseconds(number: int, scene: Scene, lengths: Lengths) -> int:
    """How long a scene is. Raises ``PhaseError`` (InvalidSpec)."""
    spoken = lengths.narrations[scene.narration] if scene.narration is not None else 0
    length = lengths.clips[scene.clip] if scene.clip is not None else None
    if length is not None and length <= scene.clip_start_milliseconds:
        raise bad_scenes(
            f"Scene {number}: clipStartMilliseconds is {scene.clip_start_milliseconds}, but clip {scene.clip!r} ends "
            f"at {length} ms."
        )
    if scene.duration_milliseconds is not None:
        if spoken > scene.duration_milliseconds:
            raise bad_scenes(
                f"Scene {number}: durationMilliseconds is {scene.duration_milliseconds}, but its narration plays "
                f"{spoken} ms.",
                "Make the scene longer, or leave durationMilliseconds out: it is then as long as its narration.",
            )
        return scene.duration_milliseconds
    if scene.narration is not None:
        return max(LEAST_MILLISECONDS, spoken + scene.pause_milliseconds)
    if length is None:
        raise bad_scenes(f"Scene {number}: clip {scene.clip!r} does not say how long it is; set durationMilliseconds.")
    return max(LEAST_MILLISECONDS, length - scene.clip_start_milliseconds)


def milliseconds_of(samples: int) -> int:
    """The length of sound, rounded up: no last syllable is cut off."""
    return -(-samples * 1_000 // SAMPLE_RATE)
