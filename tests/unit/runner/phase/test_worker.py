from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest

from audiojob_runner.errors import PhaseError
from audiojob_runner.local import Display, parse_inputs, parse_parameters
from audiojob_runner.phase.progress import Progress
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


@pytest.mark.parametrize(
    ("pairs", "code"),
    [
        pytest.param(["song.wav"], 64, id="no name"),
        pytest.param(["=song.wav"], 64, id="an empty name"),
        pytest.param(["source="], 64, id="nothing behind the name"),
        pytest.param(["source=https://a.example/1", "source=https://a.example/2"], 64, id="the same name twice"),
        pytest.param(["source=/no/such/file.wav"], 66, id="a file that is not there"),
    ],
)
def test_bad_inputs_of_the_command_line_are_refused(pairs: list[str], code: int) -> None:
    with pytest.raises(PhaseError) as caught:
        parse_inputs(pairs)
    assert caught.value.exit_code == code


def test_inputs_are_files_or_addresses(tmp_path: Path) -> None:
    (tmp_path / "a=b.wav").write_bytes(b"x")

    file, page = parse_inputs([f"source={tmp_path}/a=b.wav", "page=https://example.org/?a=b"])

    assert (file.name, file.path, file.url) == ("source", (tmp_path / "a=b.wav").resolve(), None)
    assert (page.path, page.url) == (None, "https://example.org/?a=b")


def test_parameters_are_json_or_words() -> None:
    assert parse_parameters(["shifts=2", "model=htdemucs", "flag=true", "text=a=b"]) == {
        "shifts": 2,
        "model": "htdemucs",
        "flag": True,
        "text": "a=b",
    }
    with pytest.raises(PhaseError):
        parse_parameters(["model"])


def test_without_a_terminal_progress_is_a_line_for_every_tenth() -> None:
    stream = io.StringIO()
    display = Display(stream, "Separate")

    for percent in range(101):
        display.show(Progress(percent, "chunk", None))
    display.end()

    assert len(stream.getvalue().splitlines()) == 11
    assert "\x1b" not in stream.getvalue()
