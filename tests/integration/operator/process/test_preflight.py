"""The operator with rights of its own on a real API server: what is missing at the start, and what is lost later."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.integration.operator.conftest import Object, Space
from tests.integration.operator.process.test_process import ask
from tests.support.faults.plan import Answer, Drop, Plan, Rule, Verb, on
from tests.support.faults.proxy import FaultProxy
from tests.support.operator_process import OperatorProcess
from tests.support.podrunner import PodRunner

from audiojob_dev.cluster.apiserver import LocalApiServer
from audiojob_dev.rest import MERGE_PATCH, wait_until
from audiojob_operator.watching.preflight import RIGHTS, Right, Scope

RBAC = "/apis/rbac.authorization.k8s.io/v1"
ACCOUNT = "operator"
_EXIT_FAILED = 1
_QUICK_LEASE = {
    "AUDIOJOB_LEASE__DURATION_SECONDS": "3",
    "AUDIOJOB_LEASE__RENEW_DEADLINE_SECONDS": "2",
    "AUDIOJOB_LEASE__RETRY_SECONDS": "0.5",
}


def rule(right: Right) -> Object:
    """The RBAC rule that gives a right."""
    name = f"{right.resource.plural}/{right.subresource}" if right.subresource else right.resource.plural
    return {"apiGroups": [right.resource.group], "resources": [name], "verbs": list(right.verbs)}


@dataclass(frozen=True)
class Account:
    """A service account of a test's namespace with the operator's rights, by two Roles that tests may change."""

    server: LocalApiServer
    space: Space

    @property
    def cluster_role(self) -> str:
        return f"{RBAC}/clusterroles/{self.space.namespace}"

    @property
    def role(self) -> str:
        return f"{RBAC}/namespaces/{self.space.namespace}/roles/{ACCOUNT}"

    def create(self) -> None:
        rest, namespace = self.server.rest, self.space.namespace
        self.server.ensure_service_account(namespace, ACCOUNT)
        subject = {"kind": "ServiceAccount", "name": ACCOUNT, "namespace": namespace}
        group = "rbac.authorization.k8s.io"
        for path, kind, name, scopes in (
            (RBAC, "ClusterRole", namespace, {Scope.CLUSTER}),
            (f"{RBAC}/namespaces/{namespace}", "Role", ACCOUNT, set(Scope) - {Scope.CLUSTER}),
        ):
            rules = [rule(right) for right in RIGHTS if right.scope in scopes]
            rest.request("POST", f"{path}/{kind.lower()}s", {"metadata": {"name": name}, "rules": rules})
            binding = {
                "metadata": {"name": name},
                "roleRef": {"apiGroup": group, "kind": kind, "name": name},
                "subjects": [subject],
            }
            rest.request("POST", f"{path}/{kind.lower()}bindings", binding)

    def delete(self) -> None:
        for kind in ("clusterrolebindings", "clusterroles"):
            self.server.rest.request("DELETE", f"{RBAC}/{kind}/{self.space.namespace}")

    def rules(self, role: str) -> list[Object]:
        found: list[Object] = self.server.rest.request("GET", role)["rules"]
        return found

    def set_rules(self, role: str, rules: list[Object]) -> None:
        self.server.rest.request("PATCH", role, {"rules": rules}, content_type=MERGE_PATCH)

    def without(self, role: str, resource: str) -> list[Object]:
        """Take away everything about a resource. Returns the rules as they were, to give them back."""
        before = self.rules(role)
        self.set_rules(role, [each for each in before if resource not in each["resources"]])
        return before

    def operator(self, folder: Path, **settings: str) -> OperatorProcess:
        """The operator with this account's token, its Lease in the same namespace."""
        namespace = self.space.namespace
        token = self.server.service_account_token(namespace, ACCOUNT)
        kubeconfig = self.server.write_token_kubeconfig(folder / "token-kubeconfig", token, namespace)
        lease = {"AUDIOJOB_LEASE__NAMESPACE": namespace, "AUDIOJOB_PREFLIGHT__INTERVAL_SECONDS": "0.3"}
        return OperatorProcess(kubeconfig, [namespace], folder / "log", **lease, **settings)


@pytest.fixture
def account(space: Space, controllers: LocalApiServer) -> Iterator[Account]:
    made = Account(controllers, space)
    made.create()
    yield made
    made.delete()


def until(log: Path, path: str, check: Callable[[int, str], bool], what: str, story: Callable[[], str]) -> str:
    """Wait until a path of the operator answers as it should; returns the text."""
    deadline = time.monotonic() + 30
    while True:
        status, text = ask(log, path)
        if check(status, text):
            return text
        assert time.monotonic() < deadline, f"{what}: {status} {text}{story()}"
        time.sleep(0.1)


def ready(log: Path) -> bool:
    return "probes and metrics" in log.read_text() and ask(log, "/readyz") == (200, "ok, leads\n")


def test_the_rights_of_the_table_are_enough(account: Account, tmp_path: Path) -> None:
    space = account.space
    with account.operator(tmp_path) as operator, PodRunner(space.rest, space.namespace):
        space.submit("song", ttlSecondsAfterFinished=0)
        space.until("song", lambda status: bool(status.get("startTime")), "its start", story=operator.story)
        wait_until("the finished job to be deleted", lambda: space.jobs() == [], seconds=60)
        log = (tmp_path / "log").read_text()
    assert "forbidden" not in log.lower(), log


@pytest.mark.parametrize(
    ("place", "resource", "named"),
    [
        pytest.param("cluster_role", "audioqueues", "watch audioqueues.audiojobs.dev in all namespaces", id="queues"),
        pytest.param(
            "cluster_role", "audiojobs/status", "patch audiojobs.audiojobs.dev/status in all namespaces", id="status"
        ),
        pytest.param("role", "jobs", "create jobs.batch in namespace {namespace}", id="Jobs of a job namespace"),
        pytest.param("role", "leases", "create leases.coordination.k8s.io in namespace {namespace}", id="the Lease"),
    ],
)
def test_the_operator_does_not_start_without_a_permission_and_names_it(
    account: Account, tmp_path: Path, place: str, resource: str, named: str
) -> None:
    account.without(getattr(account, place), resource)
    operator = account.operator(tmp_path)
    with operator:
        assert operator.wait(30) == _EXIT_FAILED
    story = (tmp_path / "log").read_text()
    assert named.format(namespace=account.space.namespace) in story
    assert "helm upgrade audiojob charts/audiojob" in story
    assert "Traceback" not in story
    assert "holding Lease" not in story
    lines = [line for line in story.splitlines() if "missing permissions" in line]
    assert len(lines) == 1
    names = lines[0].partition("missing permissions: ")[2].partition(". Each")[0].split("; ")
    about = resource.partition("/")[0]
    assert all(about in name for name in names), names


def test_a_permission_that_is_taken_away_degrades_and_given_back_heals(account: Account, tmp_path: Path) -> None:
    space, log = account.space, tmp_path / "log"
    with account.operator(tmp_path) as operator, PodRunner(space.rest, space.namespace):
        wait_until("the operator to lead", lambda: ready(log), seconds=60)
        before = account.without(account.role, "jobs")
        text = until(log, "/readyz", lambda status, _: status == 503, "not ready", operator.story)
        assert "MissingPermissions" in text
        assert f"create jobs.batch in namespace {space.namespace}" in text
        space.submit("song")
        space.until("song", lambda status: bool(status.get("message", "").strip()), "to be seen", story=operator.story)
        assert ask(log, "/livez") == (200, "ok\n"), "a restart would not give the right back"
        assert 'audiojob_operator_degraded{reason="MissingPermissions"} 1.0' in ask(log, "/metrics")[1]
        account.set_rules(account.role, before)
        until(log, "/readyz", lambda status, _: status == 200, "ready again", operator.story)
        job = space.finished("song", seconds=60, story=operator.story)
        assert job["status"]["state"] == "Succeeded"
        assert 'audiojob_operator_degraded{reason="MissingPermissions"} 0.0' in ask(log, "/metrics")[1]
    assert log.read_text().count("degraded, MissingPermissions") == 1
    assert log.read_text().count("not degraded any more: MissingPermissions") == 1


def test_losing_the_right_to_the_audiojobs_themselves_heals_too(account: Account, tmp_path: Path) -> None:
    space, log = account.space, tmp_path / "log"
    with account.operator(tmp_path) as operator, PodRunner(space.rest, space.namespace):
        wait_until("the operator to lead", lambda: ready(log), seconds=60)
        before = account.without(account.cluster_role, "audiojobs")
        until(log, "/readyz", lambda status, _: status == 503, "not ready", operator.story)
        space.submit("song")
        account.set_rules(account.cluster_role, before)
        until(log, "/readyz", lambda status, _: status == 200, "ready again", operator.story)
        assert space.finished("song", seconds=60, story=operator.story)["status"]["state"] == "Succeeded"


def test_a_lease_that_may_not_be_renewed_pauses_the_work_and_goes_on(account: Account, tmp_path: Path) -> None:
    space, log = account.space, tmp_path / "log"
    with account.operator(tmp_path, **_QUICK_LEASE) as operator, PodRunner(space.rest, space.namespace):
        wait_until("the operator to lead", lambda: ready(log), seconds=60)
        before = account.without(account.role, "leases")
        until(log, "/readyz", lambda _, text: "LeaseNotRenewed" in text, "no Lease", operator.story)
        assert "audiojob_operator_leading 0.0" in ask(log, "/metrics")[1].splitlines()
        space.submit("song")
        time.sleep(1)  # what must not come has no state to wait for
        assert not space.job("song")["status"].get("phases"), "nothing is begun without the Lease"
        account.set_rules(account.role, before)
        until(log, "/readyz", lambda _, text: text == "ok, leads\n", "the Lease again", operator.story)
        assert space.finished("song", seconds=60, story=operator.story)["status"]["state"] == "Succeeded"


@pytest.mark.parametrize(
    ("rules", "words"),
    [
        pytest.param(
            (Rule(on(Verb.LIST, resource="audioqueues"), Answer(404)),),
            ["does not serve the types of audiojobs.dev", "kubectl apply --server-side --force-conflicts -f crds/"],
            id="the CRDs are missing",
        ),
        pytest.param((Rule(on(), Drop()),), ["the API server cannot be reached"], id="nothing answers"),
        pytest.param(
            (Rule(on(Verb.LIST, resource="audiojobs"), Answer(403)),),
            ["the operator has no permission"],
            id="a refusal that no review foretold",
        ),
    ],
)
def test_a_start_that_fails_says_which_of_three_things_is_missing(
    space: Space, proxy: FaultProxy, tmp_path: Path, rules: tuple[Rule, ...], words: list[str]
) -> None:
    proxy.begin(plan=Plan(rules))
    try:
        patience = {"AUDIOJOB_PREFLIGHT__WAIT_SECONDS": "1"}
        kubeconfig = proxy.write_kubeconfig(tmp_path / "config")
        with OperatorProcess(kubeconfig, [space.namespace], tmp_path / "log", **patience) as operator:
            assert operator.wait(30) == _EXIT_FAILED
    finally:
        proxy.begin()
    story = (tmp_path / "log").read_text()
    for word in words:
        assert word in story
    assert "Traceback" not in story


def test_an_api_server_that_goes_away_degrades_and_one_that_comes_back_heals(
    space: Space, proxy: FaultProxy, tmp_path: Path
) -> None:
    log = tmp_path / "log"
    settings = {"AUDIOJOB_LEASE__NAME": space.namespace, "AUDIOJOB_PREFLIGHT__INTERVAL_SECONDS": "60", **_QUICK_LEASE}
    proxy.begin()
    kubeconfig = proxy.write_kubeconfig(tmp_path / "config")
    try:
        with (
            OperatorProcess(kubeconfig, [space.namespace], log, **settings) as operator,
            PodRunner(space.rest, space.namespace),
        ):
            wait_until("the operator to lead", lambda: ready(log), seconds=60)
            proxy.follow(Plan((Rule(on(), Drop()),)))
            both = ("ApiServerUnreachable", "LeaseNotRenewed")
            until(log, "/readyz", lambda _, text: all(word in text for word in both), "degraded", operator.story)
            assert ask(log, "/livez") == (200, "ok\n")
            space.submit("song")
            proxy.follow()
            until(log, "/readyz", lambda _, text: text == "ok, leads\n", "healed", operator.story)
            assert space.finished("song", seconds=60, story=operator.story)["status"]["state"] == "Succeeded"
    finally:
        proxy.begin()
    story = log.read_text()
    for reason in both:  # on a slow machine a Lease is late more than once
        assert story.count(f"degraded, {reason}") == story.count(f"not degraded any more: {reason}") >= 1
