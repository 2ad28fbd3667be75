"""Where the files of the namespace are: a folder, or a bucket."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from audiojob_files.links import Links
from audiojob_files.presign import Signer
from audiojob_files.serving.contents import Contents
from audiojob_files.serving.folder import FolderContents
from audiojob_files.settings import FilesSettings
from audiojob_files.uploads.folder import Uploads
from audiojob_files.uploads.record import Limits
from audiojob_files.uploads.store import UploadStore
from audiojob_store.credentials import read_credentials
from audiojob_types.outside.stores import S3Store

_USER_AGENT: Final = "audiojob-files"
_RETRY_SECONDS: Final = 30  # somebody waits for the answer


@dataclass(frozen=True, slots=True)
class Stored:
    """What the handlers stand on."""

    contents: Contents
    uploads: UploadStore
    links: Links | None = None


def stored_by(settings: FilesSettings) -> Stored:
    """What the settings say. Raises :class:`NoCredentials` where the key of a bucket is not mounted."""
    if not isinstance(settings.store, S3Store):
        limits = _limits(settings, min_free_bytes=settings.min_free_bytes)
        return Stored(FolderContents(settings.root), Uploads(settings.root, settings.namespace, limits))
    return _bucket(settings, settings.store)


def _limits(settings: FilesSettings, min_free_bytes: int, together: int | None = None) -> Limits:
    return Limits(
        max_bytes=settings.max_upload_bytes,
        max_open=settings.max_open_uploads,
        min_free_bytes=min_free_bytes,
        media_types=tuple(each.strip() for each in settings.media_types.split(",") if each.strip()),
        max_open_each=settings.max_open_uploads_each,
        together=together,
    )


def _bucket(settings: FilesSettings, store: S3Store) -> Stored:
    # Its client takes memory that a service of a folder is to do without.
    from audiojob_files.bucket import Bucket  # noqa: PLC0415
    from audiojob_files.serving.objects import ObjectContents  # noqa: PLC0415
    from audiojob_files.uploads.objects import BucketUploads  # noqa: PLC0415
    from audiojob_store.bucket import open_bucket  # noqa: PLC0415

    credentials = read_credentials(settings.credentials)
    bucket = Bucket(open_bucket(store, credentials, _USER_AGENT, _RETRY_SECONDS))
    links = None
    if settings.public_url is not None:
        links = Links(Signer(settings.public_url, store.region, credentials), store.bucket, store.prefix)
    limits = _limits(settings, min_free_bytes=0, together=settings.parts_bytes)
    local = Uploads(settings.parts, settings.namespace, limits)
    return Stored(ObjectContents(bucket), BucketUploads(local, bucket, links), links)
