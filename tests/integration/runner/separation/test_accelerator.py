from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from audiojob_runner.errors import PhaseError
from audiojob_runner.separation.accelerator import Accelerator, agreement_db
from audiojob_types.contract import Device
from audiojob_types.reasons import Reason


def failing(times: int, error: Exception) -> Callable[[], str]:
    left = [error] * times

    def call() -> str:
        if left:
            raise left.pop()
        return "done"

    return call


def test_a_gpu_without_memory_gets_a_second_try() -> None:
    assert Accelerator(Device.CPU).run(failing(1, torch.OutOfMemoryError("CUDA out of memory")), 0) == "done"


@pytest.mark.parametrize(
    ("error", "code", "reason"),
    [
        pytest.param(torch.OutOfMemoryError("CUDA out of memory"), 79, Reason.GPU_OUT_OF_MEMORY, id="GPU memory"),
        pytest.param(
            RuntimeError("DefaultCPUAllocator: can't allocate memory"), 75, Reason.OUT_OF_MEMORY, id="CPU memory"
        ),
    ],
)
def test_what_torch_fails_with_is_told_apart(error: Exception, code: int, reason: Reason) -> None:
    with pytest.raises(PhaseError) as caught:
        Accelerator(Device.CPU).run(failing(2, error), 0)
    assert (caught.value.exit_code, caught.value.reason) == (code, reason)


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        pytest.param("CUDA error: out of memory", Reason.GPU_OUT_OF_MEMORY, id="others hold all of its memory"),
        pytest.param("CUDA error: CUBLAS_STATUS_ALLOC_FAILED", Reason.GPU_OUT_OF_MEMORY, id="none left for a library"),
        pytest.param("CUDA unknown error", Reason.GPU_ERROR, id="it is broken"),
    ],
)
def test_a_gpu_that_fails_at_its_first_call_ends_with_79(
    monkeypatch: pytest.MonkeyPatch, words: str, reason: Reason
) -> None:
    def full() -> None:
        raise RuntimeError(words)

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "reset_peak_memory_stats", full)
    with pytest.raises(PhaseError) as caught:
        Accelerator(Device.GPU)
    assert (caught.value.exit_code, caught.value.reason) == (79, reason)


def test_other_errors_stay_what_they_are() -> None:
    with pytest.raises(RuntimeError, match="a size does not fit"):
        Accelerator(Device.CPU).run(failing(1, RuntimeError("a size does not fit")), 0)


@pytest.mark.parametrize(
    ("change", "want"),
    [
        pytest.param(lambda sound: sound, 200, id="the same"),
        pytest.param(lambda sound: sound * 1.01, 40, id="one percent off"),
        pytest.param(lambda sound: sound * 1.1, 20, id="ten percent off"),
        pytest.param(lambda sound: sound * float("nan"), float("-inf"), id="not a number"),
        pytest.param(lambda sound: sound * float("inf"), float("-inf"), id="overflow"),
    ],
)
def test_agreement(change: Callable[[torch.Tensor], torch.Tensor], want: float) -> None:
    sound = torch.linspace(0.1, 1, 1_000)
    found = agreement_db(change(sound), sound)
    assert found >= want if want == 200 else found == pytest.approx(want, abs=0.01)


def test_the_cpu_has_nothing_to_tell_and_no_lower_precision() -> None:
    accelerator = Accelerator(Device.CPU, mixed=True)
    kinds = []
    accelerator.run(lambda: kinds.append(torch.is_autocast_enabled("cpu")), 0)
    assert (accelerator.metadata(), kinds) == ({}, [False])


@pytest.mark.parametrize(
    ("noise", "lower"), [(0.001, [True, False, True, True]), (0.1, [True, False, False, False])], ids=["good", "bad"]
)
def test_the_lower_precision_stays_where_it_agrees(
    monkeypatch: pytest.MonkeyPatch, noise: float, lower: list[bool]
) -> None:
    accelerator = Accelerator(Device.CPU)
    monkeypatch.setattr(accelerator, "_mixed", True)  # what a GPU would be allowed
    kinds: list[bool] = []

    def call() -> torch.Tensor:
        kinds.append(torch.is_autocast_enabled("cpu"))
        return torch.ones(100) * (1 + noise * kinds[-1])

    first = accelerator.run(call, 0)
    accelerator.run(call, 0)
    accelerator.run(call, 0)
    assert kinds == lower
    assert torch.equal(first, torch.ones(100))
