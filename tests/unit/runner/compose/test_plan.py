"""When scenes begin and end, to the picture."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest

from audiojob_runner.compose.frame import Frame, frame_of
from audiojob_runner.compose.plan import Lengths, Shot, milliseconds_of, plan
from audiojob_runner.errors import PhaseError
from audiojob_types.documents.scenes import SceneList
from audiojob_types.tasks.compose import ComposeParameters

FRAME = Frame(320, 180, 30)
LENGTHS = Lengths({"voice": 2_345, "long": 20 * 60_000}, {"clip": 4_000, "endless": None})


def planned(*scenes: dict[str, Any], frame: Frame = FRAME) -> tuple[Shot, ...]:
    return plan(SceneList.model_validate({"scenes": scenes}), LENGTHS, frame)


def plain(milliseconds: int, **more: Any) -> dict[str, Any]:
    return {"colour": "#000000", "durationMilliseconds": milliseconds, **more}


@pytest.mark.parametrize(
    ("scene", "milliseconds"),
    [
        (plain(1_000), 1_000),
        ({"colour": "#000000", "narration": "voice"}, 2_345),
        ({"colour": "#000000", "narration": "voice", "pauseMilliseconds": 655}, 3_000),
        (plain(5_000, narration="voice"), 5_000),
        ({"clip": "clip"}, 4_000),
        ({"clip": "clip", "clipStartMilliseconds": 1_500}, 2_500),
        ({"clip": "clip", "narration": "voice"}, 2_345),
        ({"clip": "clip", "durationMilliseconds": 9_000}, 9_000),
        ({"clip": "endless", "durationMilliseconds": 9_000}, 9_000),
    ],
    ids=["as told", "its narration", "its narration and a pause", "longer than its narration", "its clip",
         "the rest of its clip", "its narration, not its clip", "longer than its clip", "a clip of unknown length"],
)  # fmt: skip
def test_a_scene_is_as_long_as_it_says_or_its_narration_plays(scene: dict[str, Any], milliseconds: int) -> None:
    assert planned(scene)[0].frames == FRAME.frames(milliseconds)


@pytest.mark.parametrize("fps", [10, 24, 25, 29, 30, 60])
def test_rounding_does_not_add_up(fps: int) -> None:
    frame = Frame(320, 180, fps)
    shots = planned(*[plain(333)] * 120, frame=frame)
    assert shots[-1].end == frame.frames(333 * 120)
    assert all(shot.end == after.first for shot, after in pairwise(shots))
    assert all(abs(frame.seconds(shot.first) - 0.333 * at) <= 0.5 / fps for at, shot in enumerate(shots))


def test_a_scene_fades_within_its_own_time() -> None:
    first, second, third, fourth = planned(
        plain(2_000, transition="CrossFade"), plain(2_000, transition="CrossFade"), plain(400, transition="Fade"),
        plain(3_000),
    )  # fmt: skip
    assert (first.covering, first.held, first.fade_in, first.fade_out) == (0, 15, 0, 0)
    assert (second.covering, second.held, second.fade_in, second.fade_out) == (15, 0, 0, 15)
    assert (third.covering, third.held, third.fade_in, third.fade_out) == (0, 0, 6, 0)
    assert (fourth.first, fourth.end) == (132, 222)


@pytest.mark.parametrize(
    ("scenes", "sentence"),
    [
        pytest.param([plain(2_000, narration="voice")],
                     "Scene 1: durationMilliseconds is 2000, but its narration plays 2345 ms.", id="a cut sentence"),
        pytest.param([plain(900_000), plain(900_000), plain(200)],
                     "The film is longer than 30 minutes with scene 3 of 3.", id="total over the limit"),
        pytest.param([{"colour": "#000000", "narration": "long"}] * 2,
                     "The film is longer than 30 minutes with scene 2 of 2.", id="narrations over the limit"),
        pytest.param([{"clip": "clip", "clipStartMilliseconds": 4_000}],
                     "Scene 1: clipStartMilliseconds is 4000, but clip 'clip' ends at 4000 ms.", id="behind the clip"),
        pytest.param([{"clip": "clip", "clipStartMilliseconds": 9_000, "durationMilliseconds": 500}],
                     "Scene 1: clipStartMilliseconds is 9000, but clip 'clip' ends at 4000 ms.", id="far behind it"),
        pytest.param([{"clip": "endless"}],
                     "Scene 1: clip 'endless' does not say how long it is; set durationMilliseconds.", id="no length"),
    ],
)  # fmt: skip
def test_scenes_that_do_not_fit(scenes: list[dict[str, Any]], sentence: str) -> None:
    with pytest.raises(PhaseError, match=sentence.replace(".", r"\.")):
        planned(*scenes)


@pytest.mark.parametrize(
    ("parameters", "size"),
    [
        ({}, (1_920, 1_080, 30)),
        ({"platform": "YouTube"}, (1_920, 1_080, 30)),
        ({"platform": "TikTok", "size": "Video720p"}, (720, 1_280, 30)),
        ({"platform": "YouTubeShorts"}, (1_080, 1_920, 30)),
        ({"platform": "InstagramReels"}, (1_080, 1_920, 30)),
        ({"platform": "InstagramFeed"}, (1_080, 1_080, 30)),
        ({"shape": "Portrait", "size": "Video480p", "framesPerSecond": 25}, (480, 854, 25)),
        ({"shape": "Square", "size": "Video180p"}, (180, 180, 30)),
    ],
    ids=str,
)
def test_the_frame_goes_by_platform_shape_and_size(parameters: dict[str, Any], size: tuple[int, int, int]) -> None:
    frame = frame_of(ComposeParameters.model_validate(parameters))
    assert (frame.width, frame.height, frame.fps) == size


def test_a_platform_has_a_shape_of_its_own() -> None:
    with pytest.raises(ValueError, match="shape must be left out with platform"):
        ComposeParameters.model_validate({"platform": "X", "shape": "Square"})


def test_pictures_and_samples_meet() -> None:
    assert [Frame(2, 2, fps).samples(7) for fps in (24, 25, 30, 60)] == [14_000, 13_440, 11_200, 5_600]
    assert [milliseconds_of(samples) for samples in (0, 1, 48, 49, 48_000)] == [0, 1, 1, 2, 1_000]


def test_a_thumbnail_after_the_end_is_refused_before_the_film_is_made() -> None:
    scenes = SceneList.model_validate({"scenes": [plain(500)], "thumbnailMilliseconds": 500})
    with pytest.raises(PhaseError, match="thumbnailMilliseconds is 500, but the film ends at 500 ms"):
        plan(scenes, LENGTHS, FRAME)
