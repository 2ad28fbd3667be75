"""What an AudioJob works on: an address, an upload, a file of a library, or what another job has made.

Beside that, what it needs: texts and small files.
"""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import ConfigDict, Field

from audiojob_types.base import ObjectName, WireModel, cel
from audiojob_types.contract import MAX_TEXT_BYTES
from audiojob_types.destination import LibraryName
from audiojob_types.resources.fields import OutputName
from audiojob_types.resources.urlrules import URL_RULES


class ObjectSource(WireModel):
    """A file that was uploaded into the store of the job's namespace."""

    model_config = ConfigDict(
        json_schema_extra={
            "x-kubernetes-validations": cel(
                (
                    "!self.key.startsWith('/') && !self.key.contains('..') && !self.key.contains('//')",
                    "key must be a relative path such as 'albums/song.flac', without '..'",
                )
            )
        }
    )

    key: Annotated[
        str,
        Field(
            min_length=1,
            max_length=512,
            pattern=r"^[^\x00-\x1f\x7f\\]+$",
            description="key is the path below the namespace's uploads folder.",
        ),
    ]


class LibrarySource(WireModel):
    """A file of a library that the administrator set up; it is only read."""

    model_config = ConfigDict(
        json_schema_extra={
            "x-kubernetes-validations": cel(
                (
                    "!self.path.startsWith('/') && !self.path.contains('..') && !self.path.contains('//')",
                    "path must be relative to the library, such as 'Artist/Song.flac', without '..'",
                )
            )
        }
    )

    name: Annotated[LibraryName, Field(description="name of the library, as the administrator calls it.")]
    path: Annotated[
        str,
        Field(
            min_length=1,
            max_length=512,
            pattern=r"^[^\x00-\x1f\x7f\\]+$",
            description="path of the file below the library's top.",
        ),
    ]


class JobSource(WireModel):
    """An output of another AudioJob of the same namespace."""

    name: Annotated[ObjectName, Field(description="name of the AudioJob; this job waits until it has succeeded.")]
    output: (
        Annotated[
            str,
            Field(
                pattern=r"^[a-z0-9][-_.a-z0-9]*$",
                max_length=63,
                description="output of that job, as in its status.outputs. Default: its only output.",
            ),
        ]
        | None
    ) = None


class Source(WireModel):
    """Where the work's input comes from: exactly one of its fields."""

    model_config = ConfigDict(
        json_schema_extra={
            "x-kubernetes-validations": cel(
                (
                    "[has(self.url), has(self.object), has(self.library), has(self.jobRef)].filter(x, x).size() == 1",
                    "source must have exactly one of url, object, library, jobRef",
                ),
            )
        }
    )

    url: (
        Annotated[
            str,
            Field(
                min_length=1,
                max_length=2_048,
                description="url is a media file or a page that yt-dlp knows; http and https only.",
                json_schema_extra={"x-kubernetes-validations": cel(*URL_RULES)},
            ),
        ]
        | None
    ) = None
    object: Annotated[ObjectSource, Field(description="object is a file already in the store.")] | None = None
    library: Annotated[LibrarySource, Field(description="library is a file of a library.")] | None = None
    job_ref: Annotated[JobSource, Field(description="jobRef is an output of another AudioJob.")] | None = None


def is_relative(path: str) -> bool:
    """Whether a key or path stays below the folder that it is relative to. A key becomes a path."""
    return not (path.startswith("/") or "\\" in path or any(part in ("", ".", "..") for part in path.split("/")))


SOURCE_KINDS: Final = tuple(field.alias or name for name, field in Source.model_fields.items())
"""What a source may be, by its fields' names on the wire."""


class SideInput(WireModel):
    """A small input beside the source, such as lyrics or a script: its text, or an upload."""

    model_config = ConfigDict(
        json_schema_extra={
            "x-kubernetes-validations": cel(
                ("has(self.text) != has(self.object)", "an input must have exactly one of text, object"),
            )
        }
    )

    name: Annotated[
        str,
        Field(
            pattern=r"^[a-z][-a-z0-9]*$",
            min_length=1,
            max_length=63,
            description="name by which the pipeline asks for it.",
        ),
    ]
    text: (
        Annotated[
            str,
            Field(max_length=MAX_TEXT_BYTES, description="text is the content, at most 32 KiB in UTF-8."),
        ]
        | None
    ) = None
    object: Annotated[ObjectSource, Field(description="object is a file already in the store.")] | None = None


class ReviewInput(SideInput):
    """An input that a review hands in, read in place of what an earlier phase made."""

    name: Annotated[
        OutputName,
        Field(
            description="name of the output of an earlier phase that it takes the place of, one of "
            "status.phases[].reviewTakes.",
        ),
    ]


def input_problem(given: SideInput) -> tuple[str, str] | None:
    """Which field of an input is wrong, and how; admission counts characters and is not asked by all, so bytes here."""
    if (given.text is None) == (given.object is None):
        return "", "must have exactly one of text, object"
    if given.object is not None and not is_relative(given.object.key):
        return ".object.key", "must be a relative path such as lyrics/song.lrc, without '..'"
    if text_bytes(given) > MAX_TEXT_BYTES:
        return ".text", f"must have at most {MAX_TEXT_BYTES} bytes; upload longer ones and use object"
    return None


def text_bytes(given: SideInput) -> int:
    """The size of the text in UTF-8."""
    return len((given.text or "").encode())
