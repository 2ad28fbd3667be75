"""The key of a bucket, from a mounted Secret and from nowhere else."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from audiojob_types.outside.redaction import SECRETS


class NoCredentials(Exception):  # noqa: N818 - what there is none of
    """The Secret lacks a key, or it cannot be read."""


@dataclass(frozen=True, slots=True)
class Credentials:
    """Of a bucket."""

    access_key_id: str
    secret_access_key: str


def read_credentials(folder: Path) -> Credentials:
    """The mounted Secret. Raises :class:`NoCredentials` that names the file."""
    return Credentials(_read(folder / "accessKeyId"), _read(folder / "secretAccessKey"))


def _read(path: Path) -> str:
    try:
        value = path.read_text(encoding="utf-8").strip()
    except OSError as error:
        raise NoCredentials(f"{path} cannot be read: {error.strerror or error}.") from error
    except UnicodeDecodeError:
        raise NoCredentials(f"{path} is not text.") from None
    if not value:
        raise NoCredentials(f"{path} is empty.")
    SECRETS.learn(value)
    return value
