"""Uploads: a file comes in by parts, and is then the source of jobs."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Path, Request, Response
from fastapi.responses import JSONResponse

from audiojob_api.access.authorizer import Identity
from audiojob_api.access.limits.uploads import Kept
from audiojob_api.access.rights import Call
from audiojob_api.files import uploads
from audiojob_api.files.uploads import UploadRequest, UploadView
from audiojob_api.http.bodies import require_json
from audiojob_api.http.deps import InSpace, Live, StoredFiles, UploadLimits, caller_who_may, followed
from audiojob_api.http.errors import responses
from audiojob_api.numbers import DIGITS
from audiojob_api.problems import Problem, is_unclear
from audiojob_store.ticket import UPLOAD_PATTERN, UploadState, Verb

router = APIRouter(
    prefix="/api/v1/uploads", tags=["files"], responses=responses(400, 401, 403, 404, 422, 429, 500, 501, 503)
)

Upload = Annotated[str, Path(pattern=UPLOAD_PATTERN, description="Id of the upload.")]
Part = Annotated[int, Path(ge=1, le=10_000, description="Number of the part, from 1."), DIGITS]
Maker = Annotated[Identity, Depends(caller_who_may(Call.UPLOAD))]
Sender = Annotated[Identity, Depends(caller_who_may(Call.SEND_PART))]
Reader = Annotated[Identity, Depends(caller_who_may(Call.GET_UPLOAD))]

_BODY: Final[dict[str, Any]] = {
    "parameters": [
        {
            "in": "header",
            "name": "Content-Digest",
            "required": False,
            "schema": {"type": "string", "pattern": "^sha-256=:[A-Za-z0-9+/]{43}=:$"},
            "description": "Of the part (RFC 9530); compared where it is sent.",
        }
    ],
    "requestBody": {
        "required": True,
        "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
    },
}


def _answer(request: Request, state: UploadState, status: int = 200) -> JSONResponse:
    url = request.url_for("get_upload", upload=state.id).path
    headers = {"Location": followed(request, url)} if status == 201 else {}
    shown = uploads.view(state, followed(request, f"{url}/parts/{{part}}"))
    return JSONResponse(shown, status_code=status, headers=headers)


@router.post(
    "",
    status_code=201,
    response_model=UploadView,
    dependencies=[Depends(require_json)],
    responses=responses(413, 415, 507),
    summary="Announce a file that is to come",
)
async def create(
    request: Request, body: UploadRequest, maker: Maker, space: InSpace, files: StoredFiles, limits: UploadLimits
) -> Response:
    """201 with its id, how many parts it has, and where they go."""
    claims = {"size": body.bytes, "name": body.name, "type": body.media_type.lower(), "sha256": body.sha256}
    kept = Kept(space.namespace, uploads.new_id(), maker.username, body.bytes)
    await limits.reserve(maker, kept)
    try:
        made = await uploads.ask(files, uploads.call(kept.namespace, kept.id, Verb.CREATE, maker.username, **claims))
    except Problem as problem:
        if not is_unclear(problem):
            await limits.release(kept)
        raise
    return _answer(request, made, 201)


@router.put(
    "/{upload}/parts/{part}",
    responses=responses(409, 413),
    openapi_extra=_BODY,
    summary="Send a part of the file",
)
async def send_part(
    request: Request, upload: Upload, part: Part, sender: Sender, space: InSpace, files: StoredFiles
) -> Response:
    """200; the same bytes again are the same part. `Content-Digest: sha-256=:…:` is compared where it is sent."""
    headers = {name: request.headers[name] for name in ("content-digest", "content-length") if name in request.headers}
    wanted = uploads.call(space.namespace, upload, Verb.PART, sender.username, part=part)
    async with files.open(replace(wanted, headers=headers, body=request.stream())) as answer:
        return Response(await answer.read(uploads.MAX_STATE_BYTES), media_type="application/json")


@router.post(
    "/{upload}/complete",
    response_model=UploadView,
    responses=responses(409),
    summary="Make the parts a file that jobs can read",
)
async def complete(request: Request, upload: Upload, maker: Maker, space: InSpace, files: StoredFiles) -> Response:
    """200, also when repeated; 409 names the parts that lack, 422 says that the file is not what was announced."""
    return _answer(
        request, await uploads.ask(files, uploads.call(space.namespace, upload, Verb.COMPLETE, maker.username))
    )


@router.get("/{upload}", name="get_upload", response_model=UploadView, summary="Get an upload")
async def get_upload(request: Request, upload: Upload, reader: Reader, space: InSpace, files: StoredFiles) -> Response:
    """200 with the parts that are there."""
    return _answer(
        request, await uploads.ask(files, uploads.call(space.namespace, upload, Verb.STATUS, reader.username))
    )


@router.delete("/{upload}", status_code=204, responses=responses(409), summary="Remove an upload")
async def delete(
    upload: Upload, maker: Maker, space: InSpace, live: Live, files: StoredFiles, limits: UploadLimits
) -> Response:
    """204; 409 while a job that has not succeeded names it."""
    wanted = uploads.call(space.namespace, upload, Verb.STATUS, maker.username)
    await uploads.ask(files, wanted)  # somebody else's is 404, whatever jobs name it
    await uploads.refuse_in_use(live.jobs(), upload)
    async with files.open(uploads.call(space.namespace, upload, Verb.DELETE, maker.username)):
        await limits.release(Kept(space.namespace, upload, maker.username, 0))
        return Response(status_code=204)
