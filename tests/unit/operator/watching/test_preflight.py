"""What the operator asks of the API server before it works, and what it says when that is refused."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any, cast

import pytest
from tests.support.polling import eventually

from audiojob_kube.errors import ApiError, Forbidden, NotFound, ServerError, TransportError, Unauthorized
from audiojob_kube.objects import Object, ObjectList
from audiojob_kube.protocol import KubeClient
from audiojob_kube.resources import AUDIOJOBS, AUDIOQUEUES, JOBS, LEASES, PODS, SELFSUBJECTACCESSREVIEWS, Resource
from audiojob_operator.metrics.registry import Metrics
from audiojob_operator.settings import ImageSettings, OperatorSettings
from audiojob_operator.settings_groups import LeaseSettings
from audiojob_operator.settings_groups import Preflight as Pace
from audiojob_operator.watching import preflight
from audiojob_operator.watching.health import Degradation
from audiojob_operator.watching.preflight import Access, Preflight, StartError, explain, missing, required

SETTINGS = OperatorSettings(
    images=ImageSettings(runner="r", runner_torch="t", runner_music="m"),
    job_namespaces=("music", "voice"),
    lease=LeaseSettings(namespace="system", name="one"),
    preflight=Pace(wait_seconds=0.05, interval_seconds=0.01),
)
FORBIDDEN = Forbidden(403, "Forbidden", 'audiojobs is forbidden: User "me" cannot list')
UNREACHABLE = TransportError("GET /api: connection refused")


class Server:
    """An API server that answers access reviews, and lists nothing; each may fail."""

    def __init__(self) -> None:
        self.refused: Callable[[Object], bool] = lambda _attributes: False
        self.review_failure: Exception | None = None
        self.list_failure: Callable[[Resource], Exception | None] = lambda _resource: None
        self.asked: list[Object] = []

    async def create(self, resource: Resource, body: Object) -> Object:
        assert resource is SELFSUBJECTACCESSREVIEWS
        if self.review_failure is not None:
            raise self.review_failure
        attributes = body["spec"]["resourceAttributes"]
        self.asked.append(attributes)
        return {"status": {"allowed": not self.refused(attributes)}}

    async def pages(self, resource: Resource, **_: Any) -> AsyncIterator[ObjectList]:
        if (failure := self.list_failure(resource)) is not None:
            raise failure
        yield ObjectList([], "1")


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preflight, "_RETRY_SECONDS", 0.01)


@pytest.fixture
def server() -> Server:
    return Server()


class Checked:
    """A preflight, and what it told."""

    def __init__(self, server: Server, settings: OperatorSettings = SETTINGS) -> None:
        self.degradation = Degradation(Metrics())
        self.healed = 0
        self.preflight = Preflight(cast("KubeClient", server), settings, self.degradation, self._heal)

    def _heal(self) -> None:
        self.healed += 1


@pytest.mark.parametrize(
    ("access", "text"),
    [
        pytest.param(Access("create", JOBS, "", "music"), "create jobs.batch in namespace music", id="in a namespace"),
        pytest.param(Access("get", PODS, "", "music"), "get pods in namespace music", id="of the core group"),
        pytest.param(
            Access("patch", AUDIOQUEUES, "status"),
            "patch audioqueues.audiojobs.dev/status in all namespaces",
            id="a subresource everywhere",
        ),
        pytest.param(
            Access("get", LEASES, "", "system", "one"),
            "get leases.coordination.k8s.io one in namespace system",
            id="one object",
        ),
    ],
)
def test_a_permission_is_named_as_an_administrator_would_write_it(access: Access, text: str) -> None:
    assert str(access) == text


def test_what_is_needed_follows_the_settings() -> None:
    accesses = set(required(SETTINGS))
    assert {Access("create", JOBS, "", "music"), Access("create", JOBS, "", "voice")} <= accesses
    assert Access("patch", LEASES, "", "system", "one") in accesses
    assert Access("create", LEASES, "", "system") in accesses
    assert Access("patch", AUDIOQUEUES, "status") in accesses
    assert [each.namespace for each in required(SETTINGS) if each.resource == AUDIOJOBS and each.verb == "delete"] == [
        "music",
        "voice",
    ]
    assert Access("patch", JOBS, "", "music") not in accesses, "the operator never toggles what Kueue owns"
    assert len(accesses) == len(required(SETTINGS))


async def test_every_permission_is_asked_for_once_and_the_refused_ones_come_back(server: Server) -> None:
    server.refused = lambda asked: asked["resource"] == "jobs" and asked["namespace"] == "voice"
    accesses = required(SETTINGS)
    lacking = await missing(cast("KubeClient", server), accesses)
    assert {str(access) for access in lacking} == {
        f"{verb} jobs.batch in namespace voice" for verb in ("get", "list", "watch", "create", "delete")
    }
    assert len(server.asked) == len(accesses)


def test_the_way_out_is_told_with_what_is_missing() -> None:
    text = explain([Access("create", JOBS, "", "music")], SETTINGS)
    assert "create jobs.batch in namespace music" in text
    assert "helm upgrade audiojob charts/audiojob -n system --reuse-values --set 'jobNamespaces={music,voice}'" in text


async def test_with_every_right_and_type_the_start_goes_on(server: Server) -> None:
    await Checked(server).preflight.start()
    assert len(server.asked) == len(required(SETTINGS))


async def test_missing_permissions_end_the_start_at_once_and_are_all_named(server: Server) -> None:
    server.refused = lambda asked: asked["resource"] in ("pods", "nodes")
    with pytest.raises(StartError) as caught:
        await Checked(server).preflight.start()
    for name in ("get nodes in all namespaces", "watch pods in namespace music", "list pods in namespace voice"):
        assert name in str(caught.value)
    assert "jobs.batch" not in str(caught.value)


@pytest.mark.parametrize(
    ("failure", "words"),
    [
        pytest.param(
            NotFound(404, "NotFound", "the server could not find the requested resource"),
            ["does not serve", "kubectl apply --server-side --force-conflicts -f crds/"],
            id="the CRDs are missing",
        ),
        pytest.param(UNREACHABLE, ["cannot be reached", "connection refused"], id="no API server"),
        pytest.param(ServerError(503, "ServiceUnavailable", "busy"), ["cannot be reached", "busy"], id="a sick one"),
        pytest.param(FORBIDDEN, ["no permission", "cannot list"], id="a refusal that no review foretold"),
        pytest.param(Unauthorized(401, "Unauthorized", "expired"), ["credentials", "expired"], id="a bad token"),
    ],
)
async def test_each_way_in_which_types_cannot_be_read_has_its_own_words(
    server: Server, failure: Exception, words: list[str]
) -> None:
    server.list_failure = lambda resource: failure if resource is AUDIOQUEUES else None
    with pytest.raises(StartError) as caught:
        await Checked(server).preflight.start()
    for word in words:
        assert word in str(caught.value)


async def test_an_api_server_that_comes_late_is_waited_for(server: Server) -> None:
    settings = SETTINGS.model_copy(update={"preflight": Pace(wait_seconds=60)})
    server.review_failure = UNREACHABLE
    start = asyncio.create_task(Checked(server, settings).preflight.start())
    await asyncio.sleep(0.05)
    assert not start.done()
    server.review_failure = None
    await asyncio.wait_for(start, 60)


async def test_an_account_that_may_not_ask_is_told_so_once_and_goes_on(
    server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    server.review_failure = FORBIDDEN
    checked = Checked(server)
    await checked.preflight.start()
    await checked.preflight.check()
    assert caplog.text.count("may not ask for its own permissions") == 1
    assert checked.degradation.describe() == ""


@pytest.mark.parametrize(
    ("failure", "named"),
    [
        pytest.param(UNREACHABLE, "ApiServerUnreachable", id="no API server"),
        pytest.param(ApiError(429, "TooManyRequests", "later"), "ApiServerUnreachable", id="one that sheds load"),
        pytest.param(Unauthorized(401, "Unauthorized", "expired"), "CredentialsRefused", id="a bad token"),
    ],
)
async def test_an_api_server_that_goes_away_degrades_until_it_is_back(
    server: Server, failure: Exception, named: str
) -> None:
    checked = Checked(server)
    server.review_failure = failure
    await checked.preflight.check()
    assert checked.degradation.describe().startswith(named)
    server.review_failure = None
    await checked.preflight.check()
    assert checked.degradation.describe() == ""
    assert checked.healed == 1


async def test_a_right_that_is_taken_away_degrades_until_it_is_back(server: Server) -> None:
    checked = Checked(server)
    task = asyncio.create_task(checked.preflight.run())
    try:
        server.refused = lambda asked: asked["resource"] == "pods"
        await eventually(lambda: "get pods in namespace music" in checked.degradation.describe(), "the missing right")
        assert checked.healed == 0
        server.refused = lambda _attributes: False
        await eventually(lambda: checked.healed == 1, "the end of it")
        assert checked.degradation.describe() == ""
    finally:
        task.cancel()


async def test_a_check_is_made_at_once_when_something_does_not_work(server: Server) -> None:
    settings = SETTINGS.model_copy(update={"preflight": Pace(interval_seconds=3_600)})
    checked = Checked(server, settings)
    task = asyncio.create_task(checked.preflight.run())
    try:
        await asyncio.sleep(0.02)
        assert server.asked == []
        checked.preflight.check_soon()
        await eventually(lambda: len(server.asked) == len(required(settings)), "the check")
    finally:
        task.cancel()
