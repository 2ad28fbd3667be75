"""The S3 store: one bucket and prefix, with credentials from a mounted Secret and from nowhere else."""

from __future__ import annotations

from pathlib import Path

from audiojob_runner.errors import PhaseError
from audiojob_runner.store.base import Store
from audiojob_store.bucket import RETRY_SECONDS, open_bucket
from audiojob_store.credentials import NoCredentials, read_credentials
from audiojob_types.constants import MANAGER_RUNNER, STORE_SECRET
from audiojob_types.contract import ExitCode, S3Store
from audiojob_types.reasons import Reason


def open_s3(config: S3Store, credentials: Path) -> Store:
    """The bucket of ``config``. Raises :class:`PhaseError` (77) where a credential file is missing or empty."""
    try:
        found = read_credentials(credentials)
    except NoCredentials as error:
        raise PhaseError(
            ExitCode.CREDENTIALS,
            Reason.CREDENTIALS_REFUSED,
            str(error),
            f"Ask the administrator for a Secret {STORE_SECRET} with keys accessKeyId and secretAccessKey.",
        ) from error
    objects = open_bucket(config, found, MANAGER_RUNNER, RETRY_SECONDS)
    return Store(objects=objects, name=f"s3://{config.bucket}/{config.prefix}".rstrip("/"))
