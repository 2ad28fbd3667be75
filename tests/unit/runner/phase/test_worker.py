from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from audiojob_runner.phase.worker import Order, ProgressSender, result_from_record, result_to_record
from audiojob_runner.task import PartialFolders, TaskInput, TaskOutput, TaskResult


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
