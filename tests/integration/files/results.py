"""What a runner leaves of a phase in a folder that is a namespace's store: files, log and manifest."""

from __future__ import annotations

import hashlib
import json
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from audiojob_types.constants import API_VERSION


@dataclass(frozen=True)
class Of:
    """Whose results they are."""

    namespace: str
    job: str
    uid: str
    phase: str


@dataclass(frozen=True)
class Holes:
    """So many zeros, which take no room on the disk. Nobody has hashed them."""

    size: int


def publish(
    own: Path, of: Of, outputs: Mapping[str, bytes | Holes], log: tuple[str, ...], **manifest: Any
) -> dict[str, Any]:
    """Write them below the namespace's folder; the phase's row of a status. ``manifest`` has its further fields.

    Again the same where they are there: whoever could not name them in a status tries once more.
    """
    folder = own / of.uid / of.phase / "1-abcdefgh"
    (folder / "log").mkdir(parents=True, exist_ok=True)
    for number, piece in enumerate(log):
        (folder / f"log/{number:04}").write_text(piece)
    rows = [
        {"name": name, "file": f"{name}.flac", "mediaType": "audio/flac", **_written(folder / f"{name}.flac", content)}
        for name, content in outputs.items()
    ]
    text = json.dumps({
        "apiVersion": API_VERSION, "job": of.job, "namespace": of.namespace, "uid": of.uid, "phase": of.phase,
        "attempt": 1, "task": "Separate", "fingerprint": "0" * 64, "outputs": rows,
        "metadata": {"title": "Ein Lied"}, **manifest,
    }).encode()  # fmt: skip
    (folder / "manifest.json").write_bytes(text)
    ref = {
        "key": f"{of.namespace}/{of.uid}/{of.phase}/1-abcdefgh/manifest.json",
        "sha256": hashlib.sha256(text).hexdigest(), "count": len(rows),
    }  # fmt: skip
    return {"name": of.phase, "attempt": 1, "state": "Succeeded", "manifest": ref}


def _written(path: Path, content: bytes | Holes) -> dict[str, Any]:
    """Write a file; what a manifest says of its bytes."""
    if isinstance(content, Holes):
        with path.open("wb") as file:
            file.truncate(content.size)
        return {"bytes": content.size, "sha256": "0" * 64, "crc32": "0" * 8}
    path.write_bytes(content)
    return {
        "bytes": len(content), "sha256": hashlib.sha256(content).hexdigest(), "crc32": f"{zlib.crc32(content):08x}",
    }  # fmt: skip
