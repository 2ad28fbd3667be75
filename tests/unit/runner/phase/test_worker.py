from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from audiojob_runner.phase.worker import Order, ProgressSender, _measured, result_from_record, result_to_record
from audiojob_runner.task import PartialFolders, TaskInput, TaskOutput, TaskResult, Used
from audiojob_types.contract import Device


@pytest.mark.parametrize(
    "keeping",
    [None, PartialFolders(Path("/store/2-b/partial"), (Path("/store/1-a/partial"),))],
    ids=["alone", "with others"],
)
def test_an_order_survives_the_way_to_the_worker(keeping: PartialFolders | None) -> None:
    order = Order(
        inputs=(
            TaskInput("audio", path=Path("/a b/ü.wav"), media_type="audio/wav", metadata={"samples": 3}),
            TaskInput("page", url="https://example.org/?a=1"),
        ),
        run_dir=Path("/scratch/run-1"),
        keeping=keeping,
    )

    assert Order.from_json(order.to_json()) == order
    assert "\n" not in order.to_json()


def test_a_result_survives_the_way_back() -> None:
    result = TaskResult(
        [TaskOutput("vocals", Path("/x/vocals.flac"), "audio/flac", {"samples": 3})], {"untrained": True}
    )

    assert result_from_record(result_to_record(result)) == result


def test_of_many_reports_the_newest_is_sent_at_the_end_and_not_every_one() -> None:
    sent: list[dict[str, Any]] = []
    sender = ProgressSender(sent.append)

    for number in range(10_000):
        sender(number / 100, "working")
    sender(float("nan"), "odd")
    sender(100, "done")
    sender.close()

    assert sent[-1] == {"percent": 100, "message": "done"}
    assert len(sent) < 100


class Cuda:
    """torch.cuda, as far as it is asked."""

    def __init__(self, peak: int | None) -> None:
        self.peak = peak

    def is_initialized(self) -> bool:
        return self.peak != 0

    def max_memory_allocated(self) -> int:
        if self.peak is None:
            raise RuntimeError("CUDA error: an illegal memory access was encountered")
        return self.peak


PEAKS = {
    "what torch has counted": (Cuda(500), Device.GPU, 500),
    "what the task says, where that is more": (Cuda(50), Device.GPU, 100),
    "what the task says, where torch has used no GPU": (Cuda(0), Device.GPU, 100),
    "what the task says, of a GPU that is broken": (Cuda(None), Device.GPU, 100),
    "what the task says, without torch": (None, Device.GPU, 100),
    "nothing on the CPU": (Cuda(500), Device.CPU, 0),
}


@pytest.mark.parametrize(("cuda", "device", "peak"), PEAKS.values(), ids=PEAKS)
def test_the_peak_of_gpu_memory_is(
    monkeypatch: pytest.MonkeyPatch, cuda: Cuda | None, device: Device, peak: int
) -> None:
    monkeypatch.setitem(sys.modules, "torch", SimpleNamespace(cuda=cuda) if cuda else None)
    assert _measured(Used(gpu_peak_bytes=100, written_bytes=7), device) == {
        "gpu_peak_bytes": peak, "media_seconds": 0.0, "written_bytes": 7,
    }  # fmt: skip
