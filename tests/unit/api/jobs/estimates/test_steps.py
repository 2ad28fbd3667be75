"""What phases take for media of a length, and what they come to together."""

from __future__ import annotations

import pytest
from tests.unit.api.fakes import MemoryPipelines

from audiojob_api.jobs.estimates.steps import steps_of, total_of
from audiojob_api.jobs.statistics.sums import Media
from audiojob_api.jobs.statistics.work import Work
from audiojob_types.contract import Device


def work(*runs: tuple[float, float], unmeasured: int = 0) -> Work:
    """From pairs of minutes and seconds; others took 100 s each."""
    media = Media()
    for minutes, seconds in runs:
        media.add(minutes, seconds)
    seconds = media.seconds + 100 * unmeasured
    return Work(
        len(runs) + unmeasured, seconds, media.count, media.minutes, media.squares, media.seconds, media.products
    )


@pytest.mark.parametrize(
    ("known", "minutes", "seconds"),
    [
        pytest.param(work(), 3, None, id="it never ran"),
        pytest.param(work(unmeasured=2), 3, 100, id="no length was ever known: the mean"),
        pytest.param(work((1, 20), (2, 40)), None, 30, id="this length is not known: the mean"),
        pytest.param(work((1, 20), (2, 30), (4, 50)), 10, 110, id="a start, and so much a minute"),
        pytest.param(work((2, 30), (2, 34), (2, 32)), 4, 64, id="all of one length: in proportion"),
        pytest.param(work((1, 20), (3, 70)), 2, 45, id="two are no line: in proportion"),
        pytest.param(work((1, 10), (2, 30), (3, 50)), 4, 4 * 220 / 14, id="a start below nothing: through zero"),
        pytest.param(work((1, 50), (2, 40), (3, 30)), 9, 40, id="longer ones took less: the mean"),
    ],
)
def test_seconds_for_a_length(known: Work, minutes: float | None, seconds: float | None) -> None:
    assert known.seconds_for(minutes) == (None if seconds is None else pytest.approx(seconds))


PIPELINE = MemoryPipelines().put(
    "p",
    {"name": "fetch", "task": "Download", "resources": {"cpu": "500m"}},
    {"name": "one", "task": "Separate", "device": "Auto", "gpus": 2, "resources": {"cpu": "2"}},
    {"name": "two", "task": "Transcribe", "after": ["fetch"], "resources": {"cpu": "1"}},
    {
        "name": "join",
        "task": "Engrave",
        "after": [],
        "inputs": [{"name": "a", "from": "one"}, {"name": "b", "from": "two"}],
    },
)
WORKS = {
    ("fetch", Device.CPU): work(unmeasured=1), ("one", Device.GPU): work((1, 10), (2, 20), (3, 30)),
    ("one", Device.CPU): work((1, 300)), ("two", Device.CPU): work(unmeasured=1), ("join", Device.CPU): work((1, 4)),
}  # fmt: skip


def test_phases_side_by_side_count_as_the_longest() -> None:
    steps = steps_of(PIPELINE, WORKS, 5, None, {})
    assert [(each.name, each.device, round(each.seconds or 0), each.runs) for each in steps] == [
        ("fetch", "CPU", 100, 1), ("one", "GPU", 50, 3), ("two", "CPU", 100, 1), ("join", "CPU", 20, 1),
    ]  # fmt: skip
    total = total_of(PIPELINE, steps)
    assert total is not None
    assert (total.seconds, total.cpu_seconds, total.gpu_seconds) == pytest.approx((220, 50 + 100 + 100 + 10, 100))


def test_the_device_that_the_job_names_and_work_that_is_done() -> None:
    steps = steps_of(PIPELINE, WORKS, 1, "CPU", {"fetch": "other", "two": "other"})
    assert [(each.device, each.seconds, each.reused_from) for each in steps] == [
        ("CPU", 0, "other"), ("CPU", 300, None), ("CPU", 0, "other"), ("CPU", 4, None),
    ]  # fmt: skip
    total = total_of(PIPELINE, steps)
    assert total is not None
    assert (total.seconds, total.gpu_seconds) == (304, 0)


def test_a_phase_that_never_ran_leaves_the_whole_unknown() -> None:
    steps = steps_of(PIPELINE, {}, 1, None, {})
    assert [(each.seconds, each.runs) for each in steps] == [(None, 0)] * 4
    assert total_of(PIPELINE, steps) is None
