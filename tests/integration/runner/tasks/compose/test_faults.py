"""What stops a film in the making, and what is left then: nothing."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.integration.runner.tasks.compose.making import compose, picture, tone
from tests.integration.runner.tasks.conftest import Bench

from audiojob_runner.errors import PhaseError
from audiojob_types.contract import ExitCode
from audiojob_types.reasons import Reason

SCENES = {"scenes": [{"colour": "#0000FF", "durationMilliseconds": 60_000}, {"picture": "sea", "narration": "voice"}]}


@pytest.fixture
def media(tmp_path: Path) -> dict[str, Path]:
    return {"sea": picture(tmp_path / "sea.png", "gray"), "voice": tone(tmp_path / "voice.wav", 400, 1)}


def test_a_film_that_is_cancelled_leaves_nothing(bench: Bench, media: dict[str, Path]) -> None:
    def stop() -> None:
        if any("Scene" in message for _, message in bench.reports):
            threading.Timer(0.1, bench.cancelled.set).start()

    bench.on_progress = stop
    with pytest.raises(PhaseError) as caught:
        compose(bench, SCENES, media, size="Video720p")
    assert caught.value.exit_code == ExitCode.STOPPED
    assert not (bench.work / "video.mp4").exists()


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        ("echo 'av_interleaved_write_frame(): No space left on device' >&2; exit 1",
         (ExitCode.DISK_FULL, Reason.DISK_FULL)),
        ("kill -9 $$", (ExitCode.TEMPORARY, Reason.OUT_OF_MEMORY)),
        ("exit 0", (ExitCode.TEMPORARY, Reason.TEMPORARY_FAILURE)),
        ("exec sleep 300", (ExitCode.TEMPORARY, Reason.TEMPORARY_FAILURE)),
    ],
    ids=["the disk is full", "the encoder is killed", "no picture comes out", "the encoder stands still"],
)  # fmt: skip
def test_an_encoder_that_fails(
    bench: Bench,
    media: dict[str, Path],
    break_encoder: Callable[[str, str], None],
    fault: str,
    error: tuple[ExitCode, Reason],
) -> None:
    break_encoder(fault, "-filter_complex")
    with pytest.raises(PhaseError) as caught:
        compose(bench, SCENES, media)
    assert (caught.value.exit_code, caught.value.reason) == error, caught.value.message
    assert not (bench.work / "video.mp4").exists()
