from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audiojob_runner.errors import PhaseError
from audiojob_runner.phase import result
from audiojob_runner.store.manifest import Published
from audiojob_types.contract import (
    MAX_RESULT_BYTES,
    ExitCode,
    Manifest,
    ManifestOutput,
    ManifestRef,
    Outcome,
    OutputRef,
    PhaseResult,
    ReadInput,
)
from audiojob_types.progress import PhaseUsage
from audiojob_types.reasons import Reason

REF = ManifestRef(key="k" * 1024, sha256="a" * 64, count=50)
OUTPUT = OutputRef(name="n" * 63, media_type="m" * 100, bytes=2**53, sha256="b" * 64)
USAGE = PhaseUsage(
    cpu_milliseconds=2**53, media_milliseconds=604_800_000, work_milliseconds=2**53, start_milliseconds=2**53,
    gpu_peak_bytes=2**53, read_bytes=2**53, written_bytes=2**53,
)  # fmt: skip
TIMED = OUTPUT.model_copy(update={"duration_milliseconds": 2**53})


@given(message=st.text(max_size=2_000), suggestion=st.text(max_size=2_000), count=st.integers(0, 12))
def test_any_result_fits_and_stays_valid(message: str, suggestion: str, count: int) -> None:
    error = PhaseError(ExitCode.TEMPORARY, Reason.TEMPORARY_FAILURE, message, suggestion)
    made = result.failure(error, log_key="l" * 1024).model_copy(update={"outputs": (TIMED,) * count, "usage": USAGE})

    content = result.encode(made)

    assert len(content) <= MAX_RESULT_BYTES
    assert b"\n" not in content
    read = PhaseResult.model_validate_json(content)
    assert (read.reason, read.usage) == ("TemporaryFailure", USAGE)


def test_outputs_are_left_out_before_words_are() -> None:
    made = PhaseResult(
        outcome=Outcome.SUCCEEDED, manifest=REF, outputs=(OUTPUT,) * 12, message="m" * 1000, suggestion="s" * 100
    )

    read = PhaseResult.model_validate_json(result.encode(made))

    assert (read.message, read.suggestion) == (made.message, made.suggestion)
    assert 0 < len(read.outputs) < 12
    assert read.manifest == REF


def test_durations_are_left_out_before_outputs_are_and_the_first_is_kept_longest() -> None:
    # Eleven outputs fit without their durations, and not with them.
    outputs = (TIMED.model_copy(update={"media_type": "audio/flac"}),) * 11
    words = (
        MAX_RESULT_BYTES - len(result.encode(PhaseResult(outcome=Outcome.FAILED, outputs=outputs, usage=USAGE))) + 60
    )
    made = PhaseResult(outcome=Outcome.FAILED, outputs=outputs, message="m" * words, usage=USAGE)
    assert words <= 1_024, "the case is what it says"

    read = PhaseResult.model_validate_json(result.encode(made))

    assert (len(read.outputs), read.message) == (11, made.message)
    kept = [output.duration_milliseconds is not None for output in read.outputs]
    assert kept == sorted(kept, reverse=True)
    assert (kept[0], kept[-1]) == (True, False)


def test_a_result_without_room_says_nothing_of_its_inputs_before_it_loses_outputs() -> None:
    refs = tuple(OutputRef(name=f"{n:063}", media_type="audio/flac", bytes=2**53, sha256="a" * 64) for n in range(11))
    inputs = tuple(ReadInput(name=f"{n:063}", sha256="a" * 64) for n in range(12))
    made = PhaseResult(outcome=Outcome.SUCCEEDED, manifest=REF, outputs=refs, inputs=inputs, usage=USAGE)

    read = PhaseResult.model_validate_json(result.encode(made))

    assert (read.inputs, len(read.outputs)) == ((), 11)
    assert PhaseResult.model_validate_json(result.encode(made.model_copy(update={"outputs": ()}))).inputs == inputs


def output(**metadata: Any) -> ManifestOutput:
    return ManifestOutput(name="a", file="a.wav", media_type="audio/wav", bytes=1, sha256="b" * 64, metadata=metadata)


@pytest.mark.parametrize(
    ("seconds", "milliseconds"),
    [
        pytest.param(212.0946, 212_095, id="a fraction is rounded to a millisecond"),
        pytest.param(4, 4_000, id="whole seconds"),
        pytest.param(0, 0, id="no sound at all"),
        pytest.param(None, None, id="nothing told"),
        pytest.param(-1.0, None, id="less than nothing"),
        pytest.param(1e300, None, id="longer than the contract can say"),
        pytest.param("212", None, id="a word"),
        pytest.param(True, None, id="a truth"),
    ],
)
def test_an_output_tells_how_long_it_plays_where_its_metadata_does(seconds: Any, milliseconds: int | None) -> None:
    assert result.duration_milliseconds(output(durationSeconds=seconds)) == milliseconds
    assert result.duration_milliseconds(output()) is None


def test_a_success_carries_the_durations_of_its_manifest() -> None:
    manifest = Manifest.model_validate(
        {"job": "j", "namespace": "n", "uid": "u", "phase": "p", "attempt": 1, "task": "Normalize",
         "fingerprint": "c" * 64, "outputs": [output(durationSeconds=1.5), output()],
         "createdTime": "2026-01-01T00:00:00Z"}
    )  # fmt: skip

    made = result.success(Published(manifest, REF), None, None)

    assert [each.duration_milliseconds for each in made.outputs] == [1_500, None]
    assert '"durationMilliseconds":1500' in result.encode(made).decode()


@pytest.mark.parametrize("seconds", [None, 0, 86_400])
def test_a_failure_carries_how_long_a_site_asked_to_be_left_alone(seconds: int | None) -> None:
    error = PhaseError(ExitCode.TEMPORARY, Reason.RATE_LIMITED, "x")
    error.retry_after_seconds = seconds

    read = PhaseResult.model_validate_json(result.encode(result.failure(error)))

    assert (read.reason, read.retry_after_seconds) == ("RateLimited", seconds)


def test_a_termination_file_that_cannot_be_written_is_told_and_not_raised(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    error = PhaseError(ExitCode.TEMPORARY, Reason.TEMPORARY_FAILURE, "x")

    result.write(tmp_path / "absent" / "log", result.failure(error))

    assert "absent" in capsys.readouterr().err


WARNED = Manifest.model_validate(
    {"job": "j", "namespace": "n", "uid": "u", "phase": "p", "attempt": 1, "task": "Download",
     "fingerprint": "c" * 64, "createdTime": "2026-01-01T00:00:00Z",
     "metadata": {"warnings": ["No subtitles.", "  a\nb ", "", 7, "w" * 300]},
     "outputs": [output(warnings=["No cover.", "No subtitles."]).to_wire(), output(warnings="none").to_wire()]}
)  # fmt: skip


def test_a_success_carries_the_warnings_of_the_run_and_of_its_outputs_once_each() -> None:
    made = result.success(Published(WARNED, REF), "k/0000", None)

    assert made.warnings == ("No subtitles.", "a b", "w" * 255 + "…", "No cover.")
    assert PhaseResult.model_validate_json(result.encode(made)).warnings == made.warnings


@given(letter=st.sampled_from(["w", "ü", "語", '"', "𝄞"]))
def test_what_a_phase_asks_people_is_kept_whatever_else_is_left_out(letter: str) -> None:
    published = Published(WARNED.model_copy(update={"review_asked": letter * 200}), REF)
    made = result.success(published, "l" * 1024, 2**53, (ReadInput(name="n" * 63, sha256="d" * 64),) * 12).model_copy(
        update={"outputs": (TIMED,) * 12, "usage": USAGE, "warnings": (letter * 256,) * 8}
    )

    content = result.encode(made)

    assert len(content) <= MAX_RESULT_BYTES
    assert PhaseResult.model_validate_json(content).review_asked == letter * 200


@given(count=st.integers(0, 12), letter=st.sampled_from(["w", "ü", "…", '"']))
def test_warnings_are_the_first_to_be_left_out(count: int, letter: str) -> None:
    made = PhaseResult(outcome=Outcome.SUCCEEDED, manifest=REF, outputs=(TIMED,) * count, log_key="l" * 100)
    full = made.model_copy(update={"warnings": (letter * 256,) * 8})

    content = result.encode(full)
    read = PhaseResult.model_validate_json(content)

    assert len(content) <= MAX_RESULT_BYTES
    if len(read.warnings) < 8:
        assert read.outputs == PhaseResult.model_validate_json(result.encode(made)).outputs
    else:
        assert read.outputs == made.outputs


def test_a_result_without_warnings_is_as_it_was_before_there_were_any() -> None:
    assert b"warnings" not in result.encode(PhaseResult(outcome=Outcome.SUCCEEDED, manifest=REF))
