from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audiojob_runner import result
from audiojob_runner.errors import PhaseError
from audiojob_types.contract import (
    MAX_RESULT_BYTES,
    ExitCode,
    ManifestRef,
    Outcome,
    OutputRef,
    PhaseResult,
)
from audiojob_types.reasons import Reason

REF = ManifestRef(key="k" * 1024, sha256="a" * 64, count=50)
OUTPUT = OutputRef(name="n" * 63, media_type="m" * 100, bytes=2**53, sha256="b" * 64)


@given(message=st.text(max_size=2_000), suggestion=st.text(max_size=2_000), count=st.integers(0, 12))
def test_any_result_fits_and_stays_valid(message: str, suggestion: str, count: int) -> None:
    error = PhaseError(ExitCode.TEMPORARY, Reason.TEMPORARY_FAILURE, message, suggestion)
    made = result.failure(error, log_key="l" * 1024).model_copy(update={"outputs": (OUTPUT,) * count})

    content = result.encode(made)

    assert len(content) <= MAX_RESULT_BYTES
    assert b"\n" not in content
    assert PhaseResult.model_validate_json(content).reason == "TemporaryFailure"


def test_outputs_are_left_out_before_words_are() -> None:
    made = PhaseResult(
        outcome=Outcome.SUCCEEDED, manifest=REF, outputs=(OUTPUT,) * 12, message="m" * 1000, suggestion="s" * 100
    )

    read = PhaseResult.model_validate_json(result.encode(made))

    assert (read.message, read.suggestion) == (made.message, made.suggestion)
    assert 0 < len(read.outputs) < 12
    assert read.manifest == REF


def test_a_termination_file_that_cannot_be_written_is_told_and_not_raised(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    error = PhaseError(ExitCode.TEMPORARY, Reason.TEMPORARY_FAILURE, "x")

    result.write(tmp_path / "absent" / "log", result.failure(error))

    assert "absent" in capsys.readouterr().err
