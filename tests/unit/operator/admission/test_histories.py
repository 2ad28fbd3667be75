"""Several jobs, one capacity, and whatever may happen to them in whatever order: a stateful property test.

Invariants after every step: at most one live Job for a phase of a job, no limit exceeded, what has ended stays ended,
attempts never go back. At the end every job ends, as it would have without the disturbances, and within its deadline.
"""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import replace
from datetime import timedelta
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, rule
from tests.unit.operator.builders import NOW, World, audio_job, phase, pipeline
from tests.unit.operator.town import ask_others

from audiojob_operator.admission.candidates import candidate
from audiojob_operator.admission.limits import Limits
from audiojob_operator.admission.roster import ChildFacts, JobFacts
from audiojob_operator.admission.scheduler import Scheduler
from audiojob_operator.deciding.children.observe import gpus_of
from audiojob_operator.records.admission import Admission
from audiojob_operator.records.sites import SiteRules
from audiojob_types import constants as c
from audiojob_types.constants import GPU_RESOURCE
from audiojob_types.reasons import Reason
from audiojob_types.resources.job import PhaseState, State
from audiojob_types.resources.pipeline import AudioPipeline
from audiojob_types.resources.queue import AudioQueueSpec

MAX_RUNNING, GPUS, FAST, FAST_GPUS = 3, 2, 2, 1
LINES = {
    "plain": pipeline(phase("one"), phase("two"), name="plain"),
    # Every job of these does the same work, and so do both phases of the first.
    "same": pipeline(phase("one", reuse="Allowed"), phase("two", reuse="Allowed"), name="same"),
    "alike": pipeline(
        phase("one", reuse="Allowed"),
        phase("two", device="GPU", after=["one"]),
        phase("three", after=["one"], reuse="Allowed", parameters={"simulate": {"outputBytes": 9}}),
        name="alike",
    ),
    "gpu": pipeline(phase("one", device="Auto", gpuWaitSeconds=30), phase("two", device="GPU"), name="gpu"),
    "wide": pipeline(
        phase("one"), phase("two", device="Auto", after=["one"]), phase("three", after=["one"]), name="wide"
    ),
}
DEADLINE_SECONDS = 50_000
_STEP, _LONGEST_STEP = timedelta(seconds=61), timedelta(seconds=1_000)
OUTCOMES = ("succeed", "fail", "gpu failure", "memory", "drain", "lost job", "rate limit")


def is_live(job: dict[str, Any]) -> bool:
    conditions = job.get("status", {}).get("conditions", [])
    return not any(each["type"] in ("Complete", "Failed") for each in conditions)


class Histories(RuleBasedStateMachine):
    """The operator over several worlds, with the real scheduler: a reconcile reserves, decides and writes."""

    jobs = Bundle("jobs")

    def __init__(self) -> None:
        super().__init__()
        self.worlds: dict[str, World] = {}
        self.now = NOW
        self.stop = "None"
        self.scheduler = Scheduler(SiteRules())
        self.under_way: dict[str, list[tuple[str, Any]]] = {}  # reconciles, with the writes that they have yet to do
        self.ended: dict[str, str] = {}
        self.touched: set[str] = set()  # whose end people have changed

    # ---------------------------------------------------------------- what the shell does

    def _limits(self) -> Limits:
        queues = {
            ("music", "fast"): AudioQueueSpec(max_running=FAST, max_gpus=FAST_GPUS, weight=20),
            ("music", "default"): AudioQueueSpec.model_validate({"stopPolicy": self.stop}),
        }
        return Limits(MAX_RUNNING, GPUS, gpus_strict=True, gpus_per_node=GPUS, queues=queues)

    def _report(self, name: str) -> None:
        """What the caches would say of a job now."""
        world = self.worlds[name]
        job, spec = world.job, AudioPipeline.model_validate(world.pipeline).spec
        facts = JobFacts(job.metadata.uid, job, spec, active=not job.status.state.finished)
        children = ChildFacts(bool(self._live(world)), self._gpus_of(world))
        self.scheduler.update(("music", name), facts, children, self.now)

    def _live(self, world: World) -> list[dict[str, Any]]:
        return [job for job in world.jobs.values() if is_live(job) and not self._has_ended(world, job)]

    def _has_ended(self, world: World, job: dict[str, Any]) -> bool:
        pod = world.pods.get(job["metadata"]["name"])
        return pod is not None and pod["status"]["phase"] in ("Succeeded", "Failed")

    def _reconcile(self, name: str) -> None:
        self._begin(name)
        while name in self.under_way:
            self._go_on(name)

    def _begin(self, name: str) -> None:
        """A reconcile of a job begins, unless one is under way: it reserves and decides."""
        if name in self.under_way:
            return
        self._report(name)
        if (answer := self._reserve(name)) is None:
            return
        world = self.worlds[name]
        world.now, world.admission = self.now, answer
        world.ask = lambda wanted: ask_others((each for each in self.worlds.values() if each is not world), wanted)
        self.under_way[name] = world.steps(world.decide())

    def _go_on(self, name: str) -> None:
        """The next write of a reconcile, or its end."""
        steps = self.under_way[name]
        if steps:
            self.worlds[name].write(*steps.pop(0))
            self._report(name)
            return
        del self.under_way[name]
        self.scheduler.release(("music", name))

    def _reserve(self, name: str) -> Admission | None:
        if self.worlds[name].job.status.state.finished:
            return Admission(True)
        answer = self.scheduler.reserve(("music", name), self._limits(), self.now)
        if answer is None:  # the cycle that answers wakes it
            self.scheduler.release(("music", name))
            assert name in self._cycle()
            answer = self.scheduler.reserve(("music", name), self._limits(), self.now)
        return answer

    def _cycle(self) -> list[str]:
        for name in self.worlds:
            self._report(name)
        return [each.key[1] for each in self.scheduler.cycle(self._limits(), self.now)]

    def _restart(self) -> None:
        """Nothing but what status and Jobs show outlives the process."""
        self.scheduler = Scheduler(SiteRules())
        self.under_way.clear()
        self._cycle()

    def _gpus_used(self) -> int:
        return sum(self._gpus_of(world) for world in self.worlds.values())

    def _gpus_of(self, world: World) -> int:
        return sum(gpus_of(job) for job in self._live(world))

    # ---------------------------------------------------------------- what may happen

    @initialize(target=jobs, line=st.sampled_from(sorted(LINES)))
    def first_job(self, line: str) -> Any:
        return self.submit(line, "default", 5)

    @rule(
        target=jobs,
        line=st.sampled_from(sorted(LINES)),
        queue=st.sampled_from(["default", "fast"]),
        priority=st.integers(1, 10),
    )
    def submit(self, line: str, queue: str, priority: int) -> str:
        name = f"job-{len(self.worlds)}"
        job = audio_job(
            name, pipeline=line, uid=f"uid-{name}", queueName=queue, priority=priority,
            activeDeadlineSeconds=DEADLINE_SECONDS,
        )  # fmt: skip
        job["metadata"]["creationTimestamp"] = self.now.strftime("%Y-%m-%dT%H:%M:%SZ")
        # A node offers all GPUs; how many of them are free is admission's word.
        self.worlds[name] = _GpuWorld(audiojob=job, pipeline=LINES[line], now=self.now)
        return name

    @rule(name=jobs)
    def reconcile(self, name: str) -> None:
        self._reconcile(name)

    @rule(name=jobs, writes=st.integers(0, 6))
    def a_reconcile_takes_its_time(self, name: str, writes: int) -> None:
        self._begin(name)
        for _ in range(writes):
            if name in self.under_way:
                self._go_on(name)

    @rule()
    def killed(self) -> None:
        self._restart()

    @rule()
    def cycle(self) -> None:
        self._cycle()

    @rule()
    def reconcile_all(self) -> None:
        for name in self.worlds:
            self._reconcile(name)

    @rule(name=jobs, which=st.integers(0, 2), outcome=st.sampled_from(OUTCOMES))
    def something_becomes_of_an_attempt(self, name: str, which: int, outcome: str) -> None:
        world = self.worlds[name]
        world.now = self.now
        live = self._live(world)
        if not live:
            return
        job = live[which % len(live)]
        of = job["metadata"]["labels"][c.LABEL_PHASE]
        if world.newest(of) is not job:
            return
        match outcome:
            case "succeed":
                world.succeed(of)
            case "fail":
                world.fail(of, 75)
            case "gpu failure":
                world.fail(of, 79, "GpuError")
            case "memory":
                world.end(of, 137, reason="OOMKilled")
            case "rate limit":
                world.fail(of, 75, "RateLimited")
            case "drain":
                world.end(of, 143)
                condition = {"type": "DisruptionTarget", "status": "True", "message": "drained"}
                world.pod(of, conditions=[condition])
            case "lost job":
                world.jobs.pop(job["metadata"]["name"])
                world.pods.pop(job["metadata"]["name"], None)

    @rule(name=jobs, what=st.sampled_from(["suspend", "resume", "cancel"]))
    def a_user_changes_their_mind(self, name: str, what: str) -> None:
        world = self.worlds[name]
        if what == "cancel":
            self.touched.add(name)
        world.edit(**({"cancel": True} if what == "cancel" else {"suspend": what == "suspend"}))

    @rule(policy=st.sampled_from(["None", "Hold", "HoldAndDrain"]))
    def an_administrator_stops_the_queue(self, policy: str) -> None:
        self.stop = policy

    @rule(seconds=st.sampled_from([1, 10, 100, 4_000]))
    def time_passes(self, seconds: int) -> None:
        self.now += timedelta(seconds=seconds)

    # ---------------------------------------------------------------- what always holds

    @invariant()
    def at_most_one_live_job_for_a_phase(self) -> None:
        for world in self.worlds.values():
            live = Counter(job["metadata"]["labels"][c.LABEL_PHASE] for job in self._live(world))
            # An attempt that is over is deleted after the write that says so: a kill between leaves it for a moment,
            # and the next attempt of the phase starts no earlier than the reconcile that deletes it.
            known = {record.name: record.attempt for record in world.job.status.phases}
            for name, count in live.items():
                current = [
                    job
                    for job in self._live(world)
                    if job["metadata"]["labels"][c.LABEL_PHASE] == name
                    and int(job["metadata"]["labels"][c.LABEL_ATTEMPT]) > known.get(name, 0) - 1
                ]
                assert len(current) <= 1, f"{count} live Jobs of {name}"

    @invariant()
    def no_limit_is_exceeded(self) -> None:
        holding = [name for name in self.worlds if self._holds(name)]
        fast = [world for world in self.worlds.values() if world.job.spec.queue_name == "fast"]
        assert len(holding) <= MAX_RUNNING, holding
        assert sum(self.worlds[name] in fast for name in holding) <= FAST
        assert self._gpus_used() <= GPUS
        assert sum(map(self._gpus_of, fast)) <= FAST_GPUS

    @invariant()
    def what_the_ledger_counts_is_what_shows_and_what_is_promised(self) -> None:
        for name in self.worlds:
            self._report(name)
        usage = self.scheduler.ledger.usage()
        assert self._gpus_used() <= usage.gpus <= GPUS
        assert usage.queue_gpus["music", "fast"] <= FAST_GPUS
        assert sum(map(self._holds, self.worlds)) <= usage.slots <= MAX_RUNNING
        assert {key[1] for key in usage.held} <= self.under_way.keys()

    def _holds(self, name: str) -> bool:
        world = self.worlds[name]
        spec = AudioPipeline.model_validate(world.pipeline).spec
        found = candidate(world.job, spec, self.now, live=bool(self._live(world)))
        return found is not None and found.holds_slot

    @invariant()
    def what_has_ended_stays_ended(self) -> None:
        for name, world in self.worlds.items():
            state = str(world.job.status.state)
            assert self.ended.get(name, state) == state
            if State(state).finished:
                self.ended[name] = state

    @invariant()
    def what_was_taken_over_is_whole_and_lies_where_it_is_said_to(self) -> None:
        for world in self.worlds.values():
            for record in world.job.status.phases:
                if record.reused_from is not None:
                    assert record.state is PhaseState.SUCCEEDED
                    assert record.manifest is not None
                    # Of this very job, where its pipeline does the same work twice and another one stood between.
                    assert record.manifest.key.startswith(f"music/uid-{record.reused_from}/")

    @invariant()
    def who_waits_for_another_holds_no_slot(self) -> None:
        for name, world in self.worlds.items():
            if any(each.reason == Reason.WAITING_FOR_SAME_WORK for each in world.job.status.conditions):
                assert not self._holds(name) or self._live(world), "only one that has begun since, and is not recorded"

    # ---------------------------------------------------------------- the end

    def teardown(self) -> None:
        """Left in peace, every job ends; those that nobody gave up on have done all of their phases, or say why not."""
        self.stop = "None"
        for world in self.worlds.values():
            world.edit(suspend=False)
        pause = _STEP
        for _ in range(60 * max(1, len(self.worlds))):
            unfinished = [name for name, world in self.worlds.items() if not world.job.status.state.finished]
            if not unfinished:
                break
            writes = sum(len(world.writes) for world in self.worlds.values())
            self._cycle()
            for name in unfinished:
                self._reconcile(name)
                self._succeed(self.worlds[name])
            # Where all wait for time alone to pass, more of it passes.
            idle = writes == sum(len(world.writes) for world in self.worlds.values())
            pause = min(2 * pause, _LONGEST_STEP) if idle else _STEP
            self.now += pause
        for name, world in self.worlds.items():
            status = world.job.status
            assert status.state.finished, f"{name} never ended: {world.status}"
            if status.state is State.CANCELLED:
                assert name in self.touched
            if status.state is State.FAILED:
                assert status.error is not None
            if status.state is State.SUCCEEDED:
                assert [(each.name, each.state) for each in status.phases] == [
                    (each["name"], "Succeeded") for each in LINES[world.job.spec.pipeline]["spec"]["phases"]
                ]
            started = status.start_time
            if started is not None and status.completion_time is not None:
                assert (status.completion_time - started).total_seconds() <= DEADLINE_SECONDS + 4_100

    def _succeed(self, world: World) -> None:
        world.now = self.now
        for record in world.job.status.phases:
            if record.state is PhaseState.RUNNING:
                world.succeed(record.name)


class _GpuWorld(World):
    """A world whose node offers all GPUs, whatever admission grants."""

    def observed(self) -> Any:
        return replace(super().observed(), gpus_per_node={GPU_RESOURCE: GPUS}, admitted=self.admission)


# Few, so that the unit tests stay fast; HISTORIES=1000 with --hypothesis-profile long draws others, for a long look.
TestHistories = Histories.TestCase
TestHistories.settings = settings(
    max_examples=int(os.environ.get("HISTORIES", "8")), stateful_step_count=40, deadline=None
)
