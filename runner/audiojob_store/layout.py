"""Names within the store."""

from __future__ import annotations

from typing import Final

from audiojob_types.contract import MANIFEST_NAME

LOG_FOLDER: Final = "log"
PARTIAL_FOLDER: Final = "partial"  # a partial download; it goes whenever the attempt's folder goes
RESERVED_NAMES: Final = frozenset({MANIFEST_NAME, LOG_FOLDER, PARTIAL_FOLDER})

# Within the folder of a namespace.
UPLOADS_FOLDER: Final = "uploads"
INCOMING_FOLDER: Final = "incoming"  # uploads that are not complete; no phase mounts it
