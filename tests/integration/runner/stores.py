"""The two kinds of store as tests see them: put files in, look at what is there."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from audiojob_types.contract import Manifest


@dataclass(frozen=True)
class StoreFolder:
    """A store whose objects are files below ``root``: the folder store itself, or the bucket's folder of versitygw.

    ``config`` is its form in the phase file; ``credentials`` are files for the pod, by name.
    """

    kind: str
    root: Path
    config: dict[str, Any]
    credentials: dict[str, str] = field(default_factory=dict)

    def keys(self) -> list[str]:
        """All objects, also unfinished ones."""
        return sorted(str(path.relative_to(self.root)) for path in self.root.rglob("*") if path.is_file())

    def published(self) -> list[str]:
        """All objects but pieces of log."""
        return [key for key in self.keys() if "/log/" not in key]

    def put(self, key: str, content: bytes) -> str:
        """Store an object; its sha256."""
        path = self.root / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        return hashlib.sha256(content).hexdigest()

    def read(self, key: str) -> bytes:
        """An object."""
        return (self.root / key).read_bytes()

    def manifest(self, key: str) -> Manifest:
        """A manifest."""
        return Manifest.model_validate_json(self.read(key))

    def put_manifest(self, folder: str, outputs: dict[str, bytes], **changes: Any) -> dict[str, Any]:
        """Publish an earlier phase by hand; the reference to its manifest."""
        listed = [
            {
                "name": name,
                "file": f"{name}.bin",
                "mediaType": "application/octet-stream",
                "bytes": len(content),
                "sha256": self.put(f"{folder}/{name}.bin", content),
            }
            for name, content in outputs.items()
        ]
        namespace, uid, phase, _ = folder.split("/")
        manifest = {
            "job": "song",
            "namespace": namespace,
            "uid": uid,
            "phase": phase,
            "attempt": 1,
            "task": "Simulate",
            "fingerprint": "0" * 64,
            "outputs": listed,
            "createdTime": "2026-01-01T00:00:00Z",
        }
        key = f"{folder}/manifest.json"
        sha256 = self.put(key, json.dumps(manifest | changes).encode())
        return {"key": key, "sha256": sha256, "count": len(listed)}
