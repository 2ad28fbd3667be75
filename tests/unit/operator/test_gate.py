"""The gate: who may start, who is woken, and that no place is given away twice."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from copy import deepcopy
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pytest
from tests.support.polling import eventually
from tests.unit.operator.builders import NAMESPACE, audio_job, phase, pipeline, separate_pipeline

from audiojob_kube.client import KubeClient
from audiojob_kube.reflector import Reflector
from audiojob_operator.caches import Caches
from audiojob_operator.gate import Gate
from audiojob_operator.jobstore import Known
from audiojob_operator.model import Admission, AdmissionSnapshot, Key, SiteLimit, SiteRules
from audiojob_operator.settings import Capacity
from audiojob_types import constants as c
from audiojob_types.base import format_time
from audiojob_types.reasons import Reason

Object = dict[str, Any]

NOBODY = cast("KubeClient", None)  # caches are filled by hand


class Pool:
    """Caches, a gate over them, and whom the gate woke."""

    def __init__(
        self,
        max_running: int | None,
        *,
        node_gpus: int = 0,
        known: bool = True,
        sites: SiteRules | None = None,
        **capacity: Any,
    ) -> None:
        self.woken: list[Key] = []
        self.woken_first: list[Key] = []
        self.caches = Caches(NOBODY, [NAMESPACE], lambda _key: None)
        self.store = self.caches.audiojobs
        self.gate = Gate(
            self.caches,
            Capacity(max_running=max_running, ageing_seconds=0, **capacity),
            self._wake,
            sites or SiteRules(),
        )
        self.caches.capacity_changed = self.gate.touch
        if known:
            self.gate.open()
            self.gate._not_before = 0.0  # the pass over nothing need not be rested from
        self._version = 0
        self.add(self.caches.pipelines, pipeline())
        self.add(self.caches.pipelines, pipeline(phase("only", device="Auto"), name="onegpu"))
        self.add(self.caches.pipelines, separate_pipeline())
        ready = {"type": "Ready", "status": "True"}
        status = {"conditions": [ready], "allocatable": {"nvidia.com/gpu": str(node_gpus)}}
        self.add(self.caches.nodes, {"metadata": {"name": "node"}, "status": status})

    def _wake(self, key: Key, *, first: bool) -> None:
        self.woken.append(key)
        if first:
            self.woken_first.append(key)

    def add(self, reflector: Reflector[Any], obj: Object) -> None:
        """What a watch would have brought."""
        self._version += 1
        obj = deepcopy(obj)
        obj["metadata"].setdefault("uid", f"uid-{self._version}")
        obj["metadata"]["resourceVersion"] = str(self._version)
        reflector.put(obj)

    def queue(self, name: str, **spec: Any) -> None:
        self.add(self.caches.queues, {"metadata": {"name": name, "namespace": NAMESPACE}, "spec": spec})

    def gpu_job(self, owner: str, gpus: int = 1, **status: Any) -> None:
        """A live Job of an AudioJob that has GPUs."""
        metadata = {
            "name": f"{owner}-child",
            "namespace": NAMESPACE,
            "labels": {},
            "annotations": {c.ANNOTATION_GPUS: str(gpus)},
            "ownerReferences": [{"kind": "AudioJob", "name": owner, "uid": f"uid-{owner}", "controller": True}],
        }
        self.add(self.caches.namespaces[NAMESPACE].jobs, {"metadata": metadata, "spec": {}, "status": status})

    def fetch_job(self, owner: str, host: str = "tube.example", age: float = 0, **status: Any) -> None:
        """A Job of an AudioJob that fetches from a host."""
        metadata = {
            "name": f"{owner}-child",
            "namespace": NAMESPACE,
            "labels": {},
            "annotations": {c.ANNOTATION_HOST: host},
            "creationTimestamp": format_time(datetime.now(UTC) - timedelta(seconds=age)),
            "ownerReferences": [{"kind": "AudioJob", "name": owner, "uid": f"uid-{owner}", "controller": True}],
        }
        self.add(self.caches.namespaces[NAMESPACE].jobs, {"metadata": metadata, "spec": {}, "status": status})

    def song(self, name: str, host: str = "tube.example", **more: Any) -> Key:
        """A job that begins with a download."""
        return self.put(name, pipeline="separate", source={"url": f"https://{host}/{name}"}, **more)

    def put(self, name: str, *, started: bool = False, namespace: str = NAMESPACE, age: int = 0, **spec: Any) -> Key:
        """A job, or its newer version. ``age``: how many seconds older than the others it is."""
        self._version += 1
        job = audio_job(name, uid=f"uid-{name}", **spec)
        created = datetime(2026, 3, 1, 12, tzinfo=UTC) - timedelta(seconds=age)
        job["metadata"].update(
            resourceVersion=str(self._version), namespace=namespace, creationTimestamp=format_time(created)
        )
        if started:
            job["status"] = {"state": "Running", "startTime": "2026-03-01T12:00:00Z", "conditions": [_admitted()]}
        self.store.put(job)
        return namespace, name

    def known(self, key: Key) -> Known:
        known = self.store.get(key)
        assert known is not None
        return known

    def ask(self, key: Key) -> Admission | None:
        return self.gate.admission(key, self.known(key))

    async def answer(self, key: Key) -> Admission:
        """The answer after a pass that takes everything so far into account."""
        self.gate.touch()
        self.woken.clear()
        await eventually(lambda: not self.gate._dirty, "a pass")
        found = self.ask(key)
        assert found is not None
        return found


def _admitted() -> Object:
    return {
        "type": "Admitted",
        "status": "True",
        "observedGeneration": 1,
        "lastTransitionTime": "2026-03-01T12:00:00Z",
        "reason": "Admitted",
        "message": "",
    }


async def test_without_a_limit_everybody_may_start() -> None:
    pool = Pool(None)
    answers = [pool.ask(pool.put(f"song-{number}")) for number in range(20)]
    assert all(answer is not None and answer.admitted for answer in answers)


async def test_places_go_to_as_many_as_there_are_and_no_more() -> None:
    pool = Pool(2)
    keys = [pool.put(f"song-{number}") for number in range(5)]
    answers = [await pool.answer(key) for key in keys]
    assert [answer.admitted for answer in answers] == [True, True, False, False, False]
    assert answers[2].reason == Reason.QUEUE_FULL
    assert "2 of 2" in answers[2].message


@pytest.mark.parametrize(
    ("one", "other", "first"),
    [
        pytest.param({}, {"age": 60}, "other", id="the older one goes first"),
        pytest.param({"priority": 6}, {"age": 60}, "one", id="the more urgent one goes before the older"),
    ],
)
async def test_the_order_of_places(one: Object, other: Object, first: str) -> None:
    pool = Pool(1)
    keys = {"one": pool.put("one", **one), "other": pool.put("other", **other)}
    admitted = [name for name, key in keys.items() if (await pool.answer(key)).admitted]
    assert admitted == [first]


async def test_a_job_that_is_made_more_urgent_while_it_waits_goes_before_the_others() -> None:
    pool = Pool(1)
    holder = pool.put("holder", started=True)
    older, newer = pool.put("older", age=60), pool.put("newer")
    assert not (await pool.answer(older)).admitted
    pool.put("newer", priority=6)
    pool.store.gone(holder, "uid-holder")
    assert not (await pool.answer(older)).admitted
    assert (await pool.answer(newer)).admitted


async def test_a_started_job_keeps_its_place_and_is_never_asked_again() -> None:
    pool = Pool(1)
    running = pool.put("running", started=True)
    waiting = pool.put("waiting", priority=10, age=60)
    assert not (await pool.answer(waiting)).admitted
    assert (await pool.answer(running)).admitted


async def test_a_place_given_is_not_given_again_before_the_status_tells_it() -> None:
    pool = Pool(1)
    first = pool.put("first")
    assert (await pool.answer(first)).admitted
    # The round over `first` is under way. A more urgent job comes meanwhile and must not get the same place.
    urgent = pool.put("urgent", priority=10)
    assert not (await pool.answer(urgent)).admitted
    pool.put("first", started=True)
    pool.gate.settle(first)
    assert not (await pool.answer(urgent)).admitted


async def test_a_round_that_did_not_start_the_job_gives_the_place_back() -> None:
    pool = Pool(1)
    first = pool.put("first")
    assert (await pool.answer(first)).admitted
    urgent = pool.put("urgent", priority=10)
    assert not (await pool.answer(urgent)).admitted
    pool.gate.settle(first)
    assert (await pool.answer(urgent)).admitted
    assert not (await pool.answer(first)).admitted


async def test_an_end_wakes_the_next_in_line_and_nobody_else() -> None:
    pool = Pool(1)
    running = pool.put("running", started=True)
    waiting = [pool.put("second", age=5), pool.put("third")]
    for key in waiting:
        assert not (await pool.answer(key)).admitted
    pool.store.gone(running, "uid-running")
    pool.woken.clear()
    pool.woken_first.clear()
    pool.gate.touch()
    await eventually(lambda: bool(pool.woken), "somebody to be woken")
    assert pool.woken == pool.woken_first == [waiting[0]]


async def test_who_got_a_place_is_looked_at_before_those_who_are_told_to_wait() -> None:
    pool = Pool(1)
    older, younger = pool.put("older", age=5), pool.put("younger")
    pool.gate.touch()
    await eventually(lambda: len(pool.woken) == 2, "both to be woken")
    assert pool.woken_first == [older]
    assert younger in pool.woken


async def test_nobody_goes_first_where_nothing_is_limited() -> None:
    pool = Pool(None)
    job = pool.put("job")
    pool.gate.touch()
    await eventually(lambda: job in pool.woken, "it to be woken")
    assert pool.woken_first == []


def in_an_hour() -> str:
    return format_time(datetime.now(UTC) + timedelta(hours=1))


@pytest.mark.parametrize(
    "make",
    [
        pytest.param(lambda pool: pool.put("idle", suspend=True), id="a suspended job"),
        pytest.param(lambda pool: pool.put("idle", cancel=True), id="a cancelled job"),
        pytest.param(lambda pool: pool.put("idle", startTime=in_an_hour()), id="a job whose time has not come"),
        pytest.param(lambda pool: pool.put("idle", pipeline="none"), id="a job without its pipeline"),
        pytest.param(lambda pool: pool.put("idle", namespace="elsewhere"), id="a job of an unprepared namespace"),
    ],
)
async def test_jobs_that_cannot_start_get_an_answer_at_once_and_take_no_place(make: Callable[[Pool], Key]) -> None:
    pool = Pool(1)
    idle = make(pool)
    answer = pool.ask(idle)
    assert answer is not None, "no pass would ever answer, and the job would never be decided on"
    assert not answer.admitted
    assert (await pool.answer(pool.put("ready"))).admitted


async def test_passes_have_pauses_and_the_answer_still_comes() -> None:
    pool = Pool(1)
    first = pool.put("first")
    assert (await pool.answer(first)).admitted
    late = pool.put("late", age=-5)
    pool.gate._not_before = time.monotonic() + 0.5  # as a long pass would have set it, whatever this machine does
    pool.gate.touch()
    answer = pool.ask(late)
    assert answer is None, "the pass of a moment ago did not see it, and the next is not due"
    await eventually(lambda: late in pool.woken, "its wake-up")
    found = pool.ask(late)
    assert found is not None
    assert not found.admitted


async def test_where_nothing_limits_anybody_passes_only_count_and_are_rare() -> None:
    pool = Pool(None)
    await pool.answer(pool.put("first"))
    pool.put("second")
    pool.gate.touch()
    timer = pool.gate._timer
    assert timer is not None
    assert timer.when() - asyncio.get_running_loop().time() > 0.5


async def test_the_first_job_that_must_ask_is_answered_at_once_though_passes_are_rare() -> None:
    pool = Pool(None)
    pool.queue("fast", maxRunning=1)
    await pool.answer(pool.put("first"))
    limited = pool.put("limited", queueName="fast")
    pool.gate.touch()
    answer = pool.ask(limited)
    assert answer is not None
    assert answer.admitted


async def test_a_job_that_cannot_be_read_stops_no_pass() -> None:
    pool = Pool(1)
    broken = audio_job("broken", uid="uid-broken", priority="high")
    broken["metadata"]["resourceVersion"] = "1000"
    pool.store.put(broken)
    assert (await pool.answer(pool.put("fine"))).admitted


# ---------------------------------------------------------------- queues


async def test_a_job_of_a_queue_that_is_missing_waits_and_starts_when_it_appears() -> None:
    pool = Pool(None)
    job = pool.put("song", queueName="fast")
    answer = await pool.answer(job)
    assert (answer.admitted, answer.reason) == (False, Reason.QUEUE_NOT_FOUND)
    pool.woken.clear()
    pool.queue("fast")
    await eventually(lambda: job in pool.woken, "its wake-up")
    assert (await pool.answer(job)).admitted


async def test_how_many_run_in_all_queues_is_counted() -> None:
    pool = Pool(3)
    pool.queue("fast")
    for number in range(4):
        pool.put(f"song-{number}", queueName="fast" if number % 2 else "default")
    await pool.answer(pool.put("last"))
    assert pool.gate.running == 3


async def test_what_a_pass_counted_is_what_queues_tell() -> None:
    pool = Pool(None)
    pool.queue("default", maxRunning=1)
    keys = [pool.put("running", started=True), pool.put("waiting")]
    for key in keys:
        await pool.answer(key)
    numbers = pool.gate.numbers[NAMESPACE, "default"]
    assert (numbers.running, numbers.pending, numbers.gpus) == (1, 1, 0)


async def test_a_job_whose_status_write_was_lost_holds_its_place_by_its_job() -> None:
    pool = Pool(1)
    first = pool.put("first")
    pool.gpu_job("first", 0)
    urgent = pool.put("urgent", priority=10, age=60)
    assert not (await pool.answer(urgent)).admitted
    assert (await pool.answer(first)).admitted


async def test_no_place_is_given_away_before_all_that_hold_one_are_known() -> None:
    pool = Pool(1, known=False)
    first = pool.put("first")
    assert pool.ask(first) is None
    pool.put("running", started=True)
    pool.gate.open()
    await eventually(lambda: first in pool.woken, "its wake-up")
    answer = pool.ask(first)
    assert answer is not None
    assert not answer.admitted


async def test_a_host_that_must_be_left_alone_is_known_before_the_first_round_after_a_restart() -> None:
    pool = Pool(None, known=False)
    url = {"url": "https://media.example.org/a.ogg"}
    refused = pool.put("refused", source=url, started=True)
    pool.known(refused).raw["status"]["phases"] = [
        {"name": "first", "state": "Waiting", "attempt": 1, "reason": "RateLimited",
         "nextAttemptTime": format_time(datetime.now(UTC) + timedelta(seconds=90))}
    ]  # fmt: skip
    new = pool.put("new", source=url)
    pool.gate.open()
    answer = pool.ask(new)
    assert answer is not None
    assert answer.admitted
    assert pool.gate.cooling(pool.known(new).job, datetime.now(UTC)) is not None


async def test_a_fault_in_the_first_pass_does_not_end_the_process(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    pool = Pool(1, known=False)
    first = pool.put("first")
    faults = [RuntimeError("odd")]
    whole = pool.gate._snapshot

    def snapshot(now: datetime) -> AdmissionSnapshot:
        if faults:
            raise faults.pop()
        return whole(now)

    monkeypatch.setattr(pool.gate, "_snapshot", snapshot)
    pool.gate.open()
    assert "the first pass failed" in caplog.text
    await eventually(lambda: first in pool.woken, "its wake-up, for the pass is made again")


async def test_a_drained_queue_takes_its_running_jobs_back() -> None:
    pool = Pool(None)
    running = pool.put("running", started=True)
    assert (await pool.answer(running)).admitted
    pool.queue("default", stopPolicy="HoldAndDrain")
    answer = await pool.answer(running)
    assert (answer.admitted, answer.drained, answer.reason) == (False, True, Reason.HELD)


# ---------------------------------------------------------------- GPUs


async def test_a_gpu_given_to_a_round_is_not_given_to_another_before_its_job_is_seen() -> None:
    pool = Pool(None, node_gpus=1)
    first, second = (pool.put(name, pipeline="onegpu", started=True) for name in ("first", "second"))
    assert [(await pool.answer(first)).gpus, (await pool.answer(second)).gpus] == [1, 0]
    pool.gpu_job("first")
    pool.gate.settle(first)
    assert (await pool.answer(second)).gpus == 0


async def test_a_grant_serves_one_round_and_not_the_next_one_too() -> None:
    pool = Pool(None, node_gpus=1)
    two = pipeline(phase("one", device="GPU"), phase("two", device="GPU", after=[]), name="two")
    pool.add(pool.caches.pipelines, two)
    job = pool.put("song", pipeline="two", started=True)
    assert (await pool.answer(job)).gpus == 1
    pool.gpu_job("song")
    pool.gate.settle(job)
    again = pool.ask(job)  # at once: no pass in between
    assert again is not None
    assert again.gpus == 0


async def test_a_gpu_is_free_again_when_its_job_has_ended() -> None:
    pool = Pool(None, node_gpus=1)
    pool.put("first", started=True)
    pool.gpu_job("first")
    second = pool.put("second", pipeline="onegpu", started=True)
    assert (await pool.answer(second)).gpus == 0
    pool.gpu_job("first", conditions=[{"type": "Complete", "status": "True"}])
    assert (await pool.answer(second)).gpus == 1


async def test_the_administrators_number_holds_against_what_nodes_offer() -> None:
    pool = Pool(None, node_gpus=4, gpus=1)
    keys = [pool.put(name, pipeline="onegpu", started=True) for name in ("first", "second")]
    assert sum([(await pool.answer(key)).gpus for key in keys]) == 1


async def test_a_phase_that_becomes_ready_in_a_round_is_served_at_once_where_nobody_waits() -> None:
    pool = Pool(None, node_gpus=1)
    pool.add(pool.caches.pipelines, pipeline(phase("first"), phase("second", device="Auto"), name="mixed"))
    job = pool.put("song", pipeline="mixed", started=True)
    raw = pool.known(job).raw
    raw["status"]["phases"] = [{"name": "first", "state": "Running", "attempt": 1}]
    assert (await pool.answer(job)).gpus == 1


async def test_nobody_is_served_out_of_turn_while_another_waits_for_gpus() -> None:
    pool = Pool(None, node_gpus=1)
    pool.put("holder", started=True)
    pool.gpu_job("holder")
    waiting = pool.put("waiting", pipeline="onegpu", started=True, age=60)
    assert (await pool.answer(waiting)).gpus == 0
    pool.gpu_job("holder", conditions=[{"type": "Complete", "status": "True"}])
    late = pool.put("late", pipeline="onegpu", started=True)
    assert (await pool.answer(late)).gpus == 0
    assert (await pool.answer(waiting)).gpus == 1


# ---------------------------------------------------------------- hosts that have had enough


async def test_one_job_that_was_refused_for_asking_too_often_holds_all_jobs_of_its_host_back() -> None:
    pool = Pool(None)
    refused = pool.put("refused", source={"url": "https://Media.example.org/a.ogg"}, started=True)
    later = format_time(datetime.now(UTC) + timedelta(seconds=90))
    pool.known(refused).raw["status"]["phases"] = [
        {"name": "first", "state": "Waiting", "attempt": 1, "reason": "RateLimited", "nextAttemptTime": later}
    ]
    await pool.answer(refused)
    same = pool.known(pool.put("same", source={"url": "https://media.example.org:8443/b.ogg"})).job
    other = pool.known(pool.put("other", source={"url": "https://example.org/b.ogg"})).job
    now = datetime.now(UTC)
    assert format_time(pool.gate.cooling(same, now) or now) == later
    assert pool.gate.cooling(other, now) is None
    assert pool.gate.cooling(same, now + timedelta(seconds=91)) is None


async def test_a_host_rests_from_the_round_on_that_was_refused_and_not_only_after_the_next_pass() -> None:
    pool = Pool(None)
    url = {"url": "https://media.example.org/a.ogg"}
    refused = pool.put("refused", source=url, started=True)
    await pool.answer(refused)
    pool.put("refused", source=url, started=True)  # what its round writes
    pool.known(refused).raw["status"]["phases"] = [
        {"name": "first", "state": "Waiting", "attempt": 1, "reason": "RateLimited",
         "nextAttemptTime": format_time(datetime.now(UTC) + timedelta(seconds=90))}
    ]  # fmt: skip
    pool.gate.settle(refused)
    assert pool.gate.cooling(pool.known(pool.put("next", source=url)).job, datetime.now(UTC)) is not None


# ---------------------------------------------------------------- sites

ONE = SiteRules((SiteLimit("tube.example", max_running=1),))
ENDED: Object = {"conditions": [{"type": "Complete", "status": "True"}]}


def grants(answers: list[Admission]) -> list[bool | None]:
    return [answer.site.granted if answer.site else None for answer in answers]


async def test_a_download_given_to_a_round_is_not_given_to_another_before_its_job_is_seen() -> None:
    pool = Pool(None, sites=ONE)
    first, second = pool.song("first", age=5), pool.song("second")
    answers = [await pool.answer(first), await pool.answer(second)]
    assert [answer.admitted for answer in answers] == [True, False]
    assert answers[1].reason == Reason.SITE_BUSY
    pool.fetch_job("first")
    pool.gate.settle(first)
    assert not (await pool.answer(second)).admitted
    pool.woken.clear()
    pool.fetch_job("first", **ENDED)
    pool.store.gone(first, "uid-first")
    pool.gate.touch()
    await eventually(lambda: second in pool.woken, "its wake-up")
    assert grants([await pool.answer(second)]) == [True]


@pytest.mark.parametrize("state", ["Succeeded", None], ids=["that has finished", "that is gone"])
async def test_the_end_of_a_download_of_a_job_wakes_the_next_one(state: str | None) -> None:
    pool = Pool(None, sites=ONE)
    first, second = pool.song("first", started=True), pool.song("second")
    pool.fetch_job("first")
    if state is None:
        pool.store.gone(first, "uid-first")
    else:
        raw = deepcopy(pool.known(first).raw)
        raw["metadata"]["resourceVersion"], raw["status"]["state"] = "1000", state
        pool.store.put(raw)
    assert (await pool.answer(second)).reason == Reason.SITE_BUSY
    pool.woken.clear()
    pool.fetch_job("first", **ENDED)
    await eventually(lambda: second in pool.woken, "its wake-up")
    answer = pool.ask(second)
    assert answer is not None
    assert grants([answer]) == [True]


async def test_a_round_that_began_no_download_gives_the_turn_back() -> None:
    pool = Pool(None, sites=ONE)
    first, second = pool.song("first"), pool.song("second", age=-5)
    assert (await pool.answer(first)).admitted
    pool.store.gone(first, "uid-first")
    pool.gate.settle(first)
    assert (await pool.answer(second)).admitted


async def test_a_turn_that_is_not_used_wakes_nobody_again_and_again() -> None:
    pool = Pool(None, sites=ONE)
    first = pool.song("first", started=True)
    for _ in range(3):
        assert grants([await pool.answer(first)]) == [True]
        pool.gate.settle(first)
    assert pool.woken == []


async def test_a_turn_serves_one_download() -> None:
    pool = Pool(None, sites=ONE)
    first = pool.song("first", started=True)
    assert grants([await pool.answer(first)]) == [True]
    pool.gate.settle(first)
    again = pool.ask(first)  # at once: no pass in between
    assert again is not None
    assert grants([again]) == [False]
    await eventually(lambda: first in pool.woken, "its wake-up, for the pass grants what the round was not given")


async def test_sites_without_a_limit_ask_nobody() -> None:
    pool = Pool(None, sites=ONE)
    answers = [pool.ask(pool.song(f"song-{number}", "other.example")) for number in range(60)]
    assert all(answer is not None and answer.admitted and answer.site is None for answer in answers)


async def test_a_turn_at_a_site_is_not_put_off_as_where_nothing_is_limited() -> None:
    pool = Pool(None, sites=ONE)
    await pool.answer(pool.song("song", "other.example"))
    assert pool.gate._idle
    await pool.answer(pool.song("other"))
    assert not pool.gate._idle


async def test_every_host_has_the_limit_that_holds_for_all() -> None:
    pool = Pool(None, sites=SiteRules((), 1))
    keys = [pool.song("a", "one.example"), pool.song("b", "two.example"), pool.song("c", "two.example")]
    assert [(await pool.answer(key)).admitted for key in keys] == [True, True, False]


async def test_a_pause_ends_by_itself() -> None:
    pool = Pool(None, sites=SiteRules((SiteLimit("tube.example", pause_seconds=1),)))
    pool.fetch_job("before", **ENDED)
    song = pool.song("song")
    found = await pool.answer(song)
    assert (found.admitted, found.reason) == (False, Reason.SITE_BUSY)
    pool.woken.clear()
    await eventually(lambda: song in pool.woken, "its wake-up")
    assert (await pool.answer(song)).admitted


async def test_a_host_that_cools_down_takes_no_turn_from_others_of_its_site() -> None:
    pool = Pool(None, sites=ONE)
    limited = pool.song("limited", "a.tube.example", started=True)
    later = format_time(datetime.now(UTC) + timedelta(seconds=90))
    pool.known(limited).raw["status"]["phases"] = [
        {"name": "download", "state": "Waiting", "attempt": 1, "reason": "RateLimited", "nextAttemptTime": later}
    ]
    same, other = pool.song("same", "a.tube.example", age=60), pool.song("other", "b.tube.example")
    assert [(await pool.answer(key)).admitted for key in (limited, same, other)] == [True, False, True]
