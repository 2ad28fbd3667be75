"""What a call to the API server can fail with.

`ApiError` and its kinds: the server answered and refused. `TransportError`: no complete answer came, so
that for a write it is unknown whether it was done.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import orjson

from audiojob_types.outside.headers import retry_after_seconds

# What an API server, or a proxy before it, may ask for: it is asked again at the latest then.
MAX_RETRY_AFTER = 600.0
_MESSAGE_LIMIT = 2000
_STATUS_GONE = 410
_STATUS_SERVER_ERRORS = 500


class ConfigError(Exception):
    """The API server cannot be reached as configured; the message says which file and what to do."""


class TransportError(Exception):
    """No complete answer: connection refused or reset, TLS failure, timeout, an answer that is not JSON, or
    credentials that cannot be read. `timed_out` is true when the time was up and nothing else went wrong."""

    def __init__(self, message: str, *, timed_out: bool = False) -> None:
        super().__init__(message)
        self.timed_out = timed_out


@dataclass(frozen=True, slots=True)
class Cause:
    """One entry of a Status's `details.causes`: which field, which rule, the server's sentence."""

    reason: str
    message: str
    field: str


class ApiError(Exception):
    """The API server refused a call.

    `status` is the HTTP status, `reason` the Status object's CamelCase reason ("" if it gave none),
    `retry_after` seconds the server asked to wait. `in_stream` is true when the refusal came as an ERROR
    event inside an open watch.
    """

    def __init__(
        self,
        status: int,
        reason: str,
        message: str,
        causes: tuple[Cause, ...] = (),
        retry_after: float | None = None,
    ) -> None:
        super().__init__(f"{status} {reason or 'Error'}: {message}")
        self.status = status
        self.reason = reason
        self.message = message
        self.causes = causes
        self.retry_after = retry_after
        self.in_stream = False


class BadRequest(ApiError):  # noqa: N818 - named as the Status reason
    """400: among others, an unknown field under strict field validation."""


class Unauthorized(ApiError):  # noqa: N818 - named as the Status reason
    """401: no credentials, or expired ones."""


class Forbidden(ApiError):  # noqa: N818 - named as the Status reason
    """403: refused by RBAC or by an admission policy."""


class NotFound(ApiError):  # noqa: N818 - named as the Status reason
    """404: no such object, namespace or resource type."""


class Conflict(ApiError):  # noqa: N818 - named as the Status reason
    """409: a precondition (resourceVersion, uid) no longer holds."""


class AlreadyExists(Conflict):
    """409 on create: an object of that name exists."""


class Gone(ApiError):  # noqa: N818 - named as the Status reason
    """410: the resourceVersion or the continue token is too old; list again."""


class Invalid(ApiError):  # noqa: N818 - named as the Status reason
    """422: validation failed, see `causes`; or a JSON Patch did not apply, see `is_failed_json_patch_test`."""


class TooManyRequests(ApiError):  # noqa: N818 - named as the Status reason
    """429: the server sheds load, or an eviction is not allowed now; see `retry_after`."""


class ServerError(ApiError):
    """5xx."""


_KINDS: Mapping[int, type[ApiError]] = {
    400: BadRequest,
    401: Unauthorized,
    403: Forbidden,
    404: NotFound,
    409: Conflict,
    _STATUS_GONE: Gone,
    422: Invalid,
    429: TooManyRequests,
}


def is_failed_json_patch_test(error: Invalid) -> bool:
    """True if a JSON Patch did not apply to the object as it is now (a `test` failed, a path was missing).

    The server tells the two kinds of 422 apart only by `details.causes`: a validation error names the
    fields, a patch that did not apply names none.
    """
    return not error.causes


def error_from_status(status: Mapping[str, Any], *, code: int, retry_after: float | None = None) -> ApiError:
    """The error for a `Status` object; `code` stands in where the object has no code of its own."""
    details = status.get("details") or {}
    causes = tuple(
        Cause(cause.get("reason", ""), cause.get("message", "")[:_MESSAGE_LIMIT], cause.get("field", ""))
        for cause in details.get("causes") or ()
    )
    if retry_after is None:
        retry_after = _seconds(details.get("retryAfterSeconds") or None)
    code = status.get("code") or code
    reason = status.get("reason") or ""
    message = (status.get("message") or "the server gave no message")[:_MESSAGE_LIMIT]
    return _kind(code, reason)(code, reason, message, causes, retry_after)


def error_from_response(code: int, body: bytes, retry_after_header: str | None) -> ApiError:
    """The error for a non-2xx response; a body that is no `Status` (a proxy's page) becomes the message."""
    retry_after = _seconds(retry_after_header)
    try:
        parsed = orjson.loads(body)
    except orjson.JSONDecodeError:
        parsed = None
    if isinstance(parsed, dict) and parsed.get("kind") == "Status":
        return error_from_status(parsed, code=code, retry_after=retry_after)
    text = body[:_MESSAGE_LIMIT].decode("utf-8", "replace").strip()
    return _kind(code, "")(code, "", text or "the server gave no message", (), retry_after)


def _kind(code: int, reason: str) -> type[ApiError]:
    if reason == "AlreadyExists":
        return AlreadyExists
    if code >= _STATUS_SERVER_ERRORS:
        return ServerError
    return _KINDS.get(code, ApiError)


def _seconds(asked: object) -> float | None:
    """Seconds that a header or a Status object asks for. What is no such number is not an answer."""
    text = f"{asked:.0f}" if isinstance(asked, int | float) else asked
    seconds = retry_after_seconds(text, datetime.now(UTC)) if isinstance(text, str) else None
    return None if seconds is None else min(float(seconds), MAX_RETRY_AFTER)
