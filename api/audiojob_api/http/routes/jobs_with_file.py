"""Create a job and hand in its file with one request, as a form: for scripts and small clients."""

from __future__ import annotations

import logging
from collections.abc import MutableMapping
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from pydantic import ValidationError
from starlette.routing import Match

from audiojob_api.access.authorizer import Identity
from audiojob_api.access.limits.upload_quota import UploadQuota
from audiojob_api.access.limits.uploads import Kept
from audiojob_api.files.multipart import Part, Parts, boundary_of
from audiojob_api.files.one_shot import FILE_PART, JOB_PART, Sender, Sent
from audiojob_api.http.bodies import read_json
from audiojob_api.http.connection import carries_job_and_file
from audiojob_api.http.deps import Caller, Creator, Settings, StoredFiles, UploadLimits
from audiojob_api.http.refusals import from_validation
from audiojob_api.http.routes.jobs import Maker
from audiojob_api.jobs.create import new_job
from audiojob_api.jobs.request import JobRequest, check
from audiojob_api.problems import Problem, invalid_field, is_unclear
from audiojob_kube.errors import ApiError, ServerError

_log = logging.getLogger(__name__)


class _FormRoute(APIRoute):
    """Takes forms alone; the same path takes JSON too, of which FastAPI would read a whole body into memory."""

    def matches(self, scope: MutableMapping[str, Any]) -> tuple[Match, MutableMapping[str, Any]]:
        """As Starlette asks it."""
        return super().matches(scope) if carries_job_and_file(scope) else (Match.NONE, {})


@dataclass(frozen=True, slots=True)
class _Receiver:
    """Takes in the file of one request, within the limits of its maker."""

    sender: Sender
    limits: UploadQuota
    caller: Identity
    max_job_bytes: int

    async def receive(self, parts: Parts, length: int) -> Sent:
        """The upload that it has become. Raises a Problem; then none is left, nor counted."""
        coming = self.sender.announce(await _file(parts), length, self.limits.largest(self.caller))
        kept = Kept(self.sender.namespace, coming.upload, self.sender.username, coming.most)
        await self.limits.reserve(self.caller, kept)
        try:
            sent = await self.sender.send(coming, parts)
        except Exception as error:  # what the client's leaving is, too
            if not isinstance(error, Problem) or not is_unclear(error):
                # Under an idempotency key the same file may be stored already.
                await (self.limits.release(kept) if self.sender.digest is None else self.limits.failed(kept))
            raise
        await self.limits.came(kept, sent.state.bytes)
        return sent

    async def remove(self, sent: Sent) -> None:
        """The job is refused."""
        try:
            if await self.sender.remove(sent):
                await self.limits.release(Kept(self.sender.namespace, sent.state.id, self.sender.username, 0))
        except Problem as problem:
            _log.warning("Upload %s of a refused job stays until it is swept: %s", sent.state.id, problem.detail)


async def _receiver(
    requester: Creator, caller: Caller, files: StoredFiles, limits: UploadLimits, settings: Settings
) -> _Receiver:
    sender = Sender(files, requester.namespace, requester.user, requester.digest)
    return _Receiver(sender, limits, caller, settings.max_body_bytes)


Receiver = Annotated[_Receiver, Depends(_receiver)]

router = APIRouter(prefix="/api/v1/jobs", tags=["jobs"], route_class=_FormRoute)


@router.post("", status_code=201, include_in_schema=False)
async def create_with_file(request: Request, requester: Creator, maker: Maker, receiver: Receiver) -> Response:
    """As with JSON. A job that is refused leaves no upload behind; what can be refused before the file comes, is."""
    length = request.headers.get("content-length")
    if length is None:
        raise Problem(411, "length-required", "Send the form with Content-Length, so that room is kept for the file.")
    parts = Parts(aiter(request.stream()), boundary_of(request.headers["content-type"]))
    body = await _job(parts, receiver.max_job_bytes)
    await maker.refuse_early(request, new_job(body, requester), requester)
    sent = await receiver.receive(parts, int(length))
    try:
        return await maker.make(request, new_job(body.with_object(_key(sent)), requester), requester)
    except ServerError:
        raise  # it may have been made: the upload is swept if it was not
    except (Problem, ApiError):
        await receiver.remove(sent)
        raise


async def _job(parts: Parts, most: int) -> JobRequest:
    head = await parts.head()
    if head is None or head.name != JOB_PART or head.filename is not None:
        raise invalid_field(JOB_PART, "must be the first part of the form, so that it is judged before the file comes")
    content = await parts.small(most)
    if content is None:
        raise Problem(413, "request-entity-too-large", f"{JOB_PART}: has more than {most} bytes.")
    try:
        body = JobRequest.model_validate(read_json(content))
    except ValidationError as error:
        found = [{**each, "loc": ("body", *each["loc"])} for each in error.errors()]
        raise from_validation(RequestValidationError(found), JobRequest) from None
    check(body)
    if body.source is not None:
        raise invalid_field("source", f"leave it out: the part {FILE_PART} is the source")
    return body


async def _file(parts: Parts) -> Part:
    head = await parts.head()
    if head is None or head.name != FILE_PART:
        raise invalid_field(FILE_PART, f"must be the part after {JOB_PART}, and the last one")
    return head


def _key(sent: Sent) -> str:
    if sent.state.key is None:
        raise Problem(503, "unavailable", "The files service names no key for the upload.")
    return sent.state.key
