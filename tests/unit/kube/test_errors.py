from __future__ import annotations

import json
from typing import Any

import pytest

from audiojob_kube import errors
from audiojob_kube.errors import ApiError, Cause, Invalid, error_from_response, is_failed_json_patch_test


def status_object(code: int, message: str, reason: str = "", **extra: Any) -> dict[str, Any]:
    return {"kind": "Status", "status": "Failure", "code": code, "message": message, "reason": reason} | extra


@pytest.mark.parametrize(
    ("code", "reason", "want_kind"),
    [
        (400, "BadRequest", errors.BadRequest),
        (401, "Unauthorized", errors.Unauthorized),
        (403, "Forbidden", errors.Forbidden),
        (404, "NotFound", errors.NotFound),
        (409, "AlreadyExists", errors.AlreadyExists),
        (409, "Conflict", errors.Conflict),
        (410, "Expired", errors.Gone),
        (422, "Invalid", errors.Invalid),
        (429, "TooManyRequests", errors.TooManyRequests),
        (500, "InternalError", errors.ServerError),
        (504, "Timeout", errors.ServerError),
        (405, "MethodNotAllowed", ApiError),
    ],
)
def test_each_refusal_has_its_class(code: int, reason: str, want_kind: type[ApiError]) -> None:
    body = json.dumps(status_object(code, "no", reason)).encode()
    error = error_from_response(code, body, None)
    assert type(error) is want_kind
    assert (error.status, error.reason, error.message) == (code, reason, "no")


def test_already_exists_is_a_conflict() -> None:
    assert issubclass(errors.AlreadyExists, errors.Conflict)


@pytest.mark.parametrize(
    ("header", "details", "want_seconds"),
    [
        ("7", None, 7.0),
        (None, {"retryAfterSeconds": 3}, 3.0),
        ("7", {"retryAfterSeconds": 3}, 7.0),
        ("Wed, 21 Oct 2020 07:28:00 GMT", {"retryAfterSeconds": 3}, 0.0),
        ("soon", {"retryAfterSeconds": 3}, 3.0),
        ("-5", None, None),
        ("nan", None, None),
        ("9" * 400, None, 600.0),
        (None, {"retryAfterSeconds": -3}, None),
        (None, {"retryAfterSeconds": 10**30}, 600.0),
        (None, {"retryAfterSeconds": {}}, None),
        (None, None, None),
    ],
    ids=[
        "the header in seconds",
        "the Status object's own field",
        "the header wins",
        "a date",
        "a word is not understood, the Status object is",
        "less than nothing",
        "no number",
        "more digits than an hour needs",
        "less than nothing in the Status object",
        "a number without end in the Status object",
        "no number in the Status object",
        "nothing was said",
    ],
)
def test_retry_after(header: str | None, details: dict[str, object] | None, want_seconds: float | None) -> None:
    body = json.dumps(status_object(429, "slow down", details=details)).encode()
    assert error_from_response(429, body, header).retry_after == want_seconds


@pytest.mark.parametrize(
    ("body", "want_message"),
    [
        (b"<html>bad gateway</html>", "<html>bad gateway</html>"),
        (b"", "the server gave no message"),
        (b'["not", "a", "status"]', '["not", "a", "status"]'),
        (b"\xff\xfe", "\ufffd\ufffd"),
    ],
    ids=["a proxy's page", "an empty body", "JSON of another kind", "bytes that are no text"],
)
def test_a_body_that_is_no_status_becomes_the_message(body: bytes, want_message: str) -> None:
    error = error_from_response(502, body, None)
    assert type(error) is errors.ServerError
    assert error.message == want_message


def test_a_message_of_any_size_is_cut() -> None:
    assert len(error_from_response(500, b"x" * 1_000_000, None).message) == 2000


def test_causes_tell_a_validation_error_from_a_patch_that_did_not_apply() -> None:
    cause = {"reason": "FieldValueInvalid", "message": "must be 1-10", "field": "spec.priority"}
    refused = status_object(422, "is invalid", "Invalid", details={"causes": [cause]})
    validation = error_from_response(422, json.dumps(refused).encode(), None)
    patch = error_from_response(422, json.dumps(status_object(422, "rejected", "Invalid")).encode(), None)
    assert isinstance(validation, Invalid)
    assert isinstance(patch, Invalid)
    assert validation.causes == (Cause("FieldValueInvalid", "must be 1-10", "spec.priority"),)
    assert (is_failed_json_patch_test(validation), is_failed_json_patch_test(patch)) == (False, True)
