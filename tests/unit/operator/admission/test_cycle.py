"""One scheduling cycle: who may start, and who gets GPUs and downloads."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.operator.builders import NOW, pipeline

from audiojob_operator.admission.cooldowns import CoolDowns
from audiojob_operator.admission.cycle import Cycle, run_cycle
from audiojob_operator.admission.ledger import Holding, Ledger
from audiojob_operator.admission.limits import Limits
from audiojob_operator.admission.roster import JobFacts, Roster, Row, needs_of
from audiojob_operator.records.admission import Admission, Candidate, FetchRequest, GpuRequest, SiteAnswer
from audiojob_operator.records.sites import CoolDownRules, SiteLimit, SiteRules, SiteUse
from audiojob_types.reasons import Reason
from audiojob_types.resources.pipeline import AudioPipeline
from audiojob_types.resources.queue import AudioQueueSpec

PIPELINE = AudioPipeline.model_validate(pipeline(priority=8)).spec


Q = ("music", "default")


@dataclass(frozen=True)
class Lined:
    """A candidate, and the GPUs of its live Jobs."""

    candidate: Candidate
    gpus_held: int = 0

    @property
    def name(self) -> str:
        return self.candidate.key[1]


def waiting(name: str, priority: int = 5, age: int = 0, holds: bool = False, gpus_held: int = 0, **more: Any) -> Lined:
    created = NOW - timedelta(seconds=age)
    key = (more.pop("namespace", "music"), name)
    return Lined(Candidate(key=key, priority=priority, created=created, holds_slot=holds, **more), gpus_held)


def queue(**spec: Any) -> AudioQueueSpec:
    return AudioQueueSpec.model_validate(spec)


def cycle(*jobs: Lined, downloads: tuple[SiteUse, ...] = (), **limits: Any) -> tuple[Cycle, dict[str, Admission]]:
    """A cycle over these, and its answers by name. Nodes offer all GPUs that there are."""
    roster, ledger = Roster(), Ledger()
    ledger.show(("music", "gone"), Holding(queue=("music", ""), downloads=downloads))
    for each in jobs:
        found = each.candidate
        roster.put(found.key, Row(JobFacts(), found.holds_slot, found, needs_of(found, NOW)))
        ledger.show(found.key, Holding(found.queue_key, found.user, slot=found.holds_slot, gpus=each.gpus_held))
    limits.setdefault("gpus_per_node", limits.get("gpus", 0))
    result = run_cycle(roster, ledger.usage(), Limits(**limits), CoolDowns(CoolDownRules()), NOW)
    answers = {each.name: result.answer(each.candidate.key, roster.get(each.candidate.key)) for each in jobs}
    return result, {name: answer for name, answer in answers.items() if answer is not None}


def answers(*jobs: Lined, **limits: Any) -> dict[str, Admission]:
    found = cycle(*jobs, **limits)[1]
    assert found.keys() == {each.name for each in jobs}, "everybody has an answer"
    return found


def admitted(*jobs: Lined, slots: int | None, **limits: Any) -> list[str]:
    return sorted(name for name, answer in answers(*jobs, max_running=slots, **limits).items() if answer.admitted)


def test_without_a_limit_all_start() -> None:
    assert admitted(waiting("a"), waiting("b"), slots=None) == ["a", "b"]


def test_the_most_urgent_starts_first_then_the_oldest() -> None:
    jobs = (waiting("young", age=1), waiting("urgent", priority=9), waiting("old", age=9))
    assert admitted(*jobs, slots=1) == ["urgent"]
    assert admitted(*jobs, slots=2) == ["old", "urgent"]


def test_who_runs_keeps_its_slot_even_when_the_pool_shrinks() -> None:
    jobs = (waiting("a", holds=True), waiting("b", holds=True), waiting("c", priority=10))
    assert admitted(*jobs, slots=1) == ["a", "b"]


def test_who_waits_says_how_many_run() -> None:
    answer = answers(waiting("a", holds=True), waiting("b", age=1), waiting("c"), max_running=2)["c"]
    assert (answer.reason, answer.message) == ("QueueFull", "2 of 2 jobs are running; the job waits for a slot.")


@given(st.lists(st.tuples(st.integers(1, 10), st.integers(0, 5), st.booleans()), max_size=12), st.integers(0, 6))
def test_slots_are_never_overbooked_and_never_left_empty(rows: list[tuple[int, int, bool]], slots: int) -> None:
    jobs = [waiting(str(index), *row) for index, row in enumerate(rows)]
    held = sum(each.candidate.holds_slot for each in jobs)
    expected = max(held, min(slots, len(jobs)))
    assert len(admitted(*jobs, slots=slots)) == expected


# ---------------------------------------------------------------- ageing, weights, queues, users


def test_who_waits_long_enough_goes_before_every_newcomer() -> None:
    jobs = (waiting("patient", priority=1, age=600 * 10), waiting("urgent", priority=10))
    assert admitted(*jobs, slots=1) == ["patient"]
    assert admitted(*jobs, slots=1, ageing_seconds=0) == ["urgent"]


def test_queues_share_the_slots_by_weight() -> None:
    queues = {("music", "big"): queue(weight=30), ("music", "small"): queue(weight=10)}
    jobs = [
        waiting(f"{name}-{number}", age=100 - number, queue=name) for name in ("big", "small") for number in range(9)
    ]
    found = admitted(*jobs, slots=8, queues=queues)
    assert [sum(name.startswith(queue) for name in found) for queue in ("big", "small")] == [6, 2]


def test_a_queue_that_uses_less_than_its_share_leaves_the_rest_to_others() -> None:
    queues = {("music", "big"): queue(weight=30), ("music", "small"): queue(weight=10)}
    jobs = [waiting("big-1", queue="big"), *(waiting(f"small-{number}", queue="small") for number in range(9))]
    assert len(admitted(*jobs, slots=8, queues=queues)) == 8


def test_what_a_queue_already_runs_counts_against_its_share() -> None:
    queues = {("music", "a"): queue(), ("music", "b"): queue()}
    running = [waiting(f"run-{number}", holds=True, queue="a") for number in range(3)]
    jobs = [*running, waiting("urgent", priority=10, queue="a"), waiting("calm", queue="b")]
    assert admitted(*jobs, slots=4, queues=queues) == ["calm", "run-0", "run-1", "run-2"]


@pytest.mark.parametrize(
    ("spec", "reason", "message"),
    [
        pytest.param(
            {"maxRunning": 1},
            "QueueFull",
            "1 of 1 jobs of queue default are running; the job waits for a slot.",
            id="a full queue",
        ),
        pytest.param(
            {"maxRunningPerUser": 1},
            "QueueFull",
            "1 of 1 jobs that user ann may run in queue default are running.",
            id="a user who has enough",
        ),
        pytest.param(
            {"stopPolicy": "Hold"},
            "Held",
            "Queue default is stopped; its jobs wait until stopPolicy is None again.",
            id="a stopped queue",
        ),
    ],
)
def test_why_a_job_waits(spec: dict[str, Any], reason: str, message: str) -> None:
    running, next_one = waiting("a", holds=True, user="ann"), waiting("b", user="ann")
    found = answers(running, next_one, queues={Q: queue(**spec)})
    assert found["a"].admitted
    assert (found["b"].admitted, found["b"].reason, found["b"].message) == (False, reason, message)


def test_a_user_who_has_enough_does_not_hold_others_back() -> None:
    jobs = (waiting("a", holds=True, user="ann"), waiting("b", age=9, user="ann"), waiting("c", user="bob"))
    assert admitted(*jobs, slots=None, queues={Q: queue(maxRunningPerUser=1)}) == ["a", "c"]


def test_a_missing_queue_is_named_and_the_default_one_may_be_absent() -> None:
    found = answers(waiting("a", queue="fast"), waiting("b"))
    assert (found["a"].reason, found["b"].admitted) == ("QueueNotFound", True)
    assert "There is no AudioQueue fast in namespace music" in found["a"].message


def test_a_queue_that_is_deleted_under_its_jobs_lets_those_that_run_go_on() -> None:
    found = answers(waiting("a", queue="fast", holds=True), waiting("b", queue="fast"))
    assert (found["a"].admitted, found["a"].drained, found["b"].reason) == (True, False, "QueueNotFound")


def test_draining_takes_slots_back_and_holding_does_not() -> None:
    for policy, drained in (("Hold", False), ("HoldAndDrain", True)):
        found = answers(waiting("a", holds=True), queues={Q: queue(stopPolicy=policy)})["a"]
        assert (found.admitted, found.drained) == (not drained, drained)


def test_queues_of_the_same_name_in_two_namespaces_are_two() -> None:
    other = waiting("x", namespace="films")
    found = answers(waiting("a", holds=True), waiting("b"), other, queues={Q: queue(maxRunning=1)})
    assert (found["b"].admitted, found["x"].admitted) == (False, True)


# ---------------------------------------------------------------- GPUs


def gpu(gpus: int = 1, *, must: bool = True, wait: int = 60) -> GpuRequest:
    return GpuRequest(gpus=gpus, must=must, until=None if must else NOW + timedelta(seconds=wait))


def test_gpus_go_to_the_most_urgent_phases_and_are_never_overbooked() -> None:
    jobs = (
        waiting("busy", holds=True, gpus_held=1),
        waiting("calm", holds=True, requests=(gpu(),)),
        waiting("urgent", priority=9, holds=True, requests=(gpu(),)),
    )
    found = answers(*jobs, gpus=2)
    assert {name: answer.gpus for name, answer in found.items()} == {"busy": 0, "calm": 0, "urgent": 1}
    assert (found["calm"].gpus_used, found["calm"].gpus_total) == (2, 2)


def test_a_job_that_can_only_wait_for_a_gpu_takes_no_slot_from_others() -> None:
    jobs = (waiting("busy", holds=True, gpus_held=1), waiting("gpu", age=9, requests=(gpu(),)), waiting("cpu"))
    assert admitted(*jobs, gpus=1, slots=2) == ["busy", "cpu"]
    found = answers(*jobs, gpus=1, max_running=3)
    assert (found["gpu"].reason, found["gpu"].message) == (
        "WaitingForGPU",
        "The job needs 1, 1 of 1 GPUs are in use; it waits for them.",
    )


@pytest.mark.parametrize(
    ("request_", "starts"),
    [
        pytest.param(gpu(must=False, wait=1), False, id="its wait has not ended"),
        pytest.param(gpu(must=False, wait=0), True, id="its wait has ended, and the CPU does it"),
    ],
)
def test_a_job_that_may_use_the_cpu_waits_as_long_as_its_pipeline_says(request_: GpuRequest, starts: bool) -> None:
    found = answers(waiting("busy", holds=True, gpus_held=1), waiting("auto", requests=(request_,)), gpus=1)["auto"]
    assert (found.admitted, found.gpus) == (starts, 0)


def test_a_queues_own_limit_of_gpus_binds_before_the_clusters() -> None:
    jobs = (waiting("a", holds=True, gpus_held=1), waiting("b", holds=True, requests=(gpu(),)))
    found = answers(*jobs, gpus=8, queues={Q: queue(maxGPUs=1)})["b"]
    assert (found.gpus, found.gpus_used, found.gpus_total) == (0, 1, 1)


def test_kueue_counts_the_gpus_of_its_queues() -> None:
    found = answers(waiting("b", requests=(gpu(4),)), gpus=1, queues={Q: queue(kueueLocalQueue="team", maxGPUs=1)})["b"]
    assert (found.admitted, found.gpus) == (True, 4)


def test_a_pod_may_wait_for_the_first_gpu_so_that_an_autoscaler_sees_it() -> None:
    job = waiting("a", requests=(gpu(),))
    assert answers(job, gpus=0)["a"].gpus == 1
    assert not answers(job, gpus=0, gpus_strict=True)["a"].admitted


def test_a_large_request_is_not_served_in_part_and_a_smaller_one_behind_it_is() -> None:
    jobs = (waiting("large", age=9, holds=True, requests=(gpu(4),)), waiting("small", holds=True, requests=(gpu(),)))
    found = answers(*jobs, gpus=2)
    assert (found["large"].gpus, found["small"].gpus) == (0, 1)


def test_what_kueue_counts_takes_nothing_from_others_of_the_pool() -> None:
    jobs = (
        waiting("kueue", priority=9, queue="team", requests=(gpu(4),)),
        waiting("own", requests=(gpu(1),)),
    )
    queues = {Q: queue(), ("music", "team"): queue(kueueLocalQueue="team")}
    found = answers(*jobs, gpus=1, queues=queues)
    assert (found["kueue"].gpus, found["own"].gpus) == (4, 1)


def test_a_phase_that_no_node_can_serve_takes_the_cpu_and_no_gpus_from_others() -> None:
    jobs = (
        waiting("wide", priority=9, holds=True, requests=(gpu(2, must=False),)),
        waiting("newcomer", priority=8, requests=(gpu(2, must=False),)),
        waiting("narrow", holds=True, requests=(gpu(2, must=True),)),
    )
    found = answers(*jobs, gpus=2, gpus_per_node=1)
    assert {name: answer.gpus for name, answer in found.items()} == {"wide": 0, "newcomer": 0, "narrow": 2}
    assert found["newcomer"].admitted, "its pipeline's wait is for GPUs that may come"


def test_gpus_that_only_one_queue_lacks_are_no_reason_for_another_to_wait() -> None:
    jobs = (
        waiting("a", queue="fast", holds=True, gpus_held=1),
        waiting("b", queue="fast", priority=9, requests=(gpu(),)),
        waiting("c", queue="slow", requests=(gpu(),)),
    )
    queues = {("music", name): queue(maxGPUs=1) for name in ("fast", "slow")}
    found = answers(*jobs, gpus=2, queues=queues)
    assert [(found[name].admitted, found[name].gpus) for name in ("b", "c")] == [(False, 0), (True, 1)]


ROWS = st.lists(
    st.builds(
        lambda index, priority, age, holds, queue, user, held, wants: (priority, age, holds, queue, user, held, wants),
        st.integers(),
        st.integers(1, 10),
        st.integers(0, 3_000),
        st.booleans(),
        st.sampled_from(["default", "fast", "gone"]),
        st.sampled_from(["", "ann", "bob"]),
        st.integers(0, 2),
        st.lists(st.tuples(st.integers(1, 3), st.booleans()), max_size=2),
    ),
    max_size=14,
)


@given(ROWS, st.integers(0, 5), st.integers(0, 6), st.integers(1, 4), st.integers(1, 3), st.integers(0, 4))
def test_no_limit_is_ever_exceeded_by_what_a_cycle_gives(
    rows: list[Any], slots: int, gpus: int, per_queue: int, per_user: int, queue_gpus: int
) -> None:
    jobs = [
        waiting(str(index), priority, age, holds, queue=queue_, user=user, gpus_held=held if holds else 0,
                requests=tuple(gpu(count, must=must) for count, must in wants))
        for index, (priority, age, holds, queue_, user, held, wants) in enumerate(rows)
    ]  # fmt: skip
    queues = {
        ("music", name): queue(maxRunning=per_queue, maxRunningPerUser=per_user, maxGPUs=queue_gpus, weight=weight)
        for name, weight in (("default", 1), ("fast", 7))
    }
    found = answers(*jobs, max_running=slots, gpus=gpus, gpus_strict=True, queues=queues)
    running = [each.candidate for each in jobs if found[each.name].admitted]
    new = [each for each in running if not each.holds_slot]
    assert all(found[each.name].admitted for each in jobs if each.candidate.holds_slot), "who runs keeps its slot"
    if new:
        assert len(running) <= slots
    for each in new:
        assert each.queue != "gone"
        assert sum(other.queue == each.queue for other in running) <= per_queue
        assert sum((other.queue, other.user) == (each.queue, each.user) for other in running) <= per_user
    granted = {each.name: found[each.name].gpus for each in jobs}
    if any(granted.values()):
        assert sum(granted.values()) + sum(each.gpus_held for each in jobs) <= gpus
    for name in ("default", "fast"):
        mine = [each for each in jobs if each.candidate.queue == name]
        if any(granted[each.name] for each in mine):
            assert sum(granted[each.name] + each.gpus_held for each in mine) <= queue_gpus


# ---------------------------------------------------------------- sites

ONE_AT_A_TIME = SiteRules((SiteLimit("tube.example", max_running=1),))
FETCH = FetchRequest("www.tube.example", only=True)


def test_a_site_is_shared_in_the_order_of_urgency_and_who_only_waits_for_it_takes_no_slot() -> None:
    jobs = (
        waiting("old", age=9, fetch=FETCH),
        waiting("urgent", priority=9, fetch=FETCH),
        waiting("other", fetch=FetchRequest("example.org", only=True)),
        waiting("local"),
    )
    assert admitted(*jobs, slots=3, site_rules=ONE_AT_A_TIME) == ["local", "other", "urgent"]
    found = answers(*jobs, max_running=4, site_rules=ONE_AT_A_TIME)
    assert (found["old"].reason, found["old"].message) == (
        Reason.SITE_BUSY,
        "tube.example: 1 of 1 downloads are running.",
    )
    assert found["urgent"].site == SiteAnswer(True)
    assert found["other"].site is None


def test_a_job_that_could_do_something_else_is_admitted_without_its_download() -> None:
    uses = (SiteUse("tube.example", NOW, live=True),)
    job = waiting("song", fetch=FetchRequest("tube.example", only=False))
    found = answers(job, site_rules=ONE_AT_A_TIME, downloads=uses)["song"]
    assert found.admitted
    assert found.site is not None
    assert not found.site.granted


def test_who_holds_a_slot_comes_before_newcomers_at_the_site() -> None:
    jobs = (waiting("new", priority=10, fetch=FETCH), waiting("running", holds=True, fetch=FETCH))
    found = answers(*jobs, site_rules=ONE_AT_A_TIME)
    assert found["running"].site == SiteAnswer(True)
    assert not found["new"].admitted


def test_fifty_downloads_run_at_once_where_no_limit_is_set() -> None:
    jobs = [waiting(f"song-{number}", fetch=FETCH) for number in range(60)]
    assert len(admitted(*jobs, slots=None)) == 60
