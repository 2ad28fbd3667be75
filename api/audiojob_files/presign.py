"""Signs links to a bucket (AWS Signature Version 4, in the query). Pure.

obstore signs method, path and expiry only; ours also fix what the answer is called and typed, and how large, and of
which checksum, a file may be that is put there.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final
from urllib.parse import quote, urlsplit

from audiojob_store.credentials import Credentials

_ALGORITHM: Final = "AWS4-HMAC-SHA256"
_SERVICE: Final = "s3"


@dataclass(frozen=True, slots=True)
class Request:
    """What a link allows, at a path of the server. The client must send the headers as they are here."""

    method: str
    path: str
    query: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Signer:
    """Signs for one server, whose address clients reach it by."""

    server: str
    region: str
    credentials: Credentials

    def link(self, request: Request, now: datetime, seconds: int) -> str:
        """The address, which serves for so long."""
        moment = now.strftime("%Y%m%dT%H%M%SZ")
        scope = f"{moment[:8]}/{self.region}/{_SERVICE}/aws4_request"
        headers = {"host": urlsplit(self.server).netloc, **{name.lower(): v for name, v in request.headers.items()}}
        signed = ";".join(sorted(headers))
        query = _query({
            **request.query, "X-Amz-Algorithm": _ALGORITHM,
            "X-Amz-Credential": f"{self.credentials.access_key_id}/{scope}", "X-Amz-Date": moment,
            "X-Amz-Expires": str(seconds), "X-Amz-SignedHeaders": signed,
        })  # fmt: skip
        path = quote(request.path, safe="/-_.~")
        listed = "".join(f"{name}:{headers[name].strip()}\n" for name in sorted(headers))
        canonical = f"{request.method}\n{path}\n{query}\n{listed}\n{signed}\nUNSIGNED-PAYLOAD"
        text = "\n".join([_ALGORITHM, moment, scope, hashlib.sha256(canonical.encode()).hexdigest()])
        signature = hmac.new(self._key(scope), text.encode(), hashlib.sha256).hexdigest()
        return f"{self.server}{path}?{query}&X-Amz-Signature={signature}"

    def _key(self, scope: str) -> bytes:
        key = f"AWS4{self.credentials.secret_access_key}".encode()
        for part in scope.split("/"):
            key = hmac.new(key, part.encode(), hashlib.sha256).digest()
        return key


def _query(values: Mapping[str, str]) -> str:
    return "&".join(sorted(f"{quote(name, safe='-_.~')}={quote(value, safe='-_.~')}" for name, value in values.items()))
