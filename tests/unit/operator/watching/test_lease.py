"""The Lease on a server of one object, with a clock that the tests move."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import deepcopy
from typing import Any, cast

import pytest
from tests.support.polling import eventually

from audiojob_kube.client import KubeClient
from audiojob_kube.errors import AlreadyExists, ApiError, Conflict, NotFound, ServerError, TransportError
from audiojob_operator.settings_groups import LeaseSettings
from audiojob_operator.watching.lease import Lease, LeaseLostError

Object = dict[str, Any]

SETTINGS = LeaseSettings(duration_seconds=15, renew_deadline_seconds=10, retry_seconds=0.01)


class Clock:
    """Seconds that pass only when told."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


class LeaseServer:
    """One Lease with a resourceVersion that is checked, as the API server does."""

    def __init__(self) -> None:
        self.lease: Object | None = None
        self.failure: Exception | None = None
        self.before_patch: Callable[[], None] = lambda: None  # what another process does between our read and our write
        self.calls = 0

    async def get(self, _resource: object, name: str, _namespace: str) -> Object:
        self._called()
        if self.lease is None:
            raise NotFound(404, "NotFound", name)
        return deepcopy(self.lease)

    async def create(self, _resource: object, body: Object) -> Object:
        self._called()
        if self.lease is not None:
            raise AlreadyExists(409, "AlreadyExists", "exists")
        self.lease = deepcopy(body)
        self.lease["metadata"]["resourceVersion"] = "1"
        return deepcopy(self.lease)

    async def patch_merge(self, _resource: object, _name: str, body: Object, _namespace: str) -> Object:
        self._called()
        self.before_patch()
        assert self.lease is not None
        if body["metadata"]["resourceVersion"] != self.lease["metadata"]["resourceVersion"]:
            raise Conflict(409, "Conflict", "the object has been modified")
        self.renew(**body["spec"])
        return deepcopy(self.lease)

    def renew(self, **spec: Any) -> None:
        """A write by anybody."""
        assert self.lease is not None
        self.lease["spec"].update(spec)
        self.lease["metadata"]["resourceVersion"] = str(int(self.lease["metadata"]["resourceVersion"]) + 1)

    def held_by(self, holder: str) -> None:
        """A Lease that somebody else has made; its time lies far off, as of a machine whose clock is wrong."""
        spec = {"holderIdentity": holder, "leaseDurationSeconds": 15, "renewTime": "1999-01-01T00:00:00.000000Z"}
        self.lease = {"metadata": {"name": "lease", "resourceVersion": "7"}, "spec": {**spec, "leaseTransitions": 2}}

    @property
    def holder(self) -> str:
        assert self.lease is not None
        return str(self.lease["spec"]["holderIdentity"])

    def _called(self) -> None:
        self.calls += 1
        if self.failure is not None:
            raise self.failure


@pytest.fixture
def server() -> LeaseServer:
    return LeaseServer()


@pytest.fixture
def clock() -> Clock:
    return Clock()


def lease_of(
    server: LeaseServer, clock: Clock, identity: str = "me", changed: Callable[[bool], None] = lambda _held: None
) -> Lease:
    settings = SETTINGS.model_copy(update={"identity": identity})
    return Lease(cast("KubeClient", server), settings, clock, changed)


@contextmanager
def running(lease: Lease) -> Iterator[asyncio.Task[None]]:
    """The lease's task, cancelled at the end."""
    task = asyncio.create_task(lease.run())
    try:
        yield task
    finally:
        task.cancel()


async def tries(server: LeaseServer, count: int = 3) -> None:
    """Let the holder or candidate try some more times."""
    goal = server.calls + 2 * count
    await eventually(lambda: server.calls >= goal, "more tries")


async def test_the_first_process_makes_the_lease_and_keeps_it(server: LeaseServer, clock: Clock) -> None:
    lease = lease_of(server, clock)
    with running(lease):
        await asyncio.wait_for(lease.held.wait(), 60)
        assert server.holder == "me"
        assert server.lease is not None
        before = int(server.lease["metadata"]["resourceVersion"])
        await tries(server)
        assert int(server.lease["metadata"]["resourceVersion"]) > before, "renewed"
        assert server.lease["spec"]["leaseTransitions"] == 0


async def test_another_holder_is_waited_for_whatever_its_clock_says(server: LeaseServer, clock: Clock) -> None:
    server.held_by("other")
    lease = lease_of(server, clock)
    with running(lease):
        await tries(server)
        clock.now += 14.9
        await tries(server)
        assert not lease.held.is_set()
        assert server.holder == "other"


async def test_a_silent_holder_is_followed_when_its_time_is_over(server: LeaseServer, clock: Clock) -> None:
    server.held_by("other")
    lease = lease_of(server, clock)
    with running(lease):
        await tries(server)
        clock.now += 15.0
        await asyncio.wait_for(lease.held.wait(), 60)
        assert server.holder == "me"
        assert server.lease is not None
        assert server.lease["spec"]["leaseTransitions"] == 3


async def test_each_renewal_of_the_holder_starts_its_time_again(server: LeaseServer, clock: Clock) -> None:
    server.held_by("other")
    lease = lease_of(server, clock)
    with running(lease):
        for number in range(4):
            await tries(server)
            clock.now += 10
            server.renew(renewTime=f"1999-01-01T00:00:0{number + 1}.000000Z")
        await tries(server)
        assert not lease.held.is_set()


async def test_a_lease_given_back_is_taken_at_once(server: LeaseServer, clock: Clock) -> None:
    server.held_by("")
    lease = lease_of(server, clock)
    with running(lease):
        await asyncio.wait_for(lease.held.wait(), 60)
        assert server.holder == "me"


async def test_a_restarted_process_of_the_same_identity_goes_on_at_once(server: LeaseServer, clock: Clock) -> None:
    server.held_by("me")
    lease = lease_of(server, clock)
    with running(lease):
        await asyncio.wait_for(lease.held.wait(), 60)
        assert server.lease is not None
        assert server.lease["spec"]["leaseTransitions"] == 2, "no change of holder"


async def test_of_two_that_try_at_once_one_waits(server: LeaseServer, clock: Clock) -> None:
    server.held_by("")

    def be_faster() -> None:
        if server.holder == "":
            server.renew(holderIdentity="faster", renewTime="2026-01-01T00:00:00.000000Z")

    server.before_patch = be_faster
    lease = lease_of(server, clock)
    with running(lease):
        await tries(server)
        assert not lease.held.is_set()
        assert server.holder == "faster"


async def test_a_lease_that_somebody_took_ends_the_process(server: LeaseServer, clock: Clock) -> None:
    lease = lease_of(server, clock)
    with running(lease) as task:
        await asyncio.wait_for(lease.held.wait(), 60)
        server.renew(holderIdentity="thief", renewTime="2026-01-01T00:00:00.000000Z")
        with pytest.raises(LeaseLostError, match="thief"):
            await asyncio.wait_for(task, 60)


@pytest.mark.parametrize(
    "failure",
    [
        pytest.param(ServerError(503, "ServiceUnavailable", "busy"), id="a server that refuses"),
        pytest.param(TransportError("connection refused"), id="no server"),
        pytest.param(ApiError(403, "Forbidden", "no"), id="missing rights"),
    ],
)
async def test_a_lease_that_cannot_be_renewed_is_held_for_the_deadline_only(
    server: LeaseServer, clock: Clock, failure: Exception
) -> None:
    changes: list[bool] = []
    lease = lease_of(server, clock, changed=changes.append)
    with running(lease) as task:
        await asyncio.wait_for(lease.held.wait(), 60)
        server.failure = failure
        await tries(server)
        clock.now += 9.9
        await tries(server)
        assert lease.held.is_set(), "a short failure costs nothing"
        clock.now += 0.2
        await eventually(lambda: changes == [True, False], "not the active one any more")
        assert not lease.held.is_set()
        assert not task.done(), "an API server that is away is no reason to end"


async def test_a_lease_that_nobody_took_meanwhile_is_held_again(server: LeaseServer, clock: Clock) -> None:
    changes: list[bool] = []
    lease = lease_of(server, clock, changed=changes.append)
    with running(lease):
        await asyncio.wait_for(lease.held.wait(), 60)
        server.failure = TransportError("connection refused")
        await tries(server)
        clock.now += 60
        await eventually(lambda: not lease.held.is_set(), "the deadline to pass")
        server.failure = None
        await eventually(lambda: changes == [True, False, True], "the Lease to be held again")
        assert server.holder == "me"


async def test_a_lease_that_somebody_took_meanwhile_ends_the_process(server: LeaseServer, clock: Clock) -> None:
    lease = lease_of(server, clock)
    with running(lease) as task:
        await asyncio.wait_for(lease.held.wait(), 60)
        server.failure = TransportError("connection refused")
        await tries(server)
        clock.now += 60
        await eventually(lambda: not lease.held.is_set(), "the deadline to pass")
        server.renew(holderIdentity="successor", renewTime="2026-01-01T00:00:00.000000Z")
        server.failure = None
        with pytest.raises(LeaseLostError, match="successor"):
            await asyncio.wait_for(task, 60)


async def test_the_moment_at_which_the_holders_time_is_over_is_not_slept_through(
    server: LeaseServer, clock: Clock
) -> None:
    slow = SETTINGS.model_copy(update={"retry_seconds": 9.0})
    server.held_by("other")
    lease = Lease(cast("KubeClient", server), slow, clock)
    with running(lease):
        await eventually(lambda: server.calls == 1, "the first look")
    server.calls = 0
    clock.now += 14.9  # 0.1 s are left, and the usual pause is 9 s
    with running(lease):
        await eventually(lambda: server.calls >= 1, "a look")
        clock.now += 0.2
        await asyncio.wait_for(lease.held.wait(), 60)


async def test_the_same_problem_is_logged_once(
    server: LeaseServer, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    server.failure = TransportError("connection refused")
    with running(lease_of(server, clock)):
        await tries(server, 5)
    assert caplog.text.count("connection refused") == 1


async def test_a_failure_that_passes_starts_the_deadline_again(server: LeaseServer, clock: Clock) -> None:
    lease = lease_of(server, clock)
    with running(lease) as task:
        await asyncio.wait_for(lease.held.wait(), 60)
        for _ in range(3):
            server.failure = TransportError("connection refused")
            clock.now += 8
            await tries(server)
            server.failure = None
            await tries(server)
        assert not task.done()


async def test_release_lets_a_successor_in_at_once(server: LeaseServer, clock: Clock) -> None:
    lease = lease_of(server, clock)
    with running(lease) as task:
        await asyncio.wait_for(lease.held.wait(), 60)
        task.cancel()
    await lease.release()
    assert server.holder == ""
    assert not lease.held.is_set()
    successor = lease_of(server, clock, "successor")
    with running(successor):
        await asyncio.wait_for(successor.held.wait(), 60)


async def test_release_leaves_the_lease_of_another_alone(server: LeaseServer, clock: Clock) -> None:
    lease = lease_of(server, clock)
    with running(lease) as task:
        await asyncio.wait_for(lease.held.wait(), 60)
        task.cancel()
    server.renew(holderIdentity="thief")
    await lease.release()
    assert server.holder == "thief"


async def test_release_without_a_lease_asks_nobody(server: LeaseServer, clock: Clock) -> None:
    await lease_of(server, clock).release()
    assert server.calls == 0


async def test_release_does_not_raise_when_the_server_is_away(server: LeaseServer, clock: Clock) -> None:
    lease = lease_of(server, clock)
    with running(lease) as task:
        await asyncio.wait_for(lease.held.wait(), 60)
        task.cancel()
    server.failure = TransportError("connection refused")
    await lease.release()
    assert not lease.held.is_set()


def test_processes_without_an_identity_make_their_own(server: LeaseServer, clock: Clock) -> None:
    names = {lease_of(server, clock, "").identity for _ in range(2)}
    assert len(names) == 2
    assert "" not in names
