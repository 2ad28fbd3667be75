"""What a call can fail with. Errors of the API are its problem documents (RFC 9457), one class for each family."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Final

_SHOWN: Final = 500  # characters of an answer that is no problem document


class AudiojobError(Exception):
    """The base of all errors of this package. Messages hold no token."""


class ConnectionFailed(AudiojobError):
    """The API was not reached, or the connection broke off."""


class BadAnswer(AudiojobError):
    """The answer is not what the API's document says: perhaps something else listens at this address."""


class ChecksumMismatch(AudiojobError):
    """A file that came in is not the one that the job published; nothing of it was kept."""


class JobGone(AudiojobError):
    """The job was deleted while it was followed."""


class UploadBroken(AudiojobError):
    """An upload did not come to its end. ``upload`` is its id: the parts that are there need not be sent again."""

    def __init__(self, upload: str, why: AudiojobError) -> None:
        super().__init__(f"upload {upload} is not complete: {why}")
        self.upload = upload


@dataclass(frozen=True, slots=True)
class FieldError:
    """One field of a request and what is wrong with it; ``pointer`` is a JSON Pointer into the body."""

    pointer: str
    detail: str


class ProblemError(AudiojobError):
    """An answer that refuses. ``kind`` is its stable name: docs/api.md lists them."""

    FAMILIES: ClassVar[dict[int, type[ProblemError]]] = {}

    def __init__(self, status: int, document: Mapping[str, Any], retry_after: float | None = None) -> None:
        self.status = status
        self.kind = str(document.get("type", "")).rpartition("/")[2]
        self.detail = str(document.get("detail", ""))
        self.errors = tuple(_fields(document.get("errors")))
        self.retry_after = retry_after
        """Seconds after which the API suggests to try again."""
        super().__init__(f"{status} {self.kind}: {self.detail}")

    def __init_subclass__(cls, *, statuses: tuple[int, ...] = ()) -> None:
        super().__init_subclass__()
        ProblemError.FAMILIES.update(dict.fromkeys(statuses, cls))


def _fields(errors: object) -> list[FieldError]:
    if not isinstance(errors, list):
        return []
    found = [each for each in errors if isinstance(each, dict)]
    return [FieldError(str(each.get("pointer", "")), str(each.get("detail", ""))) for each in found]


class NotFinished(ProblemError, statuses=(202,)):
    """The job goes on; its outputs are there later."""


class BadRequest(ProblemError, statuses=(400, 405, 411, 415, 416, 431, 505)):
    """The request cannot be read in one way, or asks for what cannot be."""


class Unauthenticated(ProblemError, statuses=(401,)):
    """No token, or one that the API does not take."""


class Forbidden(ProblemError, statuses=(403,)):
    """The account lacks a right, or a quota or policy refuses."""


class NotFound(ProblemError, statuses=(404,)):
    """There is no such thing, or it is another tenant's."""


class Conflict(ProblemError, statuses=(409,)):
    """The job, upload or name is in another state than the call needs."""


class Gone(ProblemError, statuses=(410,)):
    """The files were removed."""


class TooLarge(ProblemError, statuses=(413,)):
    """A body, upload or part is larger than allowed."""


class Invalid(ProblemError, statuses=(422,)):
    """A field is wrong: ``errors`` says which and why."""


class TooManyRequests(ProblemError, statuses=(429,)):
    """A limit is reached: ``detail`` says which, ``retry_after`` when it ends."""


class Unavailable(ProblemError, statuses=(501, 503, 507)):
    """The API, its database, its files or its store cannot serve this now."""


class ServerFault(ProblemError, statuses=(500,)):
    """The API failed; its log says why."""


def problem(status: int, document: object, retry_after: float | None) -> AudiojobError:
    """The error that an answer of this status is; ``document`` is its body, read as JSON where it is some."""
    if not isinstance(document, Mapping) or not isinstance(document.get("type"), str):
        return BadAnswer(f"{status} without a problem document: {str(document)[:_SHOWN]}")
    family = ProblemError.FAMILIES.get(status, ServerFault if status >= 500 else ProblemError)
    return family(status, document, retry_after)
