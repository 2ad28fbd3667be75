"""Separate with the real demucs: its untrained network, and small networks stored as the published ones are."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from tests.integration.runner.tasks.conftest import Bench

from audiojob_runner.errors import PhaseError
from audiojob_types.contract import Device
from audiojob_types.reasons import Reason
from audiojob_types.tasks import Task

RATE = 44_100
UNTRAINED = "demucs_unittest"


def music(path: Path, samples: int, *, rate: int = RATE, channels: int = 2, subtype: str = "PCM_16") -> Path:
    sound = np.random.default_rng(3).uniform(-0.5, 0.5, (samples, channels)).astype(np.float32)
    soundfile.write(path, sound, rate, subtype=subtype)
    return path


def read(path: Path) -> np.ndarray[Any, Any]:
    sound, rate = soundfile.read(path, dtype="float32", always_2d=True)
    assert rate == RATE
    return np.asarray(sound)


def tiny_model(folder: Path, name: str, signature: str = "a1b2c3d4") -> Path:
    """A real demucs network with few weights, stored as the published models are: YAML, and a checksummed pickle."""
    from demucs.hdemucs import HDemucs

    torch.manual_seed(5)
    sources = ["drums", "bass", "other", "vocals"]
    if name == "htdemucs_6s":
        sources += ["guitar", "piano"]
    network = HDemucs(channels=4, sources=sources)
    package = {
        "klass": HDemucs,
        "args": (),
        "kwargs": {"channels": 4, "sources": sources, "segment": 2},
        "state": network.state_dict(),
    }
    path = folder / f"{signature}.th"
    torch.save(package, path)
    checksum = hashlib.sha256(path.read_bytes()).hexdigest()[:8]
    (folder / f"{name}.yaml").write_text(f"models: ['{signature}']\n")
    return path.rename(folder / f"{signature}-{checksum}.th")


@pytest.mark.parametrize(
    ("parameters", "names"),
    [
        pytest.param({"stems": "TwoStems", "format": "wav"}, ["vocals", "accompaniment"], id="two stems as WAV"),
        pytest.param({}, ["vocals", "drums", "bass", "other"], id="four stems as FLAC"),
    ],
)
def test_stems_are_as_long_as_the_input(
    bench: Bench, tmp_path: Path, parameters: dict[str, Any], names: list[str]
) -> None:
    result = bench.run(Task.SEPARATE, music(tmp_path / "mix.wav", 50_001), model=UNTRAINED, **parameters)
    assert [output.name for output in result.outputs] == names
    extension = parameters.get("format", "flac")
    for output in result.outputs:
        sound = read(output.path)
        assert sound.shape == (50_001, 2)
        assert np.isfinite(sound).all()
        assert np.abs(sound).max() > 0
        assert (output.path.suffix, output.media_type) == (f".{extension}", f"audio/{extension}")
        assert output.metadata["samples"] == 50_001
    assert result.metadata["untrained"] is True
    assert result.metadata["chunks"] == 1


def test_the_accompaniment_is_the_sum_of_what_is_not_vocals(bench: Bench, tmp_path: Path) -> None:
    mix = music(tmp_path / "mix.wav", 30_000)
    four = bench.run(Task.SEPARATE, mix, model=UNTRAINED, format="wav").outputs
    parts = {output.name: read(output.path) for output in four}
    two = bench.run(Task.SEPARATE, mix, model=UNTRAINED, format="wav", stems="TwoStems").outputs
    accompaniment = read(two[1].path)
    assert np.allclose(accompaniment, parts["drums"] + parts["bass"] + parts["other"], atol=1e-6)
    assert np.allclose(read(two[0].path), parts["vocals"], atol=1e-6)


@pytest.mark.parametrize("samples", [1, 2, 3, 1_000])
def test_the_shortest_files_can_be_separated(bench: Bench, tmp_path: Path, samples: int) -> None:
    result = bench.run(Task.SEPARATE, music(tmp_path / "mix.wav", samples), model=UNTRAINED, format="wav")
    for output in result.outputs:
        assert read(output.path).shape == (samples, 2)


def test_silence_stays_silence(bench: Bench, tmp_path: Path) -> None:
    soundfile.write(tmp_path / "mix.wav", np.zeros((20_000, 2)), RATE)
    result = bench.run(Task.SEPARATE, tmp_path / "mix.wav", model=UNTRAINED, format="wav")
    assert all(np.abs(read(output.path)).max() < 1e-5 for output in result.outputs)


@pytest.mark.parametrize("extra", [1, 2, 3], ids=lambda extra: f"{extra} samples in the last chunk")
def test_a_last_chunk_of_a_few_samples_is_no_trouble(bench: Bench, tmp_path: Path, extra: int) -> None:
    """demucs itself fails on these lengths."""
    tiny_model(bench.models, "hdemucs_mmi")
    samples = 3 * int(0.75 * 2 * RATE) + extra
    result = bench.run(Task.SEPARATE, music(tmp_path / "mix.wav", samples), model="hdemucs_mmi", format="wav")
    assert all(read(output.path).shape == (samples, 2) for output in result.outputs)


def test_a_model_from_the_volume_and_its_percentage(bench: Bench, tmp_path: Path) -> None:
    tiny_model(bench.models, "htdemucs")
    result = bench.run(Task.SEPARATE, music(tmp_path / "mix.wav", 5 * RATE), model="htdemucs", shifts=2, seed=1)
    assert "untrained" not in result.metadata
    percents = [percent for percent, _ in bench.reports]
    assert percents == sorted(percents)
    assert percents[0] == 0
    assert percents[-1] == 100
    # One report for each end of a chunk, in even steps: the percentage is counted, not guessed.
    chunks = result.metadata["chunks"]
    assert chunks == 8
    steps = sorted({percent for percent in percents if 2 < percent <= 99})
    assert len(steps) == chunks
    assert max(np.diff([2, *steps])) == pytest.approx(97 / chunks, abs=0.01)


def test_six_stems_need_and_get_their_model(bench: Bench, tmp_path: Path) -> None:
    tiny_model(bench.models, "htdemucs_6s")
    mix = music(tmp_path / "mix.wav", 20_000)
    six = bench.run(Task.SEPARATE, mix, model="htdemucs_6s", stems="SixStems", format="wav").outputs
    assert [output.name for output in six] == ["vocals", "drums", "bass", "other", "guitar", "piano"]
    parts = {output.name: read(output.path) for output in six}
    four = bench.run(Task.SEPARATE, mix, model="htdemucs_6s", stems="FourStems", format="wav").outputs
    assert np.allclose(read(four[3].path), parts["other"] + parts["guitar"] + parts["piano"], atol=1e-6)


def test_the_same_seed_gives_the_same_stems(bench: Bench, tmp_path: Path) -> None:
    tiny_model(bench.models, "htdemucs")
    mix = music(tmp_path / "mix.wav", 20_000)

    def vocals(seed: int) -> np.ndarray[Any, Any]:
        outputs = bench.run(Task.SEPARATE, mix, model="htdemucs", shifts=1, seed=seed, format="wav").outputs
        return read(outputs[0].path)

    first = vocals(1)
    assert np.array_equal(vocals(1), first)
    assert not np.array_equal(vocals(2), first)


def remove_weights(weights: Path) -> None:
    weights.unlink()


def flip_a_byte(weights: Path) -> None:
    content = bytearray(weights.read_bytes())
    content[len(content) // 2] ^= 0xFF
    weights.write_bytes(content)


def replace_by_text(weights: Path) -> None:
    weights.rename(weights.with_name("a1b2c3d4.th")).write_text("no weights")


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        pytest.param(remove_weights, Reason.MODEL_MISSING, id="the weights are missing"),
        pytest.param(flip_a_byte, Reason.CHECKSUM_MISMATCH, id="a byte of the weights is flipped"),
        pytest.param(replace_by_text, Reason.MODEL_MISSING, id="the weights are a text"),
    ],
)
def test_a_model_that_cannot_be_used(
    bench: Bench, tmp_path: Path, damage: Callable[[Path], None], reason: Reason
) -> None:
    damage(tiny_model(bench.models, "htdemucs"))
    with pytest.raises(PhaseError) as caught:
        bench.run(Task.SEPARATE, music(tmp_path / "mix.wav", 1_000), model="htdemucs")
    assert (caught.value.exit_code, caught.value.reason) == (64, reason)
    assert "htdemucs" in caught.value.message


def test_a_missing_model_is_neither_fetched_nor_replaced(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import socket

    tiny_model(bench.models, "mdx")

    def no_network(*_: object, **__: object) -> None:
        pytest.fail("the network was asked")

    monkeypatch.setattr(socket, "getaddrinfo", no_network)
    monkeypatch.setattr(socket.socket, "connect", no_network)
    with pytest.raises(PhaseError) as caught:
        bench.run(Task.SEPARATE, music(tmp_path / "mix.wav", 1_000), model="htdemucs")
    assert caught.value.reason is Reason.MODEL_MISSING


@pytest.mark.skipif(torch.cuda.is_available(), reason="a GPU is here")
def test_without_a_gpu_the_gpu_phase_says_so(bench: Bench, tmp_path: Path) -> None:
    bench.device = Device.GPU
    with pytest.raises(PhaseError) as caught:
        bench.run(Task.SEPARATE, music(tmp_path / "mix.wav", 1_000), model=UNTRAINED)
    assert (caught.value.exit_code, caught.value.reason) == (79, Reason.GPU_ERROR)


def not_finite(path: Path) -> Path:
    sound = np.zeros((1_000, 2), dtype=np.float32)
    sound[500, 0] = np.nan
    soundfile.write(path, sound, RATE, subtype="FLOAT")
    return path


def empty(path: Path) -> Path:
    soundfile.write(path, np.zeros((0, 2)), RATE)
    return path


def text(path: Path) -> Path:
    path.write_text("no sound")
    return path


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        pytest.param(text, Reason.NOT_MEDIA, id="a text"),
        pytest.param(lambda path: music(path, 100, rate=48_000), Reason.NOT_MEDIA, id="another sample rate"),
        pytest.param(lambda path: music(path, 100, channels=1), Reason.NOT_MEDIA, id="one channel"),
        pytest.param(lambda path: music(path.with_suffix(".flac"), 100), Reason.NOT_MEDIA, id="another container"),
        pytest.param(empty, Reason.EMPTY_MEDIA, id="no samples"),
        pytest.param(not_finite, Reason.CORRUPT_MEDIA, id="not-a-number among the samples"),
    ],
)
def test_inputs_that_normalize_did_not_make(
    bench: Bench, tmp_path: Path, make: Callable[[Path], Path], reason: Reason
) -> None:
    with pytest.raises(PhaseError) as caught:
        bench.run(Task.SEPARATE, make(tmp_path / "mix.wav"), model=UNTRAINED)
    assert (caught.value.exit_code, caught.value.reason) == (65, reason)


def test_cancelling_stops_between_chunks(bench: Bench, tmp_path: Path) -> None:
    tiny_model(bench.models, "htdemucs")

    def stop() -> None:
        if bench.reports[-1][0] > 10:
            bench.cancelled.set()

    bench.on_progress = stop
    with pytest.raises(PhaseError) as caught:
        bench.run(Task.SEPARATE, music(tmp_path / "mix.wav", 10 * RATE), model="htdemucs")
    assert (caught.value.exit_code, caught.value.reason) == (143, Reason.STOPPED)
    assert list(bench.work.iterdir()) == []
