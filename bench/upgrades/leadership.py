"""Who held the operator's Lease, and how long nobody did."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from audiojob_dev.demo.install import RELEASE, RELEASE_NAMESPACE
from audiojob_dev.rest import Rest, RestError

LEASE = f"/apis/coordination.k8s.io/v1/namespaces/{RELEASE_NAMESPACE}/leases/{RELEASE}-operator"
_POLL_SECONDS = 0.1


@dataclass(frozen=True, slots=True)
class Seen:
    """The Lease at one moment (monotonic seconds): its holder, empty for nobody, and when it last renewed."""

    at: float
    holder: str
    renew_time: str


def gaps(history: Sequence[Seen]) -> list[float]:
    """Seconds without a leader, one number for each time that the Lease went to another holder.

    They begin when the old holder gave the Lease back, or was last seen to renew it, and end when the new one has it.
    """
    found: list[float] = []
    holder, since, renewed = "", None, ""
    for seen in history:
        if seen.holder == holder and seen.renew_time == renewed:
            continue
        if not seen.holder:
            since = seen.at if holder else since
        elif since is not None and seen.holder != holder:
            found.append(seen.at - since)
        if seen.holder:
            since = seen.at
        holder, renewed = seen.holder, seen.renew_time
    return found


@dataclass
class Watched:
    """What was seen so far."""

    history: list[Seen] = field(default_factory=list)

    @property
    def holders(self) -> int:
        """How many processes have led."""
        return len({seen.holder for seen in self.history} - {""})


@contextmanager
def watched(rest: Rest) -> Iterator[Watched]:
    """The Lease is looked at ten times a second while entered."""
    found, end = Watched(), threading.Event()

    def look() -> None:
        while not end.wait(_POLL_SECONDS):
            try:
                spec = rest.request("GET", LEASE)["spec"]
            except (RestError, OSError):
                continue  # it is not there yet, or the API server is busy
            found.history.append(Seen(time.monotonic(), spec.get("holderIdentity") or "", spec.get("renewTime") or ""))

    thread = threading.Thread(target=look, daemon=True)
    thread.start()
    try:
        yield found
    finally:
        end.set()
        thread.join()
