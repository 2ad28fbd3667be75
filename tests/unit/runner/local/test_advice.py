"""Advice on this machine: nothing of clusters, and the real way out."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from audiojob_runner.errors import PhaseError
from audiojob_runner.fetch.common import too_large, too_slow
from audiojob_runner.local.advice import advice
from audiojob_types.contract import ExitCode
from audiojob_types.reasons import EXPLANATIONS, Reason

MODELS = Path("/models")


@pytest.mark.parametrize("reason", [reason for reason in Reason if reason in EXPLANATIONS], ids=str)
def test_no_advice_is_about_clusters(reason: Reason) -> None:
    said = advice(PhaseError(ExitCode.TEMPORARY, reason, "It failed."), (), MODELS)
    assert not re.search(
        r"\b(job|pipeline|administrator|chart|cluster|operator|pod|queue|node)s?\b", said, re.IGNORECASE
    )
    assert said


@pytest.mark.parametrize(
    ("error", "want"),
    [
        pytest.param(too_slow(5), "--param timeoutSeconds", id="a limit of time"),
        pytest.param(too_large(5), "--param maxBytes", id="a limit of size"),
        pytest.param(
            PhaseError(ExitCode.TEMPORARY, Reason.RATE_LIMITED, "Too many."), "wait longer", id="a site that refuses"
        ),
        pytest.param(PhaseError(ExitCode.GPU, Reason.GPU_ERROR, "No GPU."), "--device CPU", id="no GPU"),
        pytest.param(PhaseError(ExitCode.DISK_FULL, Reason.DISK_FULL, "Full."), "TMPDIR", id="a full disk"),
        pytest.param(
            PhaseError(ExitCode.NOT_MEDIA, Reason.EMPTY_MEDIA, "Empty.", "Use a film, or a song with a cover."),
            "Use a film, or a song with a cover.",
            id="what was said about this very case",
        ),
        pytest.param(
            PhaseError(ExitCode.USAGE, Reason.INVALID_SPEC, "Bad.", "Give a phase's output, or correct the words."),
            "Correct the words.",
            id="its second way out, where the first is about clusters",
        ),
        pytest.param(
            PhaseError(ExitCode.USAGE, Reason.INVALID_SPEC, "Bad.", "Leave x out, or use a pipeline that has it."),
            "Leave x out.",
            id="and its first",
        ),
        pytest.param(
            PhaseError(ExitCode.USAGE, Reason.INVALID_SPEC, "Bad.", "Ask the administrator. Correct it, or wait."),
            "run --help",
            id="but nothing of several sentences, which may hang together",
        ),
    ],
)
def test_advice_is_the_real_one(error: PhaseError, want: str) -> None:
    assert want in advice(error, (), MODELS)


@pytest.mark.parametrize(
    ("models", "want"),
    [
        (("htdemucs",), "python -m audiojob_runner prefetch --model htdemucs --models /models"),
        (("audiojob_proof",), "into /models"),
    ],
)
def test_a_missing_model_names_the_command_that_brings_it(models: tuple[str, ...], want: str) -> None:
    error = PhaseError(ExitCode.USAGE, Reason.MODEL_MISSING, "Model 'htdemucs' is not installed here.")
    assert want in advice(error, models, MODELS)
