"""The scheduler between two cycles: only what changed is looked at again."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
from tests.unit.operator.builders import NOW, audio_job, phase, pipeline, separate_pipeline

from audiojob_operator.admission import roster
from audiojob_operator.admission.candidates import candidate
from audiojob_operator.admission.limits import Limits
from audiojob_operator.admission.roster import ChildFacts, JobFacts
from audiojob_operator.admission.scheduler import Scheduler
from audiojob_operator.records.admission import Candidate
from audiojob_operator.records.objects import Key
from audiojob_operator.records.sites import CoolDownRules, SiteLimit, SiteRules
from audiojob_types.base import format_time
from audiojob_types.constants import LABEL_USER
from audiojob_types.resources.job import AudioJob
from audiojob_types.resources.pipeline import AudioPipeline
from audiojob_types.resources.queue import AudioQueueSpec

ONE = Limits(max_running=1)
PLAIN = AudioPipeline.model_validate(pipeline()).spec
ON_GPU = AudioPipeline.model_validate(pipeline(phase("only", device="Auto", gpuWaitSeconds=60))).spec
NO_CHILDREN = ChildFacts()
SONG = AudioPipeline.model_validate(separate_pipeline()).spec


class Known:
    """A scheduler, and facts about jobs that a test changes one by one."""

    def __init__(self, rules: SiteRules = SiteRules()) -> None:  # noqa: B008 - frozen
        self.scheduler = Scheduler(rules)
        self.now = NOW

    def put(self, name: str, spec: Any = PLAIN, children: ChildFacts = NO_CHILDREN, user: str = "", **more: Any) -> Key:
        obj = audio_job(name, uid=f"uid-{name}", **more)
        obj["metadata"] |= {"creationTimestamp": format_time(NOW), "labels": {LABEL_USER: user} if user else {}}
        key = ("music", name)
        self.scheduler.update(key, JobFacts(f"uid-{name}", AudioJob.model_validate(obj), spec), children, self.now)
        return key

    def cycle(self, limits: Limits = ONE) -> list[str]:
        return [each.key[1] for each in self.scheduler.cycle(limits, self.now)]


@pytest.fixture
def built(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the candidates that are worked out."""
    names: list[str] = []

    def count(job: AudioJob, *args: Any, **more: Any) -> Candidate | None:
        names.append(job.metadata.name)
        return candidate(job, *args, **more)

    monkeypatch.setattr(roster, "candidate", count)
    return names


def test_what_did_not_change_is_not_worked_out_again(built: list[str]) -> None:
    known = Known()
    for number in range(50):
        known.put(f"song-{number}")
    known.cycle()
    assert len(built) == 50
    built.clear()
    known.cycle()
    assert built == []
    known.put("song-7", priority=9)
    assert sorted(known.cycle()) == ["song-0", "song-7"], "it takes the slot that the oldest was offered"
    assert built == ["song-7"]


def test_the_same_facts_again_are_no_change(built: list[str]) -> None:
    known = Known()
    job = AudioJob.model_validate(audio_job("song"))
    for children in (ChildFacts(), ChildFacts(), ChildFacts(gpus=1)):
        known.scheduler.update(("music", "song"), JobFacts("u", job, PLAIN), children, NOW)
    assert built == ["song"]
    assert known.scheduler.ledger.gpus == 1


def test_of_a_thousand_that_wait_a_cycle_looks_at_as_many_as_it_admits(monkeypatch: pytest.MonkeyPatch) -> None:
    known, looked_at = Known(), list[Key]()
    for number in range(1_000):
        known.put(f"song-{number}")
    known.cycle()
    whole = roster.Roster.candidate

    def count(self: roster.Roster, key: Key) -> Candidate:
        looked_at.append(key)
        return whole(self, key)

    monkeypatch.setattr(roster.Roster, "candidate", count)
    assert known.cycle(Limits(max_running=3)) == ["song-1", "song-10"]
    assert len(looked_at) == 3


@pytest.mark.parametrize(
    ("spec", "more", "moment"),
    [
        pytest.param(PLAIN, {"startTime": format_time(NOW + timedelta(seconds=30))}, 30, id="its startTime"),
        pytest.param(ON_GPU, {}, 60, id="the end of its wait for a GPU"),
    ],
)
def test_time_alone_changes_what_a_job_waits_for(spec: Any, more: Any, moment: int, built: list[str]) -> None:
    known = Known()
    limits = Limits(gpus=1, gpus_per_node=1)
    known.put("holder", children=ChildFacts(live=True, gpus=1))
    key = known.put("song", spec, **more)
    known.cycle(limits)
    assert known.scheduler.next_moment(NOW) == NOW + timedelta(seconds=moment)
    built.clear()
    known.now = NOW + timedelta(seconds=moment)
    assert known.cycle(limits) == ["song"]
    assert built == ["song"]
    admission = known.scheduler.reserve(key, limits, known.now)
    assert admission is not None
    assert (admission.admitted, admission.gpus) == (True, 0)


def test_the_pause_of_a_site_is_waited_for() -> None:
    rules = SiteRules((SiteLimit("tube.example", pause_seconds=5),))
    known, limits = Known(rules), Limits(site_rules=rules)
    for name in ("first", "second"):
        known.put(name, SONG, source={"url": "https://tube.example/a"})
    known.cycle(limits)
    assert known.scheduler.next_moment(NOW) == NOW + timedelta(seconds=5)
    known.scheduler.reserve(("music", "first"), limits, NOW)
    known.now = NOW + timedelta(seconds=5)
    assert "second" in known.cycle(limits)


@pytest.mark.parametrize("drained", [True, False], ids=["are drained", "run"])
def test_all_jobs_of_a_queue_are_woken_when_what_stands_against_them_changes(drained: bool) -> None:
    known = Known()
    children = ChildFacts(live=drained)
    names = [known.put(f"song-{number}", children=children)[1] for number in range(4)]
    known.cycle(Limits(max_running=0))
    assert known.cycle(Limits(max_running=0)) == []
    stopped = {("music", "default"): AudioQueueSpec.model_validate({"stopPolicy": "HoldAndDrain"})}
    assert sorted(known.cycle(Limits(max_running=0, queues=stopped))) == names


def test_a_host_that_must_be_left_alone_is_asked_again_when_its_time_has_come() -> None:
    known = Known(SiteRules(cool_down=CoolDownRules(jobs=1)))
    obj = audio_job("song", source={"url": "https://tube.example/a"})
    later: datetime = NOW + timedelta(seconds=90)
    record = {"name": "download", "state": "Waiting", "attempt": 1, "reason": "RateLimited",
              "coolDown": {"host": "tube.example", "time": format_time(NOW)}}  # fmt: skip
    obj["status"] = {"phases": [{**record, "nextAttemptTime": format_time(later)}]}
    facts = JobFacts("u", AudioJob.model_validate(obj), SONG)
    known.scheduler.update(("music", "song"), facts, ChildFacts(), NOW)
    assert known.scheduler.cooling("tube.example", "music", NOW) == later
    assert known.scheduler.cooling("other.example", "music", NOW) is None
    assert known.scheduler.cooling("tube.example", "music", later) is None


@pytest.mark.parametrize(
    ("others", "own", "position"),
    [
        pytest.param({}, {}, 1, id="nobody else waits"),
        pytest.param({"a": {}, "b": {}}, {}, 3, id="behind those that came before"),
        pytest.param({"a": {"priority": 9}, "z": {}}, {}, 2, id="behind the urgent, before those that came later"),
        pytest.param({"a": {}, "b": {}}, {"priority": 9}, 1, id="an urgent one goes first"),
        pytest.param({"a": {"queueName": "other"}}, {}, 1, id="other queues do not count"),
        pytest.param({"a": {"user": "alice"}}, {}, 2, id="other users do"),
    ],
)
def test_a_waiting_job_is_told_its_position(others: dict[str, Any], own: Any, position: int) -> None:
    known = Known()
    known.put("0-holder", children=ChildFacts(live=True))
    for name, spec in others.items():
        known.put(name, **spec)
    key = known.put("song", **own)
    limits = Limits(max_running=1, queues={("music", "other"): AudioQueueSpec()})
    known.cycle(limits)
    assert position_of(known, key, limits) == position


def test_jobs_that_are_about_to_start_are_not_counted() -> None:
    known = Known()
    keys = [known.put(name) for name in ("a", "b", "c")]
    known.cycle()
    assert [position_of(known, key, ONE) for key in keys[1:]] == [1, 2]


def test_who_waits_long_is_counted_before_the_urgent() -> None:
    known = Known()
    known.put("0-holder", children=ChildFacts(live=True))
    old, urgent = known.put("old", priority=1), known.put("urgent", priority=2)
    limits = Limits(max_running=1, ageing_seconds=60)
    known.cycle(limits)
    assert (position_of(known, old, limits), position_of(known, urgent, limits)) == (2, 1)


def test_with_very_many_users_positions_are_not_counted() -> None:
    known = Known()
    for number in range(40):
        known.put(f"a{number}", user=f"user{number}")
    key = known.put("song")
    known.cycle()
    assert position_of(known, key, ONE) is None


def position_of(known: Known, key: Key, limits: Limits) -> int | None:
    admission = known.scheduler.reserve(key, limits, known.now)
    assert admission is not None
    _, told, number = admission.message.partition(" It was queued as number ")
    return int(number.rstrip(".")) if told else None
