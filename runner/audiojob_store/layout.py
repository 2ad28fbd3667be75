"""Names within the store."""

from __future__ import annotations

from typing import Final

from audiojob_types.constants import MANIFEST_NAME

LOG_FOLDER: Final = "log"
PARTIAL_FOLDER: Final = "partial"  # a partial download; it goes whenever the attempt's folder goes
RESERVED_NAMES: Final = frozenset({MANIFEST_NAME, LOG_FOLDER, PARTIAL_FOLDER})

# Within the folder of a namespace.
UPLOADS_FOLDER: Final = "uploads"
# Uploads that are not complete. They lie among the others, since a rename does not leave what is mounted writable.
INCOMING_FOLDER: Final = f"{UPLOADS_FOLDER}/.incoming"
