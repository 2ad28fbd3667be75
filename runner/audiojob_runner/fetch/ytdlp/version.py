"""The age of the installed yt-dlp. Sites change every few weeks, and old versions fail with misleading errors."""

from __future__ import annotations

from datetime import date
from typing import Final

WARN_DAYS: Final = 60


def age_warning(version: str, today: date) -> str | None:
    """A sentence when yt-dlp's version, which is its date of release, is older than ``WARN_DAYS``; else None."""
    try:
        year, month, day = (int(part) for part in version.split(".")[:3])
        age = (today - date(year, month, day)).days
    except ValueError:
        return None
    if age <= WARN_DAYS:
        return None
    return f"yt-dlp {version} is {age} days old; sites may have changed since. Use a newer runner image."
