"""Prefetch against a real web server on loopback that misbehaves, and real files in a folder."""
# ruff: noqa: N802 - row ids as the table writes them

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from tests.integration.runner.pods import eventually
from tests.integration.runner.prefetch.filling import (
    ONE,
    ONE_NAME,
    ONE_PATH,
    SIZE,
    THREE,
    THREE_NAME,
    THREE_PATH,
    TWO,
    TWO_NAME,
    TWO_PATH,
    Filling,
    ranges,
    sha256,
)
from tests.integration.runner.tasks.web import Handler, running

from audiojob_dev.tools.processes import free_port
from audiojob_runner.errors import PhaseError
from audiojob_runner.fetch.partial.transfer import MAX_BREAKS
from audiojob_runner.models import fetch as weightfetch
from audiojob_runner.models.volume import LOCK_NAME
from audiojob_runner.phase.watchdog import Interruption, stopped_by
from audiojob_runner.prefetch.command import exit_code_of
from audiojob_types.models import ModelState
from audiojob_types.reasons import Reason


def test_files_are_fetched_verified_and_recorded(filling: Filling) -> None:
    assert filling.run("htdemucs", "mdx") == []
    assert filling.files() == {ONE_NAME, TWO_NAME, THREE_NAME, "htdemucs.yaml", "mdx.yaml", LOCK_NAME}
    assert (filling.root / ONE_NAME).read_bytes() == ONE
    assert filling.lock() == {ONE_NAME: sha256(ONE), TWO_NAME: sha256(TWO), THREE_NAME: sha256(THREE)}
    assert yaml.safe_load((filling.root / "mdx.yaml").read_text(encoding="utf-8")) == {
        "models": ["0000000b", "0000000c", "0000000b"],
        "weights": [[1.0, 0.0], [0.5, 1.0], [0.0, 1.0]],
        "segment": 44,
    }
    assert [path for path, _ in filling.asked()] == [ONE_PATH, TWO_PATH, THREE_PATH], "each file once"
    last = filling.last("mdx")
    assert (last.state, last.percent) == (ModelState.READY, 100)
    assert last.files == {TWO_NAME: sha256(TWO), THREE_NAME: sha256(THREE)}


def test_the_percentage_counts_files_and_bytes(filling: Filling) -> None:
    filling.run("mdx")
    percents = [record.percent for name, record in filling.reports if name == "mdx"]
    assert percents == sorted(percents)
    assert {0, 50, 100} <= set(percents)
    assert len(set(percents)) > 4


def test_what_is_there_is_verified_and_not_fetched_again(filling: Filling) -> None:
    filling.run("htdemucs")
    filling.web.asked.clear()
    assert filling.run("htdemucs") == []
    assert filling.asked() == []
    assert {record.state for _, record in filling.reports} == {ModelState.READY}, "jobs need not wait for that"


def test_files_that_an_administrator_put_there_are_taken_over_and_recorded(filling: Filling) -> None:
    filling.root.mkdir()
    (filling.root / ONE_NAME).write_bytes(ONE)
    assert filling.run("htdemucs") == []
    assert filling.asked() == []
    assert filling.lock() == {ONE_NAME: sha256(ONE)}


# ---------------------------------------------------------------- resume


def test_a_transfer_that_breaks_off_goes_on_where_it_was(filling: Filling) -> None:
    filling.web.routes[f"/demucs/{ONE_PATH}"] = ranges(ONE, cut=SIZE // 3 + 1)
    assert filling.run("htdemucs") == []
    starts = [int(asked.removeprefix("bytes=").removesuffix("-") or 0) for _, asked in filling.asked()]
    assert starts[0] == 0
    assert starts == sorted(set(starts))
    assert (filling.root / ONE_NAME).read_bytes() == ONE


def test_what_an_earlier_run_has_left_is_gone_on_with(filling: Filling) -> None:
    filling.root.mkdir()
    (filling.root / f"{ONE_NAME}.part").write_bytes(ONE[:1000])
    assert filling.run("htdemucs") == []
    assert filling.asked() == [(ONE_PATH, "bytes=1000-")]


@pytest.mark.parametrize("make", [os.mkfifo, lambda path: path.symlink_to(path.with_name("elsewhere"))])
def test_a_part_that_is_no_file_is_replaced(filling: Filling, make: Callable[[Path], object]) -> None:
    filling.root.mkdir()
    (filling.root / "elsewhere").write_bytes(b"another's")
    make(filling.root / f"{ONE_NAME}.part")
    assert filling.run("htdemucs") == []
    assert (filling.root / ONE_NAME).read_bytes() == ONE
    assert (filling.root / "elsewhere").read_bytes() == b"another's"


def test_a_part_that_is_whole_already_is_put_in_place(filling: Filling) -> None:
    filling.root.mkdir()
    (filling.root / f"{ONE_NAME}.part").write_bytes(ONE)
    assert filling.run("htdemucs") == []
    assert (filling.root / ONE_NAME).read_bytes() == ONE


@pytest.mark.parametrize("extra", [b"x", ONE], ids=["by one byte", "twice as long"])
def test_a_part_that_is_too_long_is_thrown_away(filling: Filling, extra: bytes) -> None:
    filling.root.mkdir()
    (filling.root / f"{ONE_NAME}.part").write_bytes(ONE + extra)
    assert filling.run("htdemucs") == []
    assert (filling.root / ONE_NAME).read_bytes() == ONE


def test_a_server_without_ranges_is_asked_for_the_whole_file(filling: Filling) -> None:
    filling.web.serve(f"/demucs/{ONE_PATH}", ONE)
    filling.root.mkdir()
    (filling.root / f"{ONE_NAME}.part").write_bytes(b"rubbish" * 100)
    assert filling.run("htdemucs") == []
    assert (filling.root / ONE_NAME).read_bytes() == ONE


def test_a_server_that_answers_another_range_is_not_believed(filling: Filling) -> None:
    def other(handler: Handler) -> None:
        if handler.headers.get("Range"):
            handler.answer(206, ONE[5:], Content_Range=f"bytes 5-{SIZE - 1}/{SIZE}")
        else:
            handler.answer(200, ONE)

    filling.web.routes[f"/demucs/{ONE_PATH}"] = other
    filling.root.mkdir()
    (filling.root / f"{ONE_NAME}.part").write_bytes(ONE[:1000])
    assert filling.run("htdemucs") == []
    assert (filling.root / ONE_NAME).read_bytes() == ONE


# ---------------------------------------------------------------- corruption


def test_F41_a_damaged_part_is_found_out_and_fetched_again(filling: Filling) -> None:
    filling.root.mkdir()
    (filling.root / f"{ONE_NAME}.part").write_bytes(b"x" + ONE[1:1000])
    assert filling.run("htdemucs") == []
    assert (filling.root / ONE_NAME).read_bytes() == ONE
    assert [asked for _, asked in filling.asked()] == ["bytes=1000-", ""]


def test_F41_a_file_that_was_damaged_in_the_volume_is_replaced(filling: Filling) -> None:
    filling.run("htdemucs")
    content = bytearray(ONE)
    content[SIZE // 2] ^= 0xFF
    (filling.root / ONE_NAME).write_bytes(content)
    assert filling.run("htdemucs") == []
    assert (filling.root / ONE_NAME).read_bytes() == ONE
    assert filling.last().state is ModelState.READY


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(TWO, id="another file"),
        pytest.param(ONE[:-1], id="all but the last byte, with a length that says so"),
        pytest.param(b"<html>Please log in</html>", id="a page of a portal"),
        pytest.param(b"", id="nothing"),
    ],
)
def test_F41_what_is_not_the_published_file_is_never_put_in_place(filling: Filling, body: bytes) -> None:
    filling.web.serve(f"/demucs/{ONE_PATH}", body)
    error = filling.refused("htdemucs")
    assert (error.exit_code, error.reason) == (64, Reason.CHECKSUM_MISMATCH)
    assert "twice in a row" in error.message
    assert "baseURL" in error.suggestion
    assert filling.files() == set()
    record = filling.last()
    assert (record.state, record.message, record.suggestion) == (ModelState.FAILED, error.message, error.suggestion)


def test_F41_a_file_that_is_not_the_recorded_one_is_refused_though_its_name_fits(filling: Filling) -> None:
    """The 8 published digits can be matched by anybody; the record of the first fetch cannot."""
    filling.run("htdemucs")
    lock = json.loads((filling.root / LOCK_NAME).read_text(encoding="utf-8"))
    lock["files"][ONE_NAME]["sha256"] = sha256(ONE)[:8] + "0" * 56
    (filling.root / LOCK_NAME).write_text(json.dumps(lock), encoding="utf-8")
    error = filling.refused("htdemucs")
    assert (error.reason, ONE_NAME in filling.files()) == (Reason.CHECKSUM_MISMATCH, False)
    assert "recorded" in error.message


@pytest.mark.parametrize("text", ["", "{", '{"files": {"a": 7}}', "[]"])
def test_a_record_that_cannot_be_read_is_never_replaced(filling: Filling, text: str) -> None:
    filling.root.mkdir()
    (filling.root / LOCK_NAME).write_text(text, encoding="utf-8")
    with pytest.raises(PhaseError) as caught:
        filling.run("htdemucs")
    assert caught.value.reason is Reason.CHECKSUM_MISMATCH
    assert (filling.root / LOCK_NAME).read_text(encoding="utf-8") == text
    assert filling.last().state is ModelState.FAILED


def test_other_weights_of_the_same_network_are_named(filling: Filling) -> None:
    filling.root.mkdir()
    (filling.root / "0000000a-99999999.th").write_bytes(b"mine")
    error = filling.refused("htdemucs")
    assert "0000000a-99999999.th" in error.message
    assert (filling.root / "0000000a-99999999.th").read_bytes() == b"mine"


# ---------------------------------------------------------------- servers and networks


def lying_length(handler: Handler) -> None:
    handler.answer(200, ONE[:1000], Content_Length=str(SIZE))
    handler.close_connection = True


def busy(handler: Handler) -> None:
    handler.answer(503, b"later")


def limited(handler: Handler) -> None:
    handler.answer(429, b"slowly")


@pytest.mark.parametrize("route", [lying_length, busy, limited])
def test_a_server_that_never_gets_done_is_given_up_on(filling: Filling, route: Callable[[Handler], None]) -> None:
    filling.web.routes[f"/demucs/{ONE_PATH}"] = route
    error = filling.refused("htdemucs")
    assert (error.exit_code, error.reason) == (75, Reason.TEMPORARY_FAILURE)
    assert 2 <= len(filling.web.asked) <= 2 * (MAX_BREAKS + 1)
    assert not (filling.root / ONE_NAME).exists()


def test_a_server_that_fails_twice_is_asked_a_third_time(filling: Filling) -> None:
    def twice(handler: Handler) -> None:
        (busy if len(filling.web.asked) < 3 else ranges(ONE))(handler)

    filling.web.routes[f"/demucs/{ONE_PATH}"] = twice
    assert filling.run("htdemucs") == []


@pytest.mark.parametrize("status", [401, 403, 404, 410])
def test_a_file_that_is_not_there_is_told_at_once(filling: Filling, status: int) -> None:
    filling.web.serve(f"/demucs/{ONE_PATH}", b"no", status=status)
    error = filling.refused("htdemucs")
    assert (error.exit_code, error.reason) == (66, Reason.SOURCE_UNAVAILABLE)
    assert str(status) in error.message
    assert len(filling.web.asked) == 1


def test_a_model_that_fails_does_not_keep_the_next_from_being_fetched(filling: Filling) -> None:
    filling.web.routes.pop(f"/demucs/{ONE_PATH}")
    assert filling.refused("htdemucs", "mdx").reason is Reason.SOURCE_UNAVAILABLE
    assert (filling.last("htdemucs").state, filling.last("mdx").state) == (ModelState.FAILED, ModelState.READY)


@pytest.mark.parametrize(
    ("codes", "code"),
    [
        pytest.param([], 0, id="nothing failed"),
        pytest.param([66, 64], 66, id="nothing that trying again could mend"),
        pytest.param([66, 75], 75, id="one that may work later"),
        pytest.param([64, 78, 75], 78, id="two that may"),
        pytest.param([143], 143, id="a stop"),
    ],
)
def test_the_job_goes_on_as_long_as_one_model_may_still_come(codes: list[int], code: int) -> None:
    assert exit_code_of([PhaseError(each, Reason.TEMPORARY_FAILURE, "It broke.") for each in codes]) == code


def test_a_file_without_a_told_length_ends_where_the_stream_ends(filling: Filling) -> None:
    def untold(handler: Handler) -> None:
        handler.send_response(200)
        handler.end_headers()
        handler.wfile.write(ONE)
        handler.close_connection = True

    filling.web.routes[f"/demucs/{ONE_PATH}"] = untold
    assert filling.run("htdemucs") == []


def test_an_endless_file_is_given_up_on(filling: Filling, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(weightfetch, "MAX_FILE_BYTES", 1_000_000)

    def endless(handler: Handler) -> None:
        handler.send_response(200)
        handler.end_headers()
        while True:
            handler.wfile.write(bytes(65_536))

    filling.web.routes[f"/demucs/{ONE_PATH}"] = endless
    assert filling.refused("htdemucs").reason is Reason.TOO_LARGE
    assert filling.files() == set()


def test_nobody_listens(filling: Filling) -> None:
    error = filling.refused("htdemucs", base_url=f"http://127.0.0.1:{free_port()}")
    assert (error.exit_code, error.reason) == (75, Reason.TEMPORARY_FAILURE)


def test_a_private_address_needs_to_be_allowed(filling: Filling) -> None:
    error = filling.refused("htdemucs", allowed_cidrs=())
    assert (error.exit_code, error.reason) == (69, Reason.BLOCKED_ADDRESS)
    assert "models.prefetch.allowedCIDRs" in error.suggestion
    assert filling.web.asked == []


def test_a_redirect_to_a_private_address_is_stopped(filling: Filling) -> None:
    """127.0.0.1 is allowed here and 127.0.0.2 is not."""
    with running("127.0.0.2") as canary:
        canary.serve("/x", ONE)
        filling.web.serve(f"/demucs/{ONE_PATH}", b"", status=302, Location=f"{canary.url}/x")
        error = filling.refused("htdemucs", allowed_cidrs=("127.0.0.1/32:*",))
    assert (error.reason, canary.asked) == (Reason.BLOCKED_ADDRESS, [])


def test_a_wrong_network_is_named(filling: Filling) -> None:
    with pytest.raises(PhaseError, match=r"300\.0\.0\.0"):
        filling.run("htdemucs", allowed_cidrs=("300.0.0.0/8",))


def test_a_stop_leaves_what_has_arrived(filling: Filling) -> None:
    def stop_in_the_middle(handler: Handler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", str(SIZE))
        handler.end_headers()
        handler.wfile.write(ONE[: SIZE // 2])
        handler.wfile.flush()
        eventually((filling.root / f"{ONE_NAME}.part").exists, "the part")
        filling.interruption.trip(stopped_by(signal.SIGTERM))
        handler.wfile.write(ONE[SIZE // 2 :])

    filling.web.routes[f"/demucs/{ONE_PATH}"] = stop_in_the_middle
    assert filling.refused("htdemucs").exit_code == 143
    filling.serve_all()
    filling.interruption = Interruption()
    assert filling.run("htdemucs") == []
