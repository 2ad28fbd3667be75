"""The client: one for each API and caller."""

from __future__ import annotations

from datetime import datetime
from types import TracebackType
from typing import Self

import httpx2

from audiojob_client import calls
from audiojob_client.calls import request
from audiojob_client.models import By, Health, Statistics, read
from audiojob_client.settings import settings_of
from audiojob_client.synchronous.jobs import Jobs
from audiojob_client.synchronous.keys import Keys
from audiojob_client.synchronous.outputs import Outputs
from audiojob_client.synchronous.transport import Transport
from audiojob_client.synchronous.uploads import Uploads
from audiojob_client.tokens import TokenSource


class Client:
    """All calls of an audiojob API, in groups: ``jobs``, ``outputs``, ``uploads``, ``keys``."""

    def __init__(
        self,
        url: str,
        token: TokenSource,
        *,
        namespace: str | None = None,
        patience: float | None = None,
        http: httpx2.Client | None = None,
    ) -> None:
        """``token`` may be a function, which is asked at each request. ``namespace`` is needed by callers who have
        several. ``patience`` is for how many seconds a call may wait for a busy API (60). ``http`` takes the place of
        the client's own connections, and stays its maker's to close."""
        transport = Transport(settings_of(url, token, namespace, patience), http)
        self._transport = transport
        self.jobs = Jobs(transport)
        self.outputs = Outputs(transport)
        self.uploads = Uploads(transport)
        self.keys = Keys(transport)

    def statistics(
        self,
        begin: datetime | None = None,
        end: datetime | None = None,
        *,
        by: By | str = By.ALL,
        queue: str | None = None,
    ) -> Statistics:
        """What happened in whole hours, by default of the last day. Raises :class:`NotFound` without an archive.

        ``depths`` are of all queues and each, or of the one that is named.
        """
        query = {"from": begin, "to": end, "by": By(by), "queue": queue}
        return read(Statistics, self._transport.send(request(calls.STATISTICS, query=query)))

    def health(self) -> Health:
        """How the installation is, in words."""
        return read(Health, self._transport.send(request(calls.HEALTH)))

    def close(self) -> None:
        """End all connections."""
        self._transport.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._transport.settings.url!r})"
