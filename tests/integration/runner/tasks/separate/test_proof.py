"""The proof model, from a folder as an administrator fills it: stems differ, and options do what they say."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from tests.integration.runner.tasks.conftest import Bench

from audiojob_dev.models.proof_music import SOURCES, Piece, make_piece, sdr
from audiojob_dev.models.train_proof_model import DEFAULT_FOLDER, HELD_OUT, SIGNATURE
from audiojob_types.tasks import Task

RATE = 44_100


@pytest.fixture
def proof(bench: Bench) -> Bench:
    """A bench whose models folder holds the proof model."""
    shutil.copytree(DEFAULT_FOLDER, bench.models, dirs_exist_ok=True)
    return bench


def store(path: Path, piece: Piece) -> Path:
    soundfile.write(path, piece.mix.T, RATE, subtype="FLOAT")
    return path


def read(path: Path) -> np.ndarray[Any, Any]:
    sound, _ = soundfile.read(path, dtype="float32", always_2d=True)
    return np.asarray(sound).T


def test_the_model_is_small_and_named_as_published_ones_are() -> None:
    names = sorted(path.name for path in DEFAULT_FOLDER.iterdir())
    assert names[-1] == "audiojob_proof.yaml"
    assert names[0].startswith(f"{SIGNATURE}-")
    assert sum(path.stat().st_size for path in DEFAULT_FOLDER.iterdir()) <= 5 * 1024**2


def test_held_out_mixes_come_apart(proof: Bench, tmp_path: Path) -> None:
    """Signal to distortion is at least 6 dB better than that of the mixture, for both stems, on music never heard."""
    gains: dict[str, list[float]] = {source: [] for source in SOURCES}
    for seed in HELD_OUT:
        piece = make_piece(seed, 6.0)
        source = store(tmp_path / "mix.wav", piece)
        result = proof.run(Task.SEPARATE, source, model="audiojob_proof", format="wav")
        assert [output.name for output in result.outputs] == list(SOURCES)
        for output in result.outputs:
            true = getattr(piece, output.name)
            gains[output.name].append(sdr(read(output.path), true) - sdr(piece.mix, true))
    assert {source: np.mean(values) >= 6 for source, values in gains.items()} == dict.fromkeys(SOURCES, True), gains


@pytest.mark.parametrize(
    ("parameters", "limit"),
    [
        pytest.param({"format": "wav"}, 1e-6, id="32-bit float"),
        pytest.param({"format": "wav", "bitDepth": "Int16"}, 2**-14, id="16 bits"),
        pytest.param({"format": "flac"}, 2**-21, id="FLAC"),
    ],
)
def test_stems_add_up_to_the_input_where_asked(
    proof: Bench, tmp_path: Path, parameters: dict[str, Any], limit: float
) -> None:
    source = store(tmp_path / "mix.wav", make_piece(21, 9.0))
    given = {"model": "audiojob_proof", **parameters}
    asked = proof.run(Task.SEPARATE, source, sumToMix=True, **given).outputs
    assert np.abs(sum(read(output.path) for output in asked) - read(source)).max() <= limit
    unasked = proof.run(Task.SEPARATE, source, **given).outputs
    assert np.abs(sum(read(output.path) for output in unasked) - read(source)).max() > limit


def test_one_stem_at_another_rate_as_mp3(proof: Bench, tmp_path: Path) -> None:
    source = store(tmp_path / "mix.wav", make_piece(22, 7.0))
    chosen = {"model": "audiojob_proof", "keep": ["percussive"], "sampleRate": 48_000, "format": "mp3"}
    (output,) = proof.run(Task.SEPARATE, source, **chosen).outputs
    assert (output.name, output.path.name, output.media_type) == ("percussive", "percussive.mp3", "audio/mpeg")
    info = soundfile.info(output.path)
    assert (info.samplerate, info.subtype) == (48_000, "MPEG_LAYER_III")
    assert output.metadata["durationSeconds"] == pytest.approx(7.0, abs=0.1)
    assert output.metadata["clippedSamples"] >= 0


@pytest.mark.parametrize("stems", ["TwoStems", "AllStems"])
def test_a_model_of_two_stems_gives_its_own(proof: Bench, tmp_path: Path, stems: str) -> None:
    source = store(tmp_path / "mix.wav", make_piece(23, 1.0))
    result = proof.run(Task.SEPARATE, source, model="audiojob_proof", stems=stems)
    assert [output.name for output in result.outputs] == list(SOURCES)
