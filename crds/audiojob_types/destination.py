"""Where results are kept for good: a library of the administrator, and how its files are laid out."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from audiojob_types.base import WireModel

# Short, since the names of volumes are made of it.
LibraryName = Annotated[
    str, Field(pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$", min_length=1, max_length=40, description="name of a library")
]


class Layout(StrEnum):
    """Which folders a published file is put into. Closed: nobody writes paths."""

    TITLE = "Title"
    ARTIST = "Artist"
    ARTIST_ALBUM = "ArtistAlbum"
    DATE = "Date"
    JOB = "Job"


class Destination(WireModel):
    """A library by name, and a layout from the list."""

    library: Annotated[LibraryName, Field(description="library is the name of one that the administrator set up.")]
    layout: Annotated[
        Layout,
        Field(
            description="layout of the files: Title ('Song (vocals).flac'), or below a folder: Artist, ArtistAlbum (a "
            "folder for each), Date, Job (the job's name). Default Artist."
        ),
    ] = Layout.ARTIST
