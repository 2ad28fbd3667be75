"""Which outputs a job has, what people call them, and whether they are there yet."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any, Final

from pydantic import BaseModel, Field, ValidationError

from audiojob_api.files.manifests import KnownManifests, manifest
from audiojob_api.files.ports import Call, Files
from audiojob_api.files.uploads import digest, encoded
from audiojob_api.problems import RETRY_SECONDS, Problem, unavailable
from audiojob_store.filenames import clean, naming, place
from audiojob_store.ticket import Link, Verb, ZipEntry, ZipList
from audiojob_types.contract import ManifestOutput
from audiojob_types.destination import Layout
from audiojob_types.resources.job import FINISHED_STATES, State

Object = dict[str, Any]

MAX_LINK_BYTES: Final = 64 * 1024
MAX_ZIP_FILES: Final = 10_000
MAX_SHOWN: Final = 1_000


@dataclass(frozen=True, slots=True)
class Output:
    """A published file: its phase, its key in the store, what people call it, and the piece that it is of."""

    phase: str
    key: str
    name: str
    piece: str
    record: ManifestOutput
    intermediate: bool


class OutputView(BaseModel):
    """An output as it is shown."""

    name: str = Field(description="By which it is asked for.")
    phase: str
    file: str = Field(description="What it is called when it is saved.")
    media_type: str = Field(alias="mediaType")
    bytes: int
    sha256: str
    intermediate: bool = Field(description="Whether only later phases of the job were meant to read it.")
    url: str


class OutputList(BaseModel):
    """The outputs of a job, in the order of its phases; at most a thousand are listed, ``count`` is of all."""

    state: Annotated[str, Field(description="Of the job.")]
    count: int
    outputs: Annotated[list[OutputView], Field(max_length=MAX_SHOWN)]


async def outputs_of(files: Files, namespace: str, job: Object, known: KnownManifests | None = None) -> list[Output]:
    """What all finished phases have published. Raises a 410 Problem where the store has it no more.

    All manifests are looked at also for one output, since an early phase may know what the work is called. ``known``
    is for callers who then ask for a file: what it has may be gone from the store.
    """
    manifests = []
    for phase in job.get("status", {}).get("phases", ()):
        ref = phase.get("manifest")
        if ref:
            manifests.append((phase["name"], ref["key"], await manifest(files, namespace, ref, known)))
    title: dict[str, object] = {}
    found = []
    for _, _, each in manifests:
        title = {**each.metadata, **title}
    for name, key, published in manifests:
        folder = key.rpartition("/")[0]
        for output in published.outputs:
            wanted = naming(
                title, job=job["metadata"]["name"], output=output.name, extension=output.file.rpartition(".")[2]
            )
            shown = place(Layout.TITLE, wanted)
            piece = clean(wanted.title)
            found.append(Output(name, f"{folder}/{output.file}", shown, piece, output, published.intermediate))
    return found


def require_there(job: Object) -> None:
    """Raise a 202 Problem with Retry-After while the job goes on, 409 where it failed or was cancelled."""
    status = job.get("status", {})
    state = status.get("state", State.PENDING)
    if state not in FINISHED_STATES:
        detail = f"The job is {state}; ask again."
        raise Problem(202, "not-finished", detail, headers={"Retry-After": str(RETRY_SECONDS)})
    if state != State.SUCCEEDED:
        why = (status.get("error") or {}).get("message") or status.get("message") or ""
        detail = f"The job is {state}. {why} What its phases finished can be had by name.".replace("  ", " ")
        raise Problem(409, "job-failed", detail)


def one(outputs: Sequence[Output], name: str, phase: str | None) -> Output | None:
    """The output of this name, of the last phase that has it where none is named."""
    fitting = [each for each in outputs if each.record.name == name and phase in (None, each.phase)]
    return fitting[-1] if fitting else None


def of_zip(outputs: Sequence[Output], phase: str | None) -> list[Output]:
    """What a zip holds: a phase's outputs, without one those of the last phase that has results.

    Raises a 404 Problem for a phase without outputs, 422 for too many.
    """
    if phase is None:
        results = [each for each in outputs if not each.intermediate] or list(outputs)
        phase = results[-1].phase if results else None
    found = [each for each in outputs if each.phase == phase]
    if not found:
        raise Problem(404, "no-outputs", f"phase: the job has no outputs of a phase {(phase or '')[:63]!r}.")
    if len(found) > MAX_ZIP_FILES:
        raise Problem(422, "too-many-outputs", f"A zip has at most {MAX_ZIP_FILES} files; fetch them one by one.")
    return found


def read_call(namespace: str, output: Output) -> Call:
    """The request for one output."""
    record = output.record
    claims = {"size": record.bytes, "sha256": record.sha256, "name": output.name, "type": record.media_type[:100]}
    return Call(namespace, "GET", "/v1/file", Verb.READ, output.key, claims)


async def link_to(files: Files, namespace: str, output: Output) -> str | None:
    """Where the client takes the file out of the store itself; None where it cannot. Raises a 404 Problem as `open`."""
    async with files.open(replace(read_call(namespace, output), path="/v1/link", verb=Verb.LINK)) as answer:
        try:
            return Link.read(await answer.read(MAX_LINK_BYTES)).url
        except ValidationError:
            raise unavailable("The files service answers in another form; its version may differ.") from None


def zip_call(namespace: str, job: Object, outputs: Sequence[Output]) -> Call:
    """The request for several as one zip, named as their piece is."""
    entries = tuple(
        ZipEntry(
            key=each.key, name=each.name, bytes=each.record.bytes, sha256=each.record.sha256, crc32=each.record.crc32
        )
        for each in outputs
    )
    listed = encoded(ZipList(entries=entries).to_wire())
    claims = {"name": f"{outputs[0].piece}.zip", "type": "application/zip", "body": digest(listed)}
    return Call(namespace, "POST", "/v1/zip", Verb.ZIP, job["metadata"]["uid"], claims, body=listed)


def listing(job: Object, outputs: Sequence[Output], url: Callable[[str], str]) -> Object:
    """The JSON form of :class:`OutputList`; ``url`` is the address of what stands below the list's own."""
    return {
        "state": job.get("status", {}).get("state", State.PENDING),
        "count": len(outputs),
        "outputs": [
            {
                "name": each.record.name,
                "phase": each.phase,
                "file": each.name,
                "mediaType": each.record.media_type,
                "bytes": each.record.bytes,
                "sha256": each.record.sha256,
                "intermediate": each.intermediate,
                "url": url(f"{each.record.name}?phase={each.phase}"),
            }
            for each in outputs[:MAX_SHOWN]
        ],
    }
