"""The service's settings, from ``AUDIOJOB_FILES_…`` variables."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Final, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from audiojob_types.constants import STORE_CREDENTIALS, STORE_ROOT
from audiojob_types.outside.stores import FolderStore, S3Store

PREFIX: Final = "AUDIOJOB_FILES_"


def _read(value: object) -> object:
    return json.loads(value) if isinstance(value, str) else value


_Store = Annotated[FolderStore | S3Store, Field(discriminator="kind")]


class FilesSettings(BaseModel):
    """One typed class for the whole process."""

    model_config = ConfigDict(frozen=True)

    namespace: Annotated[
        str,
        Field(pattern=r"^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$", description="The namespace whose files are served."),
    ]
    store: Annotated[_Store, BeforeValidator(_read), Field(description="The store of phases, as JSON.")] = FolderStore()
    root: Annotated[Path, Field(description="The folder below which the namespace's folder lies.")] = Path(STORE_ROOT)
    credentials: Annotated[Path, Field(description="Folder with the key of a bucket.")] = Path(STORE_CREDENTIALS)
    parts: Annotated[Path, Field(description="Folder where parts wait that go into a bucket.")] = Path("/parts")
    parts_bytes: Annotated[int, Field(ge=1, description="What parts may take there.")] = 30 * 1024**3
    public_url: Annotated[
        str | None,
        Field(
            pattern=r"^https?://[^/?#@]+$",
            description="Where clients reach the bucket's server. None: everything goes through this service.",
        ),
    ] = None
    keys: Annotated[Path, Field(description="File with the public keys of tickets (JWKS).")] = Path(
        "/etc/audiojob/tickets/keys.json"
    )
    host: Annotated[str, Field(description="Address to listen on.")] = "0.0.0.0"  # noqa: S104 - a pod's own address
    port: Annotated[int, Field(ge=0, le=65_535, description="Port to listen on; 0 takes a free one.")] = 8082
    max_upload_bytes: Annotated[int, Field(ge=1, description="Largest upload.")] = 20 * 1024**3
    max_open_uploads: Annotated[int, Field(ge=1, le=100_000, description="Most uploads that are not complete.")] = 1_000
    max_open_uploads_each: Annotated[int, Field(ge=1, le=100_000, description="Most of those of one user.")] = 250
    min_free_bytes: Annotated[int, Field(ge=0, description="What uploads leave free in the store.")] = 1024**3
    media_types: Annotated[
        str, Field(description="Types that are taken, with commas; a star stands for any second half.")
    ] = "audio/*,video/*,image/*,text/plain,application/ogg,application/octet-stream"
    unfinished_hours: Annotated[
        int, Field(ge=1, description="Uploads to which nothing was added for so long are removed.")
    ] = 24
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"

    @classmethod
    def read(cls, environment: Mapping[str, str]) -> Self:
        """From variables. Not by pydantic-settings, which alone takes several MiB. Raises ``ValidationError``."""
        return cls.model_validate(
            {
                name: environment[variable]
                for name in cls.model_fields
                if (variable := f"{PREFIX}{name.upper()}") in environment
            }
        )
