from __future__ import annotations

import errno

import pytest

from audiojob_runner.errors import PhaseError, as_phase_error, is_disk_full
from audiojob_types.contract import MAX_MESSAGE_CHARACTERS, ExitCode
from audiojob_types.reasons import EXPLANATIONS, Reason


def test_a_phase_error_brings_the_suggestion_of_its_reason_and_is_cut_to_the_contract() -> None:
    error = PhaseError(ExitCode.NOT_MEDIA, Reason.NOT_MEDIA, "x" * 5_000)

    assert error.suggestion == EXPLANATIONS[Reason.NOT_MEDIA].suggestion
    assert len(error.message) == MAX_MESSAGE_CHARACTERS
    assert PhaseError(ExitCode.NOT_MEDIA, Reason.NOT_MEDIA, "x", "do this").suggestion == "do this"


def _caused_by(cause: Exception) -> Exception:
    error = RuntimeError("could not write")
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "code", "reason"),
    [
        pytest.param(OSError(errno.ENOSPC, "full"), 78, Reason.DISK_FULL, id="no space left"),
        pytest.param(OSError(errno.EDQUOT, "quota"), 78, Reason.DISK_FULL, id="a quota is used up"),
        pytest.param(_caused_by(OSError(errno.ENOSPC, "full")), 78, Reason.DISK_FULL, id="caused by no space left"),
        pytest.param(
            RuntimeError("libsndfile: No space left on device"), 78, Reason.DISK_FULL, id="words without a number"
        ),
        pytest.param(MemoryError(), 75, Reason.OUT_OF_MEMORY, id="python has no memory"),
        pytest.param(ValueError("odd\nvalue"), 75, Reason.TEMPORARY_FAILURE, id="anything else"),
        pytest.param(OSError(errno.EIO, "bad disk"), 75, Reason.TEMPORARY_FAILURE, id="another error of the system"),
        pytest.param(PhaseError(66, Reason.INPUT_MISSING, "gone"), 66, Reason.INPUT_MISSING, id="one already"),
    ],
)
def test_every_exception_becomes_a_phase_error(error: Exception, code: int, reason: Reason) -> None:
    made = as_phase_error(error, "Separate")

    assert (made.exit_code, made.reason) == (code, reason)
    assert "\n" not in made.message


def test_causes_that_go_round_in_a_circle_end() -> None:
    first, second = ValueError("a"), ValueError("b")
    first.__cause__, second.__cause__ = second, first

    assert not is_disk_full(first)
