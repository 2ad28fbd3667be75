"""Where files are kept: by themselves, since the files service needs no more of the contract and is to stay small."""

from __future__ import annotations

from typing import Literal

from audiojob_types.base import WireModel
from audiojob_types.constants import STORE_ROOT


class FolderStore(WireModel):
    """A mounted volume. Keys are paths below ``root``."""

    kind: Literal["Folder"] = "Folder"
    root: str = STORE_ROOT


class S3Store(WireModel):
    """An S3-compatible bucket. Credentials are files below ``STORE_CREDENTIALS``. Keys are put below ``prefix``."""

    kind: Literal["S3"] = "S3"
    bucket: str
    prefix: str = ""
    endpoint: str | None = None
    region: str = "us-east-1"
    allow_http: bool = False
