"""A token that the API server refuses for a while, on an operator at work: it says so, begins nothing twice, goes on.

That a rotated token file is read again after a refusal is shown in unit/kube/test_config.py and
integration/kube/scripted/test_client.py; here the refusals last, as where the token was revoked and its successor is
late.
"""

from __future__ import annotations

from pathlib import Path

from tests.integration.operator.conftest import Object, Space
from tests.integration.operator.process.test_process import ask, operating
from tests.integration.operator.process.test_two_operators import assert_nothing_was_doubled
from tests.support.faults.plan import Answer, Expire, Plan, Rule, Verb, on
from tests.support.faults.proxy import FaultProxy
from tests.support.manypods import finish_pod
from tests.support.podrunner import PodRunner, running, succeed

from audiojob_dev.rest import wait_until
from audiojob_types.contract import PhaseInput

REASON = "CredentialsRefused"
REFUSED = Rule(on(), Answer(401))
# The watch of AudioJobs ends at its next event, so that kopf has to list and is refused too.
WATCH_ENDS = Rule(on(Verb.WATCH, resource="audiojobs"), Expire(events=1))


def play(phase: PhaseInput, pod: Object) -> Object:
    """The first pod works until the test ends it."""
    return running() if (phase.job, phase.phase) == ("before", "one") else succeed(phase, pod)


def test_refused_credentials_degrade_begin_nothing_twice_and_heal(
    space: Space, proxy: FaultProxy, tmp_path: Path
) -> None:
    log = tmp_path / "log"
    proxy.begin(plan=Plan((WATCH_ENDS,)))
    try:
        with (
            operating(space, proxy, log, AUDIOJOB_PREFLIGHT__INTERVAL_SECONDS="0.3") as operator,
            PodRunner(space.rest, space.namespace, play) as pods,
        ):
            space.submit("before")
            wait_until("its pod to run", lambda: len(pods.seen) == 1, seconds=60)
            proxy.follow(Plan((REFUSED,)))
            wait_until("the refusal to be told", lambda: REASON in ask(log, "/readyz")[1], seconds=60)
            space.submit("meanwhile")
            finish_pod(space.rest, space.pods()[0])
            refused = "Ran out of valid credentials"  # it ends of that, and takes its time; see test_gaps.py
            wait_until("kopf to have been refused", lambda: refused in log.read_text(), seconds=60)
            assert ask(log, "/livez") == (200, "ok\n"), "a restart would bring no other token"
            assert f'audiojob_operator_degraded{{reason="{REASON}"}} 1.0' in ask(log, "/metrics")[1]
            proxy.follow()
            wait_until("the operator to be well", lambda: ask(log, "/readyz") == (200, "ok, leads\n"), seconds=60)
            for name in ("before", "meanwhile"):
                space.finished(name, story=operator.story)
            assert_nothing_was_doubled(space, proxy, pods, ["before", "meanwhile"])
    finally:
        proxy.begin()
    story = log.read_text()
    assert (story.count(f"degraded, {REASON}"), story.count(f"not degraded any more: {REASON}")) == (1, 1)
    assert story.count("holding Lease") == 1, "one process lived through it"
