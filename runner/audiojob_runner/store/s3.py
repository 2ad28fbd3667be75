"""The S3 store: one bucket and prefix, with credentials from a mounted Secret and from nowhere else."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final

from obstore.store import S3Store as ObstoreS3

from audiojob_runner.errors import PhaseError
from audiojob_runner.store.base import Store
from audiojob_types.constants import MANAGER_RUNNER, STORE_SECRET
from audiojob_types.contract import ExitCode, S3Store
from audiojob_types.outside.redaction import SECRETS
from audiojob_types.reasons import Reason

if TYPE_CHECKING:
    from obstore.store import S3Config

CONNECT_SECONDS: Final = 10
# Of one request, which carries at most one part of 8 MiB.
REQUEST_SECONDS: Final = 120
MAX_RETRIES: Final = 6
RETRY_SECONDS: Final = 180


def open_s3(config: S3Store, credentials: Path) -> Store:
    """The bucket of ``config``. Raises :class:`PhaseError` (77) where a credential file is missing or empty."""
    options: S3Config = {"copy_if_not_exists": "multipart"}
    if config.endpoint:
        options["endpoint"] = config.endpoint
    store = ObstoreS3(
        config.bucket,
        config=options,
        prefix=config.prefix or None,
        region=config.region,
        access_key_id=_read_credential(credentials, "accessKeyId"),
        secret_access_key=_read_credential(credentials, "secretAccessKey"),
        client_options={
            "allow_http": config.allow_http,
            "connect_timeout": timedelta(seconds=CONNECT_SECONDS),
            "timeout": timedelta(seconds=REQUEST_SECONDS),
            "user_agent": MANAGER_RUNNER,
        },
        retry_config={"max_retries": MAX_RETRIES, "retry_timeout": timedelta(seconds=RETRY_SECONDS)},
    )
    return Store(objects=store, name=f"s3://{config.bucket}/{config.prefix}".rstrip("/"))


def _read_credential(folder: Path, name: str) -> str:
    path = folder / name
    try:
        value = path.read_text(encoding="utf-8").strip()
    except OSError as error:
        raise _no_credentials(f"{path} cannot be read: {error.strerror or error}.") from error
    except UnicodeDecodeError:
        raise _no_credentials(f"{path} is not text.") from None
    if not value:
        raise _no_credentials(f"{path} is empty.")
    SECRETS.learn(value)
    return value


def _no_credentials(message: str) -> PhaseError:
    return PhaseError(
        ExitCode.CREDENTIALS,
        Reason.CREDENTIALS_REFUSED,
        message,
        f"Ask the administrator for a Secret {STORE_SECRET} with keys accessKeyId and secretAccessKey.",
    )
