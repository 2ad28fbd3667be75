"""Outputs of a job: their list, each of them, several as a zip."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query, Request, Response
from fastapi.responses import JSONResponse, RedirectResponse

from audiojob_api.access.rights import Call
from audiojob_api.files import outputs
from audiojob_api.files.manifests import removed
from audiojob_api.files.outputs import OutputList
from audiojob_api.files.ports import Files
from audiojob_api.http.deps import ExistingJob, InSpace, StoredFiles, caller_who_may, followed, services_of
from audiojob_api.http.errors import responses
from audiojob_api.http.relay import FILE_ANSWERS, RANGES, Relay, asked
from audiojob_api.problems import Problem

router = APIRouter(
    prefix="/api/v1/jobs",
    tags=["files"],
    dependencies=[Depends(caller_who_may(Call.DOWNLOAD))],
    responses=responses(202, 400, 401, 403, 404, 409, 410, 422, 429, 500, 501, 503),
)

OutputName = Annotated[str, Path(max_length=63, description="Name of the output.")]
PhaseName = Annotated[str | None, Query(alias="phase", max_length=63, description="The phase that published it.")]


@router.get("/{name}/outputs", name="list_outputs", response_model=OutputList, summary="List the outputs of a job")
async def list_outputs(request: Request, job: ExistingJob, space: InSpace, files: StoredFiles) -> Response:
    """200; 202 while the job goes on, 409 where it failed, 410 once the files were removed."""
    outputs.require_there(job)
    found = await outputs.outputs_of(files, space.namespace, job)
    above = request.url.path
    return JSONResponse(outputs.listing(job, found, lambda below: followed(request, f"{above}/{below}")))


@router.get(
    "/{name}/outputs.zip",
    responses={**FILE_ANSWERS, **responses(416)},
    openapi_extra=RANGES,
    response_class=Response,
    summary="Get outputs as a zip",
)
async def get_zip(
    request: Request, job: ExistingJob, space: InSpace, files: StoredFiles, phase: PhaseName = None
) -> Response:
    """The outputs of a phase; of the last one that has results where none is named. Ranges are served."""
    outputs.require_there(job)
    found = outputs.of_zip(await outputs.outputs_of(files, space.namespace, job), phase)
    wanted = outputs.zip_call(space.namespace, job, found)
    return Relay(files, dataclasses.replace(wanted, headers=asked(request)), removed())


@dataclass(frozen=True, slots=True)
class _Wanted:
    """Of the query: which output, and whether it may come from the store itself."""

    phase: str | None
    direct: bool


async def _wanted(
    phase: PhaseName = None,
    direct: Annotated[
        bool, Query(description="Answer with 307 to an address in the bucket, where the installation allows that.")
    ] = False,
) -> _Wanted:
    return _Wanted(phase, direct)


@router.get(
    "/{name}/outputs/{output}",
    responses={**FILE_ANSWERS, **responses(416), 307: {"description": "An address in the bucket, for a few minutes"}},
    openapi_extra=RANGES,
    response_class=Response,
    summary="Get an output of a job",
)
async def get_output(
    request: Request,
    output: OutputName,
    job: ExistingJob,
    space: InSpace,
    files: StoredFiles,
    query: Annotated[_Wanted, Depends(_wanted)],
) -> Response:
    """The file, as soon as its phase has ended; ranges are served."""
    known = services_of(request).manifests
    found = outputs.one(await outputs.outputs_of(files, space.namespace, job, known), output, query.phase)
    if found is None:
        await outputs.outputs_of(files, space.namespace, job)  # 410 where they are gone, whatever their names
        outputs.require_there(job)
        raise Problem(404, "not-found", f"The job has no output {output!r}.")
    if query.direct and (url := await _link(files, space.namespace, found)):
        return RedirectResponse(url, status_code=307, headers={"Cache-Control": "no-store"})
    wanted = outputs.read_call(space.namespace, found)
    return Relay(files, dataclasses.replace(wanted, headers=asked(request)), removed())


async def _link(files: Files, namespace: str, output: outputs.Output) -> str | None:
    try:
        return await outputs.link_to(files, namespace, output)
    except Problem as problem:
        raise (removed() if problem.status == 404 else problem) from None
