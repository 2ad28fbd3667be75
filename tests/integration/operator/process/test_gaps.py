"""What happens to AudioJobs while kopf does not watch is found at once, without waiting for the slow sweep."""

from __future__ import annotations

import re
from contextlib import suppress
from pathlib import Path

import pytest
from tests.integration.operator.conftest import Space
from tests.integration.operator.process.test_process import ask, operating
from tests.support.faults.plan import Act, Answer, Expire, Plan, Rule, Verb, on
from tests.support.faults.proxy import FaultProxy

from audiojob_dev.rest import RestError, wait_until
from audiojob_types.constants import API_VERSION

_WATCH = on(Verb.WATCH, resource="audiojobs")
_LIST = on(Verb.LIST, resource="audiojobs")


def clear(space: Space) -> None:
    """Delete the AudioJobs that other tests left in the cluster: the operator counts some of them as its own."""
    for item in space.rest.request("GET", f"/apis/{API_VERSION}/audiojobs")["items"]:
        metadata = item["metadata"]
        with suppress(RestError):  # it went with its namespace meanwhile
            space.rest.request(
                "DELETE", f"/apis/{API_VERSION}/namespaces/{metadata['namespace']}/audiojobs/{metadata['name']}"
            )


def number(log: Path, metric: str) -> float:
    found = re.search(rf"^{metric} ([\d.]+)$", ask(log, "/metrics")[1], re.MULTILINE)
    assert found is not None
    return float(found[1])


@pytest.mark.parametrize(
    "ends_kopf",
    [
        pytest.param(False, id="kopf lists anew because its watch was too old"),
        pytest.param(True, id="kopf itself ends and is started again"),
    ],
)
def test_a_job_that_is_deleted_while_nothing_watches_is_forgotten_at_once(
    space: Space, proxy: FaultProxy, tmp_path: Path, ends_kopf: bool
) -> None:
    log = tmp_path / "log"
    too_old = Rule(_WATCH, Expire(events=1))
    ends = Rule(_WATCH, Answer(422), count=1)  # kopf tries again after 403 and 5xx, and gives up at others

    def vanish() -> None:
        """The job goes while kopf is about to list; from then on all is well."""
        try:
            space.rest.request("DELETE", f"{space.jobs_path}/song")
        except RestError:
            return
        proxy.follow(Plan((ends,) if ends_kopf else ()))

    clear(space)
    proxy.begin(plan=Plan((too_old,)))
    try:
        with operating(space, proxy, log, AUDIOJOB_SWEEP__ACTIVE_SECONDS="3600") as operator:
            space.submit("song", suspend=True)
            space.until("song", lambda status: status.get("state") == "Suspended", "known", story=operator.story)
            proxy.follow(Plan((too_old, Rule(_LIST, Act(vanish)))))
            space.submit("other", suspend=True)
            wait_until(
                "only the other one to be known",
                lambda: len(space.jobs()) == 1 and number(log, "audiojob_operator_active_audiojobs") == 1,
                seconds=60,
            )
            if ends_kopf:
                restarts = "audiojob_operator_kopf_restarts_total"
                wait_until("kopf to be started again", lambda: number(log, restarts) == 1, seconds=60)
            assert number(log, "audiojob_operator_missed_events_total") == 0
    finally:
        proxy.begin()
