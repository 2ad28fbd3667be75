"""What operator and runner promise each other."""

from __future__ import annotations

import json
from typing import Any

import pytest
from pydantic import ValidationError

from audiojob_types import contract
from audiojob_types.constants import STORE_ROOT
from audiojob_types.contract import (
    EXIT_CODES,
    ExitCode,
    FailureClass,
    Manifest,
    PhaseInput,
    PhaseInputFile,
    PhaseResult,
    classify_exit_code,
)
from audiojob_types.progress import MAX_MEDIA_SECONDS, MAX_USAGE_BYTES, PhaseUsage
from audiojob_types.reasons import Reason

SHA = "0" * 64
KEY = "k" * 1024


def phase_input(**others: Any) -> dict[str, Any]:
    return {
        "job": "song", "namespace": "music", "uid": "u", "phase": "separate", "attempt": 1, "task": "Separate",
        "outputPrefix": "music/u/separate", **others,
    }  # fmt: skip


# ---------------------------------------------------------------- exit codes


def test_every_exit_code_but_success_is_in_the_table() -> None:
    assert EXIT_CODES.keys() == set(ExitCode) - {ExitCode.OK}


CODES = {
    "usage": (64, FailureClass.PERMANENT, Reason.INVALID_SPEC),
    "not media": (65, FailureClass.PERMANENT, Reason.NOT_MEDIA),
    "source gone": (66, FailureClass.PERMANENT, Reason.SOURCE_UNAVAILABLE),
    "blocked address": (69, FailureClass.PERMANENT, Reason.BLOCKED_ADDRESS),
    "temporary": (75, FailureClass.RETRY, Reason.TEMPORARY_FAILURE),
    "credentials": (77, FailureClass.PERMANENT, Reason.CREDENTIALS_REFUSED),
    "disk full": (78, FailureClass.RETRY, Reason.DISK_FULL),
    "GPU": (79, FailureClass.DEVICE, Reason.GPU_ERROR),
    "SIGTERM": (143, FailureClass.RETRY, Reason.STOPPED),
    "SIGKILL": (137, FailureClass.RETRY, Reason.TEMPORARY_FAILURE),
    "SIGSEGV": (139, FailureClass.RETRY, Reason.TEMPORARY_FAILURE),
    "a traceback of Python": (1, FailureClass.RETRY, Reason.TEMPORARY_FAILURE),
}


@pytest.mark.parametrize(("code", "kind", "reason"), CODES.values(), ids=CODES.keys())
def test_exit_codes(code: int, kind: FailureClass, reason: Reason) -> None:
    assert classify_exit_code(code) == (kind, reason)


# ---------------------------------------------------------------- inputs


ORIGINS: dict[str, tuple[dict[str, Any], str]] = {
    "a url": ({"url": "https://example.org"}, ""),
    "a text": ({"text": "la la"}, ""),
    "an empty text": ({"text": ""}, ""),
    "a text and a key": ({"text": "", "key": "a"}, r"it has \['text', 'key'\]"),
    "a key": ({"key": "music/uploads/a"}, ""),
    "an output of a manifest": ({"manifest": {"key": "m", "sha256": SHA}, "output": "audio"}, ""),
    "no origin": ({}, "exactly one of url, text, key, manifest; it has none"),
    "two origins": ({"url": "https://example.org", "key": "a"}, r"it has \['url', 'key'\]"),
    "a manifest without output": ({"manifest": {"key": "m", "sha256": SHA}}, "manifest and output go together"),
    "an output without manifest": ({"key": "a", "output": "audio"}, "manifest and output go together"),
}


@pytest.mark.parametrize(("given", "error"), ORIGINS.values(), ids=ORIGINS.keys())
def test_an_input_has_one_origin(given: dict[str, Any], error: str) -> None:
    body = {"name": "source", **given}
    if error:
        with pytest.raises(ValidationError, match=error):
            PhaseInputFile.model_validate(body)
    else:
        assert PhaseInputFile.model_validate(body).name == "source"


def test_a_phase_input_survives_the_wire() -> None:
    given = phase_input(
        inputs=[{"name": "audio", "manifest": {"key": "m", "sha256": SHA}, "output": "audio"}],
        store={"kind": "S3", "bucket": "music", "endpoint": "https://s3.example.org", "allowHttp": False},
        limits={"softSeconds": 5, "stallSeconds": 6},
        network={"allowedCidrs": ["10.0.0.0/8"]},
        progress={"weights": {"a": 1}, "done": ["a"], "minIntervalMilliseconds": 5},
        expiresTime="2026-01-01T00:00:00Z",
    )
    parsed = PhaseInput.model_validate(given)
    wire = parsed.to_wire()
    assert PhaseInput.model_validate(json.loads(json.dumps(wire))) == parsed
    assert wire["expiresTime"] == "2026-01-01T00:00:00Z"
    assert wire["outputPrefix"] == "music/u/separate"
    assert parsed.attempt_prefix == "music/u/separate/1-"


BAD_INPUTS = {
    "an unknown field": phase_input(secret="x"),
    "an unknown task": phase_input(task="Mix"),
    "attempt 0": phase_input(attempt=0),
    "a store of no kind": phase_input(store={"bucket": "x"}),
    "a store of an unknown kind": phase_input(store={"kind": "NFS"}),
    "a namespace with a slash": phase_input(namespace="a/b"),
    "a stall of no seconds": phase_input(limits={"stallSeconds": 0}),
}


@pytest.mark.parametrize("given", BAD_INPUTS.values(), ids=BAD_INPUTS.keys())
def test_a_phase_input_is_closed(given: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        PhaseInput.model_validate(given)


def test_no_path_of_a_phase_container_lies_in_another() -> None:
    roots = [STORE_ROOT, contract.MODELS_ROOT, contract.SCRATCH_ROOT, contract.STORE_CREDENTIALS]
    for one in roots:
        assert not [other for other in roots if other != one and other.startswith(f"{one}/")]
    assert not contract.PHASE_FILE.startswith(contract.STORE_CREDENTIALS)


# ---------------------------------------------------------------- results


def test_a_result_reads_back_what_a_newer_runner_wrote() -> None:
    parsed = PhaseResult.model_validate({"outcome": "Failed", "reason": "FromTheFuture", "brandNew": 1})
    assert parsed.reason == "FromTheFuture"


@pytest.mark.parametrize(
    ("written", "read"),
    [
        pytest.param("Line 3?", "Line 3?", id="a question"),
        pytest.param("x" * 201, "x" * 200, id="one that is too long is cut, and still asked"),
        pytest.param("", "", id="one without words is asked"),
        pytest.param(True, None, id="what is no text asks nothing"),
        pytest.param(None, None, id="nothing"),
    ],
)
def test_what_a_result_asks_people(written: Any, read: str | None) -> None:
    assert PhaseResult.read({"outcome": "Failed", "reviewAsked": written}).review_asked == read


def test_success_must_name_its_manifest() -> None:
    with pytest.raises(ValidationError, match="must name its manifest"):
        PhaseResult.model_validate({"outcome": "Succeeded"})


MOST_USAGE = PhaseUsage(
    cpu_milliseconds=2**53,
    media_milliseconds=MAX_MEDIA_SECONDS * 1_000,
    work_milliseconds=2**53,
    start_milliseconds=2**53,
    gpu_peak_bytes=2**53,
    read_bytes=2**53,
    written_bytes=2**53,
)


def test_a_usage_is_short() -> None:
    text = json.dumps({"usage": MOST_USAGE.to_wire()}, separators=(",", ":"))
    assert set(MOST_USAGE.to_wire()) == {"cpu", "media", "work", "start", "gpuPeak", "read", "written"}
    assert len(text) <= MAX_USAGE_BYTES


def test_a_message_at_its_limit_leaves_no_room_for_more_than_kubernetes_keeps() -> None:
    """The limit of a termination message is 4,096 bytes; the runner cuts outputs until a result fits."""
    assert contract.MAX_RESULT_BYTES < 4096
    result = PhaseResult.model_validate(
        {"outcome": "Succeeded", "message": "x" * 256, "manifest": {"key": KEY[:200], "sha256": SHA, "count": 12}}
    )
    output = {"name": "vocals", "mediaType": "audio/flac", "bytes": 2**40, "sha256": SHA}
    outputs = [output] * contract.MAX_RESULT_OUTPUTS
    record = {**result.to_wire(), "outputs": outputs, "usage": MOST_USAGE.to_wire()}
    text = json.dumps(record, separators=(",", ":"))
    assert len(text.encode()) <= contract.MAX_RESULT_BYTES


FILES = {
    "vocals.flac": True,
    "a" * 128: True,
    "a" * 129: False,
    "../vocals.flac": False,
    "stems/vocals.flac": False,
    ".hidden": False,
    "Bohemian Rhapsody.flac": False,
    "": False,
}


@pytest.mark.parametrize(("file", "allowed"), FILES.items(), ids=[f"file {name[:20]!r}" for name in FILES])
def test_files_of_a_manifest_are_plain_names(file: str, allowed: bool) -> None:
    output = {"name": "vocals", "file": file, "mediaType": "audio/flac", "bytes": 1, "sha256": SHA}
    manifest = {
        "job": "song", "namespace": "music", "uid": "u", "phase": "p", "attempt": 1, "task": "Separate",
        "fingerprint": SHA, "outputs": [output], "createdTime": "2026-01-01T00:00:00Z",
    }  # fmt: skip
    if allowed:
        assert Manifest.model_validate(manifest).outputs[0].file == file
    else:
        with pytest.raises(ValidationError, match="file"):
            Manifest.model_validate(manifest)
