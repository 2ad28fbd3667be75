"""When kopf may have missed a deletion, told by its own requests."""

from __future__ import annotations

import pytest
from yarl import URL

from audiojob_operator.watching.handlers import Relists

JOBS = URL("https://api:6443/apis/audiojobs.dev/v1alpha1/audiojobs")
LIST = JOBS.with_query({"limit": "500"})
WATCH = JOBS.with_query({"watch": "true", "resourceVersion": "7"})


@pytest.mark.parametrize(
    ("requests", "gaps"),
    [
        pytest.param([("GET", LIST, 200), ("GET", WATCH, 200)], [1], id="the first watch, after the first list"),
        pytest.param(
            [("GET", LIST, 200), ("GET", LIST, 200), ("GET", WATCH, 200)], [2], id="a list of several pages is one"
        ),
        pytest.param(
            [("GET", LIST, 200), ("GET", WATCH, 200), ("GET", WATCH, 200)],
            [1],
            id="a watch that goes on missed nothing",
        ),
        pytest.param(
            [("GET", LIST, 200), ("GET", WATCH, 200), ("GET", LIST, 200), ("GET", WATCH, 200)],
            [1, 3],
            id="kopf has listed anew by itself",
        ),
        pytest.param(
            [("GET", LIST, 200), ("GET", WATCH, 403), ("GET", WATCH, 200)], [2], id="a refused watch is none yet"
        ),
        pytest.param([("GET", LIST, 503), ("GET", WATCH, 200)], [], id="a list that failed is none"),
        pytest.param([("GET", JOBS.parent, 200), ("GET", WATCH, 200)], [], id="discovery is no list of AudioJobs"),
    ],
)
def test_a_gap_is_told_when_a_watch_begins_from_a_new_list(
    requests: list[tuple[str, URL, int]], gaps: list[int]
) -> None:
    relists = Relists()
    assert [number for number, request in enumerate(requests) if relists.answered(*request)] == gaps
