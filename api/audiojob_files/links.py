"""Links by which clients reach the bucket themselves: to take one file out, or to put one in."""

from __future__ import annotations

import base64
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from audiojob_files.presign import Request, Signer

SECONDS: Final = 600  # within which a client begins; what has begun goes on
MAX_PUT_BYTES: Final = 5 * 1024**3  # S3's own limit for one request


def _now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class Put:
    """How a client puts a file into the bucket: the address, and headers that it must send."""

    url: str
    headers: dict[str, str]


@dataclass(frozen=True, slots=True)
class Links:
    """Links to one bucket below a prefix."""

    signer: Signer
    bucket: str
    prefix: str
    clock: Callable[[], datetime] = _now

    def to_take(self, key: str, disposition: str, media_type: str) -> str:
        """A file, named and typed as the service itself would."""
        query = {"response-content-disposition": disposition, "response-content-type": media_type}
        return self._link(Request("GET", self._path(key), query))

    def to_put(self, key: str, size: int, sha256: str | None) -> Put | None:
        """A file of exactly this size, and of this sha256 where it is known; None where one request cannot hold it."""
        if size > MAX_PUT_BYTES:
            return None
        headers = {"Content-Length": str(size)}
        if sha256 is not None:
            headers["x-amz-checksum-sha256"] = base64.b64encode(bytes.fromhex(sha256)).decode()
        return Put(self._link(Request("PUT", self._path(key), headers=headers)), headers)

    def _link(self, request: Request) -> str:
        return self.signer.link(request, self.clock(), SECONDS)

    def _path(self, key: str) -> str:
        return "/" + "/".join(part for part in (self.bucket, self.prefix.strip("/"), key) if part)
