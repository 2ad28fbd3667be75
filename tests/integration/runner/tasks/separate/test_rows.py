"""Rows of docs/faults.md in Separate: bad input (B25, B28), a GPU without memory (F30), a stop (F33), a hang (F35)."""

from __future__ import annotations

import os
import shutil
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from tests.integration.runner.pods import PodFolder, Running, eventually, is_alive
from tests.integration.runner.stores import StoreFolder
from tests.integration.runner.tasks.conftest import Bench
from tests.integration.runner.tasks.separate.networks import store_bag, store_network

import audiojob_runner
import audiojob_types
from audiojob_runner.cli import main
from audiojob_runner.errors import PhaseError
from audiojob_types.contract import Device
from audiojob_types.parameters import InvalidParameters, resolve_parameters
from audiojob_types.reasons import Reason
from audiojob_types.tasks import Task

RATE = 44_100
UNTRAINED = "demucs_unittest"
MIX_KEY = "demo/uploads/mix.wav"
GPU = torch.cuda.is_available()


def sound_of(kind: str, samples: int) -> np.ndarray[Any, Any]:
    sound = np.random.default_rng(6).uniform(-0.5, 0.5, (samples, 2)).astype(np.float32)
    if kind == "zeros":
        sound[:] = 0
    if kind == "NaN":
        sound[samples // 2, 1] = np.nan
    return sound


@pytest.mark.parametrize(
    ("kind", "samples", "reason"),
    [
        pytest.param("noise", 1, None, id="one sample"),
        pytest.param("zeros", 1, None, id="one sample of silence"),
        pytest.param("zeros", 60_000, None, id="all zeros"),
        pytest.param("NaN", 60_000, Reason.CORRUPT_MEDIA, id="NaN among the samples"),
        pytest.param("noise", 0, Reason.EMPTY_MEDIA, id="no samples"),
    ],
)
def test_B25_odd_sound_is_separated_or_refused_with_its_reason(  # noqa: N802 - the row's name
    bench: Bench, tmp_path: Path, kind: str, samples: int, reason: Reason | None
) -> None:
    soundfile.write(tmp_path / "mix.wav", sound_of(kind, samples), RATE, subtype="FLOAT")
    if reason is not None:
        with pytest.raises(PhaseError) as caught:
            bench.run(Task.SEPARATE, tmp_path / "mix.wav", model=UNTRAINED)
        assert (caught.value.exit_code, caught.value.reason) == (65, reason)
        assert caught.value.suggestion
        assert list(bench.work.iterdir()) == []
        return
    for output in bench.run(Task.SEPARATE, tmp_path / "mix.wav", model=UNTRAINED, format="wav").outputs:
        stem, _ = soundfile.read(output.path, always_2d=True)
        assert stem.shape == (samples, 2)
        assert np.isfinite(stem).all()
        assert kind != "zeros" or np.abs(stem).max() < 1e-5


@pytest.mark.parametrize("name", ["evil/x", "hf://a/b", "../m", "", "unknown", "mdx_q", "955717e8", "HTDEMUCS"])
def test_B28_model_names_outside_the_list_are_refused(  # noqa: N802 - the row's name
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(InvalidParameters) as caught:
        resolve_parameters(Task.SEPARATE, {"model": name})
    assert caught.value.field == "parameters.separate.model"
    assert "htdemucs_ft" in caught.value.message
    command = ["run", "Separate", "--input", f"audio={__file__}", "--out", str(tmp_path / "out")]
    assert main([*command, "--param", f"model={name}"]) == 64
    assert "parameters.separate.model" in capsys.readouterr().err


def fail_with(monkeypatch: pytest.MonkeyPatch, error: Exception, after: int = 0) -> list[int]:
    """Let the network itself fail from a call on, below demucs' apply_model; the list counts the calls."""
    from demucs.hdemucs import HDemucs

    calls: list[int] = []
    forward = HDemucs.forward

    def failing(network: Any, mix: torch.Tensor) -> torch.Tensor:
        calls.append(1)
        if len(calls) > after:
            raise error
        result: torch.Tensor = forward(network, mix)
        return result

    monkeypatch.setattr(HDemucs, "forward", failing)
    return calls


@pytest.mark.parametrize("after", [0, 2], ids=["in the first chunk", "in the third chunk"])
def test_F30_a_gpu_without_memory_ends_with_79_and_leaves_nothing(  # noqa: N802 - the row's name
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, after: int
) -> None:
    store_network(bench.models, "aaaaaaaa")
    store_bag(bench.models, "mdx", ["aaaaaaaa"])
    soundfile.write(tmp_path / "mix.wav", sound_of("noise", 8 * RATE), RATE)
    calls = fail_with(monkeypatch, torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"), after)

    with pytest.raises(PhaseError) as caught:
        bench.run(Task.SEPARATE, tmp_path / "mix.wav", model="mdx")

    assert (caught.value.exit_code, caught.value.reason) == (79, Reason.GPU_OUT_OF_MEMORY)
    assert "CPU" in caught.value.suggestion
    assert len(calls) == after + 2  # once more, with what could be given back
    assert list(bench.work.iterdir()) == []


def test_F30_a_gpu_phase_without_a_gpu_ends_with_79(pod_with_mix: PodFolder) -> None:  # noqa: N802 - the row's name
    if GPU:
        pytest.skip("a GPU is here")
    write_phase(pod_with_mix, device="GPU")
    ended = pod_with_mix.run()
    assert (ended.code, ended.result.reason) == (79, "GpuError"), ended.stderr


@pytest.mark.skipif(not GPU, reason="not run: needs a GPU")
@pytest.mark.parametrize("precision", ["Full", "Mixed"])
def test_on_a_gpu_stems_agree_with_those_of_the_cpu(bench: Bench, tmp_path: Path, precision: str) -> None:
    store_network(bench.models, "aaaaaaaa")
    store_bag(bench.models, "mdx", ["aaaaaaaa"])
    soundfile.write(tmp_path / "mix.wav", sound_of("noise", 8 * RATE), RATE)
    stems = []
    held = []
    # Twice on the GPU: what cuBLAS takes for itself in the first run, torch counts as allocated for good.
    for device in (Device.CPU, Device.GPU, Device.GPU):
        bench.device = device
        result = bench.run(Task.SEPARATE, tmp_path / "mix.wav", model="mdx", format="wav", precision=precision)
        stems.append([soundfile.read(output.path)[0] for output in result.outputs])
        held.append(torch.cuda.memory_allocated())
        assert device is Device.CPU or result.metadata["gpuPeakBytes"] > 0
    assert held[2] <= held[1]
    for of_cpu, of_gpu in zip(*stems[:2], strict=True):
        assert 10 * np.log10((of_cpu**2).sum() / ((of_gpu - of_cpu) ** 2).sum()) >= 30


@pytest.mark.skipif(not GPU, reason="not run: needs a GPU")
def test_F30_a_real_gpu_that_is_full_ends_with_79(bench: Bench, tmp_path: Path) -> None:  # noqa: N802
    soundfile.write(tmp_path / "mix.wav", sound_of("noise", 8 * RATE), RATE)
    bench.device = Device.GPU
    torch.cuda.empty_cache()
    torch.cuda.set_per_process_memory_fraction(1e-4)
    try:
        with pytest.raises(PhaseError) as caught:
            bench.run(Task.SEPARATE, tmp_path / "mix.wav", model=UNTRAINED)
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    assert (caught.value.exit_code, caught.value.reason) == (79, Reason.GPU_OUT_OF_MEMORY)


@pytest.fixture
def pod_with_mix(folder_pod: PodFolder, folder_store: StoreFolder) -> PodFolder:
    """A pod whose store has three minutes of noise, and whose models folder a network that needs a while for them."""
    mix = folder_store.root / MIX_KEY
    mix.parent.mkdir(parents=True)
    soundfile.write(mix, sound_of("noise", 180 * RATE), RATE)
    store_network(folder_pod.root / "models", "aaaaaaaa", "HDemucs", channels=16)
    store_bag(folder_pod.root / "models", "mdx", ["aaaaaaaa"])
    # The code under test is what this process has imported, wherever that lies.
    folders = {str(Path(module.__path__[0]).parent) for module in (audiojob_runner, audiojob_types)}
    folder_pod.environ["PYTHONPATH"] = os.pathsep.join(folders)
    return folder_pod


def write_phase(pod: PodFolder, **fields: Any) -> None:
    audio = {"name": "audio", "key": MIX_KEY}
    pod.write_phase("Separate", {"model": "mdx"}, inputs=[audio], **fields)


@pytest.mark.integration
def test_a_disk_that_fills_up_while_stems_are_written_ends_with_78(
    pod_with_mix: PodFolder, folder_store: StoreFolder
) -> None:
    unshare = shutil.which("unshare")
    assert unshare, "install util-linux"
    # The mix alone takes 32 MB; the stems would take four times that.
    script = f'mount -t tmpfs -o size=40m tmpfs "{pod_with_mix.root / "scratch"}" && "$@"'
    pod_with_mix.wrapper = (unshare, "--user", "--map-root-user", "--mount", "sh", "-c", script, "sh")
    write_phase(pod_with_mix)
    ended = pod_with_mix.run()
    assert (ended.code, ended.result.reason) == (78, "DiskFull"), ended.stderr
    assert folder_store.published() == [MIX_KEY]


def until_separating(running: Running) -> None:
    """Look at the log until the first chunk is being heard."""

    def separating() -> bool:
        assert is_alive(running.process.pid), f"the phase ended before it separated:\n{running.log.read_text()}"
        return "chunks" in running.log.read_text()

    eventually(separating, "the first chunk", seconds=60)


@pytest.mark.integration
def test_F33_a_stop_in_separate_ends_with_143_and_publishes_nothing(  # noqa: N802 - the row's name
    pod_with_mix: PodFolder, folder_store: StoreFolder
) -> None:
    write_phase(pod_with_mix)
    running = pod_with_mix.start()
    until_separating(running)
    children = running.descendants()
    running.stop()
    ended = running.wait()
    assert (ended.code, ended.result.reason) == (143, "Stopped"), ended.stderr
    eventually(lambda: not any(Path(f"/proc/{child}").exists() for child in children), "the worker is gone")
    assert folder_store.published() == [MIX_KEY]
    assert list((pod_with_mix.root / "scratch").rglob("*.flac")) == []


@pytest.mark.integration
def test_F35_a_network_that_hangs_is_ended_as_stalled(  # noqa: N802 - the row's name
    pod_with_mix: PodFolder, folder_store: StoreFolder
) -> None:
    write_phase(pod_with_mix, limits={"stallSeconds": 20})
    running = pod_with_mix.start()
    until_separating(running)
    (worker,) = running.descendants()
    os.kill(worker, signal.SIGSTOP)
    ended = running.wait(60)
    assert (ended.code, ended.result.reason) == (75, "Stalled"), ended.stderr
    assert not Path(f"/proc/{worker}").exists()
    assert folder_store.published() == [MIX_KEY]
