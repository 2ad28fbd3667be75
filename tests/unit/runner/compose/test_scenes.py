"""Scene lists that no film can be made of, each with the sentence that people read."""

from __future__ import annotations

import json
from typing import Any

import pytest

from audiojob_runner.compose.scenes import MAX_BYTES, check_names, read_scenes, unused
from audiojob_runner.errors import PhaseError
from audiojob_types.contract import ExitCode
from audiojob_types.documents.scenes import MAX_SCENES, SceneList

GOOD = {"colour": "#000000", "durationMilliseconds": 1_000}


def listed(*scenes: dict[str, Any], **more: Any) -> bytes:
    return json.dumps({"scenes": scenes, **more}).encode()


def third(**fields: Any) -> bytes:
    return listed(GOOD, GOOD, {**GOOD, **fields})


@pytest.mark.parametrize(
    ("raw", "sentence"),
    [
        pytest.param(b"", "The scene list is not JSON: EOF while parsing", id="nothing"),
        pytest.param(b"scenes: []", "The scene list is not JSON: expected value at line 1", id="YAML"),
        pytest.param(b"\xff\xfe{}", "The scene list is not text in UTF-8.", id="UTF-16"),
        pytest.param(b" " * (MAX_BYTES + 1), "The scene list is larger than 1048576 bytes.", id="larger than 1 MB"),
        pytest.param(b"[" * 100_000, "The scene list is not JSON: recursion limit exceeded", id="brackets without end"),
        pytest.param(b"[]", "The scene list: input should be an object.", id="a list"),
        pytest.param(b"{}", "The scene list has no scenes.", id="no member scenes"),
        pytest.param(listed(), "The scene list has no scenes.", id="zero scenes"),
        pytest.param(listed(*[GOOD] * (MAX_SCENES + 1)), "The scene list has more than 120 scenes.", id="121 scenes"),
        pytest.param(listed(GOOD, version=2), "version: input should be 1.", id="a later version"),
        pytest.param(
            third(durationMilliseconds=-5),
            "Scene 3: durationMilliseconds: input should be greater than or equal to 200.",
            id="a negative duration",
        ),
        pytest.param(
            third(durationMilliseconds="2"), "Scene 3: durationMilliseconds: input should be a valid integer.",
            id="a duration in words",
        ),
        pytest.param(
            third(picture="a"), "Scene 3: must have exactly one of picture, clip, colour; it has picture and colour.",
            id="two things to see",
        ),
        pytest.param(
            listed({"durationMilliseconds": 1_000}),
            "Scene 1: must have exactly one of picture, clip, colour; it has none.",
            id="nothing to see",
        ),
        pytest.param(
            listed({"colour": "#000000"}),
            "Scene 1: needs durationMilliseconds, or a narration that says how long it is.",
            id="no duration",
        ),
        pytest.param(
            listed({"colour": "red", "durationMilliseconds": 1_000}), "Scene 1: colour: string should match pattern",
            id="a colour that is no six digits",
        ),
        pytest.param(
            listed({"picture": "../etc/passwd", "durationMilliseconds": 1_000}),
            "Scene 1: picture: string should match pattern",
            id="a path",
        ),
        pytest.param(
            listed({"colour": "#102030", "durationMilliseconds": 100}),
            "Scene 1: durationMilliseconds: input should be greater than or equal to 200.",
            id="one mistake in the only scene is one",
        ),
        pytest.param(third(url="http://x"), "Scene 3: url: extra inputs are not permitted.", id="an unknown field"),
        pytest.param(
            third(texts=[{"content": ""}], title=""),
            "Scene 3: title: string should have at least 1 character. There is one more mistake.",
            id="two mistakes",
        ),
        pytest.param(
            third(texts=[{"content": "x", "position": "Left"}]), "Scene 3: texts[0].position: input should be 'Top'",
            id="an unknown position",
        ),
        pytest.param(third(clipStartMilliseconds=5), "Scene 3: clipStartMilliseconds needs a clip.", id="no clip"),
        pytest.param(
            listed(GOOD, music={"input": "m", "levelDecibels": 3}),
            "music.levelDecibels: input should be less than or equal to 0.",
            id="music above full scale",
        ),
    ],
)  # fmt: skip
def test_a_bad_list_is_refused_with_the_scene_and_the_field(raw: bytes, sentence: str) -> None:
    with pytest.raises(PhaseError) as caught:
        read_scenes(raw)
    assert caught.value.exit_code == ExitCode.USAGE
    assert caught.value.message.startswith(sentence)
    assert "scenes" in caught.value.suggestion


MANY = f"which the phase does not have; it has {', '.join(f'n{number:02}' for number in range(20))} and 10 more."
SCENES = SceneList.model_validate(
    {
        "music": {"input": "tune"},
        "scenes": [GOOD, {"picture": "sea", "narration": "voice-1"}, {"clip": "waves"}],
    }
)


@pytest.mark.parametrize(
    ("known", "sentence"),
    [
        ({"voice-1", "waves", "tune"},
         "Scene 2: picture names the input 'sea', which the phase does not have; it has tune, voice-1, waves."),
        ({"sea", "waves", "tune"}, "Scene 2: narration names the input 'voice-1',"),
        ({"sea", "voice-1"}, "Scene 3: clip names the input 'waves',"),
        ({"sea", "voice-1", "waves"}, "Music: input names the input 'tune',"),
        (set(), "Scene 2: picture names the input 'sea', which the phase does not have; it has none."),
        ({f"n{number:02}" for number in range(30)}, f"Scene 2: picture names the input 'sea', {MANY}"),
    ],
    ids=["no picture", "no narration", "no clip", "no music", "no inputs", "many inputs"],
)  # fmt: skip
def test_a_medium_must_be_an_input_of_the_phase(known: set[str], sentence: str) -> None:
    with pytest.raises(PhaseError) as caught:
        check_names(SCENES, known)
    assert caught.value.message.startswith(sentence)


def test_all_media_may_be_there_and_more() -> None:
    known = {"sea", "voice-1", "waves", "tune", "extra"}
    check_names(SCENES, known)
    assert unused(SCENES, known) == ["extra"]


def test_a_list_of_windows_begins_with_a_mark() -> None:
    assert len(read_scenes(b"\xef\xbb\xbf" + listed(GOOD)).scenes) == 1
