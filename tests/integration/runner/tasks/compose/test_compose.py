"""Films of small scenes: what is seen, heard and written, picture by picture."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.integration.runner.tasks.compose.making import (
    BLUE,
    GREEN,
    RED,
    clip,
    compose,
    ffmpeg,
    frames,
    level,
    mean,
    picture,
    probe,
    sound,
    tone,
)
from tests.integration.runner.tasks.conftest import Bench

from audiojob_runner.errors import PhaseError
from audiojob_types.reasons import Reason


def close(one: tuple[float, ...], other: tuple[float, ...], most: float = 12) -> bool:
    return all(abs(a - b) <= most for a, b in zip(one, other, strict=True))


SCENES: dict[str, Any] = {
    "title": "\u202eCol\u200bours\n",
    "language": "en",
    "music": {"input": "tune", "levelDecibels": -12, "duckingDecibels": 12, "fadeMilliseconds": 500},
    "scenes": [
        {"title": "Red", "picture": "red", "durationMilliseconds": 3_000},
        {"colour": "#0000FF", "narration": "voice", "subtitle": "Now it is blue.", "transition": "CrossFade"},
        {"title": "Green", "clip": "film", "clipStartMilliseconds": 1_000, "clipSoundDecibels": -6,
         "durationMilliseconds": 4_000, "transition": "Fade"},
    ],
}  # fmt: skip


def test_a_film_with_everything(bench: Bench, tmp_path: Path) -> None:
    media = {
        "red": picture(tmp_path / "red.png", "red", "400x300"),
        "film": clip(tmp_path / "film.mp4", "lime", "blue"),
        "voice": tone(tmp_path / "voice.wav", 400, 1.5, rate=22_050),
        "tune": tone(tmp_path / "tune.flac", 150, 1.3, 0.5),
    }
    result = compose(bench, SCENES, media)
    outputs = {each.name: each for each in result.outputs}
    video = outputs["video"].path
    assert "warnings" not in result.metadata
    assert list(outputs) == ["video", "thumbnail", "chapters", "vtt", "srt"]
    assert outputs["video"].metadata == {
        "durationSeconds": 8.5, "width": 320, "height": 180, "framesPerSecond": 30, "scenes": 3, "title": "Colours",
    }  # fmt: skip
    assert sorted(path.name for path in bench.work.iterdir() if path.is_file()) == sorted(
        each.path.name for each in result.outputs
    )

    found = probe(video)
    assert [(each["codec_type"], each["codec_name"]) for each in found["streams"][:3]] == [
        ("video", "h264"), ("audio", "aac"), ("subtitle", "mov_text"),
    ]  # fmt: skip
    assert int(found["streams"][0]["nb_frames"]) == 255
    assert all(float(each["duration"]) == pytest.approx(8.5, abs=1 / 30) for each in found["streams"][:2])
    assert len(sound(video)) == pytest.approx(8.5 * 48_000, abs=1_600)
    titles = [(float(each["start_time"]), float(each["end_time"]), each["tags"]["title"]) for each in found["chapters"]]
    assert titles == [(0.0, 4.5, "Red"), (4.5, 8.5, "Green")]
    assert outputs["srt"].path.read_text() == "1\n00:00:03,000 --> 00:00:04,500\nNow it is blue.\n"
    assert "00:00:04.500 --> 00:00:08.500\nGreen" in outputs["chapters"].path.read_text()

    check_pictures(video)
    check_sound(video)
    percents = [percent for percent, _ in bench.reports]
    assert percents == sorted(percents)
    assert percents[-1] == 100


def check_pictures(video: Path) -> None:
    # The last of red, half covered, the first of blue alone; black between scenes; green, then blue; the clip's last.
    seen = [mean(each) for each in frames(video, 89, 97, 105, 119, 134, 151, 164, 166, 180, 254)]
    assert close(seen[0], RED)
    assert close(seen[1], (127, 0, 127), 30)
    assert close(seen[2], BLUE)
    assert close(seen[4], (0, 0, 0), 30)
    assert close(seen[5], GREEN)
    assert close(seen[6], GREEN)
    assert close(seen[7], BLUE)
    assert close(seen[9], BLUE)


def check_sound(video: Path) -> None:
    heard = sound(video)
    assert level(heard, 150, 0.5, 2.5) == pytest.approx(-18, abs=1)  # half of full scale, 12 dB down
    assert level(heard, 150, 3.1, 4.4) == pytest.approx(-30, abs=1)  # and 12 dB more while somebody speaks
    assert level(heard, 150, 6.2, 7.5) == pytest.approx(-18, abs=1)
    assert level(heard, 400, 3.05, 4.45) == pytest.approx(-12, abs=1)
    assert level(heard, 400, 2.0, 2.98) < -60
    assert level(heard, 400, 4.6, 6.0) < -60
    assert level(heard, 1_000, 4.6, 7.4) == pytest.approx(-24, abs=1.5)  # lavfi's sine is an eighth of full scale
    assert level(heard, 1_000, 7.6, 8.4) < -60  # the clip has ended


def test_portrait_with_texts_in_their_places(bench: Bench, tmp_path: Path) -> None:
    media = {"sea": picture(tmp_path / "sea.jpg", "gray", "640x360")}
    texts = [
        {"content": "Top {of} it\\N", "position": "Top", "size": "Small"},
        {"content": "שלום", "position": "Centre", "size": "Large", "colour": "#FF0000"},
        {"content": "In a box 😀", "position": "Bottom", "look": "Box", "colour": "#00FF00"},
    ]
    scenes = {"scenes": [{"picture": "sea", "durationMilliseconds": 300, "texts": texts},
                         {"picture": "sea", "fit": "Contain", "durationMilliseconds": 300}],
              "thumbnailMilliseconds": 599}  # fmt: skip
    result = compose(bench, scenes, media, shape="Portrait", framesPerSecond=25)
    assert result.metadata["warnings"] == ["Emoji and signs that no font has were left out of the texts: 1."]
    assert [each.name for each in result.outputs] == ["video", "thumbnail"]
    with_text, contained = frames(result.outputs[0].path, 3, 11)
    assert result.outputs[1].metadata == {"seconds": 0.56}, "the last picture, though the time is after its beginning"
    assert with_text.shape == (320, 180, 3)

    def rows(mask: np.ndarray) -> list[int]:
        return list(np.flatnonzero(mask.any(axis=1)))

    red = with_text.astype(int)
    of_red = rows((red[..., 0] > 180) & (red[..., 1] < 90))
    of_green = rows((red[..., 1] > 180) & (red[..., 0] < 90))
    of_white = rows(red.min(axis=2) > 225)
    dark = rows(red.max(axis=2) < 80)
    assert 130 < min(of_red) < max(of_red) < 190
    assert 250 < min(of_green) < max(of_green) < 300
    assert 20 < min(of_white) < max(of_white) < 80
    assert any(row > of_green[-1] for row in dark)  # the box around it
    assert mean(contained[:100])[0] < 5  # bars, above and below the picture
    assert mean(contained[120:200])[0] > 100
    assert mean(contained[-100:])[0] < 5


def test_a_photo_of_a_camera_comes_out_upright_and_cmyk_in_its_colours(bench: Bench, tmp_path: Path) -> None:
    # Red above blue, stored turned by a quarter: the camera's note says how to turn it back.
    stored = tmp_path / "stored.jpg"
    ffmpeg("-f", "lavfi", "-i", "color=red:s=90x160", "-f", "lavfi", "-i", "color=blue:s=90x160", "-filter_complex",
           "[0][1]hstack", "-frames:v", "1", "-q:v", "2", str(stored))  # fmt: skip
    entry = bytes.fromhex("12010300010000000600 0000".replace(" ", ""))
    tiff = b"II*\0" + (8).to_bytes(4, "little") + (1).to_bytes(2, "little") + entry + bytes(4)
    segment = b"Exif\0\0" + tiff
    content = stored.read_bytes()
    turned = tmp_path / "turned.jpg"
    turned.write_bytes(content[:2] + b"\xff\xe1" + (len(segment) + 2).to_bytes(2, "big") + segment + content[2:])
    scenes = {"scenes": [{"picture": "turned", "durationMilliseconds": 300}]}
    (frame,) = frames(compose(bench, scenes, {"turned": turned}, shape="Square").outputs[0].path, 2)
    assert close(mean(frame[:70]), RED)
    assert close(mean(frame[-70:]), BLUE)


def test_a_clip_that_ends_before_it_says_is_held_with_a_warning(bench: Bench, tmp_path: Path) -> None:
    whole = clip(tmp_path / "film.mp4", "lime", "blue", "-movflags", "+faststart")
    cut = tmp_path / "cut.mp4"
    cut.write_bytes(whole.read_bytes()[: whole.stat().st_size * 7 // 10])
    scenes: dict[str, Any] = {
        "scenes": [
            {"clip": "whole"},
            {"clip": "cut", "transition": "CrossFade"},
            {"clip": "whole", "clipStartMilliseconds": 3_000, "durationMilliseconds": 1_500},
        ]
    }
    result = compose(bench, scenes, {"whole": whole, "cut": cut})
    [warning] = result.metadata["warnings"]
    assert re.fullmatch(
        r"Scene 2: clip 'cut' ends after [123]\.\d s, though it says 4\.0 s: the rest cannot be decoded, and the last "
        r"picture stays\.",
        warning,
    )
    assert probe(result.outputs[0].path)["streams"][0]["nb_frames"] == str(round(9.5 * 30))
    assert sorted(path.suffix for path in bench.work.iterdir() if path.is_file()) == [".jpg", ".mp4"]


@pytest.mark.parametrize(
    ("scene", "reason", "sentence"),
    [
        ({"picture": "cut", "durationMilliseconds": 500}, Reason.CORRUPT_MEDIA,
         "Scene 2: picture 'cut' is cut off or damaged."),
        ({"picture": "voice", "durationMilliseconds": 500}, Reason.NOT_MEDIA,
         "Scene 2: picture 'voice' is no picture that can be used; pictures may be JPEG, PNG or WebP, and no clips."),
        ({"colour": "#000000", "narration": "sea"}, Reason.NOT_MEDIA,
         "Scene 2: narration 'sea' is not audio or video in a supported format."),
        ({"colour": "#000000", "narration": "silent-film"}, Reason.EMPTY_MEDIA,
         "Scene 2: narration 'silent-film' is a video without a sound track."),
        ({"colour": "#000000", "narration": "empty"}, Reason.NOT_MEDIA,
         "Scene 2: narration 'empty' is an empty file."),
        ({"clip": "voice", "durationMilliseconds": 500}, Reason.EMPTY_MEDIA, "Scene 2: clip 'voice' has no film."),
        ({"clip": "sea", "durationMilliseconds": 500}, Reason.NOT_MEDIA,
         "Scene 2: clip 'sea' is not audio or video in a supported format."),
        ({"clip": "broken", "durationMilliseconds": 500}, Reason.CORRUPT_MEDIA, "Scene 2: clip 'broken'"),
        ({"clip": "silent-film", "clipSoundDecibels": 0}, Reason.EMPTY_MEDIA,
         "Scene 2: clip 'silent-film' is a video without a sound track."),
    ],
    ids=["picture cut off", "sound as a picture", "picture as narration", "film without sound as narration",
         "empty narration", "sound as a clip", "picture as a clip", "broken clip", "sound of a silent clip"],
)  # fmt: skip
def test_bad_media_are_named_with_their_scene(
    bench: Bench, tmp_path: Path, scene: dict[str, object], reason: Reason, sentence: str
) -> None:
    sea = picture(tmp_path / "sea.jpg", "gray", "320x180", "-vf", "noise=alls=90")
    cut, broken = tmp_path / "cut.jpg", tmp_path / "broken.mp4"
    cut.write_bytes(sea.read_bytes()[: sea.stat().st_size // 2])
    silent = clip(tmp_path / "silent.mp4", "lime", "blue", "-an", "-movflags", "+faststart")
    content = bytearray(silent.read_bytes())
    middle = content.index(b"mdat") + 600
    content[middle:] = bytes(len(content) - middle)
    broken.write_bytes(content)
    (tmp_path / "empty.wav").touch()
    media = {
        "sea": sea, "cut": cut, "voice": tone(tmp_path / "voice.wav", 400, 0.5), "silent-film": silent,
        "broken": broken, "empty": tmp_path / "empty.wav",
    }  # fmt: skip
    with pytest.raises(PhaseError) as caught:
        compose(bench, {"scenes": [{"colour": "#000000", "durationMilliseconds": 200}, scene]}, media)
    assert caught.value.message.startswith(sentence), caught.value.message
    assert caught.value.reason is reason
    assert not (bench.work / "video.mp4").exists()
