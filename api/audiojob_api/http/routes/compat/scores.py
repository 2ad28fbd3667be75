"""Scores at addresses of their own: the files of a job that Engrave has written."""

from __future__ import annotations

import dataclasses
from typing import Annotated, Final

from fastapi import APIRouter, Depends, Path, Request, Response
from fastapi.responses import JSONResponse

from audiojob_api.access.rights import Call
from audiojob_api.files import scores
from audiojob_api.files.manifests import removed
from audiojob_api.files.outputs import Output, outputs_of, read_call
from audiojob_api.files.ports import Files
from audiojob_api.files.scores import SCORE, CompatScore, ScoreView
from audiojob_api.http.deps import Compat, ExistingJob, InSpace, StoredFiles, caller_who_may
from audiojob_api.http.errors import responses
from audiojob_api.http.relay import FILE_ANSWERS, RANGES, Relay, asked

router = APIRouter(
    prefix="/api/v1",
    tags=["scores"],
    dependencies=[Depends(caller_who_may(Call.DOWNLOAD))],
    responses=responses(202, 400, 401, 403, 404, 409, 410, 422, 429, 500, 501, 503),
)

Instrument = Annotated[
    str,
    Path(
        max_length=58,
        pattern=r"^[a-z0-9]([-_.a-z0-9]*[a-z0-9])?$",
        description="A part of the score, such as `vocals`, `bass` or `piano`.",
    ),
]
# Path below the score, name of the output, in a few words.
_FILES: Final = (
    ("", SCORE, "Get a job's score as MusicXML"),
    ("/pdf", "pdf", "Get a job's score as PDF"),
    ("/preview", "preview", "Get the first page of a job's score as PNG"),
    ("/midi", "midi", "Get a job's score as MIDI, all parts"),
)


def _serve(path: str, output: str, summary: str) -> None:
    async def served(request: Request, job: ExistingJob, space: InSpace, files: StoredFiles) -> Response:
        """The file, as soon as its phase has ended; ranges are served."""
        found = scores.part_of_score(job, await outputs_of(files, space.namespace, job), output)
        return _relayed(request, files, space.namespace, found)

    router.add_api_route(
        f"/scores/{{name}}{path}", served, name=f"score_{output}", summary=summary,
        responses={**FILE_ANSWERS, **responses(416)}, openapi_extra=RANGES, response_class=Response,
    )  # fmt: skip


def _relayed(request: Request, files: Files, namespace: str, output: Output) -> Response:
    wanted = read_call(namespace, output)
    return Relay(files, dataclasses.replace(wanted, headers=asked(request)), removed())


for _row in _FILES:
    _serve(*_row)


@router.get(
    "/scores/{name}/metadata", response_model=ScoreView | CompatScore, summary="Get what is known of a job's score"
)
async def metadata(job: ExistingJob, space: InSpace, files: StoredFiles, compat: Compat) -> Response:
    """Tempo, key, metre, extent and parts; with `format=v1-compat` as `tempo`, `key_signature`, `time_signature`."""
    outputs = await outputs_of(files, space.namespace, job)
    shown = scores.described(scores.part_of_score(job, outputs, SCORE), outputs)
    return JSONResponse(scores.as_before(shown) if compat else shown)


@router.get(
    "/midi/{name}/{instrument}",
    responses={**FILE_ANSWERS, **responses(416)},
    openapi_extra=RANGES,
    response_class=Response,
    summary="Get a part as MIDI",
)
async def midi(
    request: Request, instrument: Instrument, job: ExistingJob, space: InSpace, files: StoredFiles
) -> Response:
    """The file, as soon as its phase has ended; 404 names the parts that there are."""
    found = scores.midi_of(job, await outputs_of(files, space.namespace, job), instrument)
    return _relayed(request, files, space.namespace, found)
