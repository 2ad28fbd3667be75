"""Opens an S3 bucket: for phases and the files service."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Final

from obstore.store import S3Store as ObstoreS3

from audiojob_store.credentials import Credentials
from audiojob_types.outside.stores import S3Store

if TYPE_CHECKING:
    from obstore.store import S3Config

CONNECT_SECONDS: Final = 10
# Of one request, which carries at most one part of an upload.
REQUEST_SECONDS: Final = 120
MAX_RETRIES: Final = 6
RETRY_SECONDS: Final = 180


def open_bucket(config: S3Store, credentials: Credentials, user_agent: str, retry_seconds: int) -> ObstoreS3:
    """The bucket; nothing is asked of it yet. A call is tried again for so long where that may help."""
    options: S3Config = {"copy_if_not_exists": "multipart"}
    if config.endpoint:
        options["endpoint"] = config.endpoint
    return ObstoreS3(
        config.bucket,
        config=options,
        prefix=config.prefix or None,
        region=config.region,
        access_key_id=credentials.access_key_id,
        secret_access_key=credentials.secret_access_key,
        client_options={
            "allow_http": config.allow_http,
            "connect_timeout": timedelta(seconds=CONNECT_SECONDS),
            "timeout": timedelta(seconds=REQUEST_SECONDS),
            "user_agent": user_agent,
        },
        retry_config={"max_retries": MAX_RETRIES, "retry_timeout": timedelta(seconds=retry_seconds)},
    )
