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
from tests.unit.operator.builders import NOW, World, ask_others, audio_job, phase, pipeline

from audiojob_operator.admission.candidates import candidate
from audiojob_operator.admission.scheduler import admit
from audiojob_operator.deciding.children.observe import gpus_of
from audiojob_operator.deciding.policies.ready import by_name, gpus_soon
from audiojob_operator.records.admission import Admission, AdmissionSnapshot, Candidate
from audiojob_types import constants as c
from audiojob_types.reasons import Reason
from audiojob_types.resources.job import PhaseState, State
from audiojob_types.resources.pipeline import AudioPipeline
from audiojob_types.resources.queue import AudioQueueSpec

MAX_RUNNING, GPUS, FAST = 3, 2, 2
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
OUTCOMES = ("succeed", "fail", "gpu failure", "memory", "drain", "lost job", "rate limit")


def is_live(job: dict[str, Any]) -> bool:
    conditions = job.get("status", {}).get("conditions", [])
    return not any(each["type"] in ("Complete", "Failed") for each in conditions)


class Histories(RuleBasedStateMachine):
    """The shell of the operator over several worlds: each round is an admission pass, a decision and its writes."""

    jobs = Bundle("jobs")

    def __init__(self) -> None:
        super().__init__()
        self.worlds: dict[str, World] = {}
        self.now = NOW
        self.stop = "None"
        self.ended: dict[str, str] = {}
        self.touched: set[str] = set()  # whose end people have changed

    # ---------------------------------------------------------------- what the shell does

    def _admissions(self) -> dict[str, Admission]:
        candidates = [found for name in self.worlds if (found := self._candidate(name))]
        queues = {
            ("music", "fast"): AudioQueueSpec(max_running=FAST, weight=20),
            ("music", "default"): AudioQueueSpec.model_validate({"stopPolicy": self.stop}),
        }
        leaving = Counter(
            {
                ("music", world.job.spec.queue_name): self._gpus_of(world)
                for name, world in self.worlds.items()
                if self._candidate(name) is None
            }
        )
        snapshot = AdmissionSnapshot(
            tuple(candidates), MAX_RUNNING, GPUS, gpus_strict=True, gpus_leaving=leaving, queues=queues
        )
        return {key[1]: answer for key, answer in admit(snapshot, self.now).items()}

    def _candidate(self, name: str) -> Candidate | None:
        world = self.worlds[name]
        spec = AudioPipeline.model_validate(world.pipeline).spec
        live = [job for job in world.jobs.values() if is_live(job) and not self._has_ended(world, job)]
        return candidate(world.job, spec, self.now, gpus_held=sum(gpus_of(job) for job in live), assumed=bool(live))

    def _has_ended(self, world: World, job: dict[str, Any]) -> bool:
        pod = world.pods.get(job["metadata"]["name"])
        return pod is not None and pod["status"]["phase"] in ("Succeeded", "Failed")

    def _round(self, name: str, writes: int | None = None) -> None:
        """A round over one job; the operator is killed after some of its writes, if a number is given."""
        world = self.worlds[name]
        world.now = self.now
        answer = self._admissions().get(name, Admission(False, Reason.QUEUE_FULL, "Not asked."))
        spec = AudioPipeline.model_validate(world.pipeline).spec
        soon = gpus_soon(world.job.spec, spec, by_name(world.job.status.phases))
        if answer.admitted and not answer.gpus and soon:
            free = GPUS - self._gpus_used()
            answer = replace(answer, gpus=max(0, min(free, soon)))
        world.admission = replace(answer, gpus_used=self._gpus_used(), gpus_total=GPUS)
        world.gpu, world.granted = False, 0
        world.ask = lambda wanted: ask_others((each for each in self.worlds.values() if each is not world), wanted)
        steps = world.steps(world.decide())
        for kind, what in steps if writes is None else steps[:writes]:
            world.write(kind, what)

    def _gpus_used(self) -> int:
        return sum(self._gpus_of(world) for world in self.worlds.values())

    def _gpus_of(self, world: World) -> int:
        jobs = world.jobs.values()
        return sum(gpus_of(job) for job in jobs if is_live(job) and not self._has_ended(world, job))

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
    def round(self, name: str) -> None:
        self._round(name)

    @rule(name=jobs, writes=st.integers(0, 6))
    def killed_in_a_round(self, name: str, writes: int) -> None:
        self._round(name, writes)

    @rule()
    def rounds_over_all(self) -> None:
        for name in self.worlds:
            self._round(name)

    @rule(name=jobs, which=st.integers(0, 2), outcome=st.sampled_from(OUTCOMES))
    def something_becomes_of_an_attempt(self, name: str, which: int, outcome: str) -> None:
        world = self.worlds[name]
        world.now = self.now
        live = [job for job in world.jobs.values() if is_live(job) and not self._has_ended(world, job)]
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
            live = Counter(
                job["metadata"]["labels"][c.LABEL_PHASE]
                for job in world.jobs.values()
                if is_live(job) and not self._has_ended(world, job)
            )
            # An attempt that is over is deleted after the write that says so: a kill between leaves it for a moment,
            # and the next attempt of the phase starts no earlier than the round that deletes it.
            known = {record.name: record.attempt for record in world.job.status.phases}
            for name, count in live.items():
                current = [
                    job
                    for job in world.jobs.values()
                    if job["metadata"]["labels"][c.LABEL_PHASE] == name
                    and int(job["metadata"]["labels"][c.LABEL_ATTEMPT]) > known.get(name, 0) - 1
                    and is_live(job)
                    and not self._has_ended(world, job)
                ]
                assert len(current) <= 1, f"{count} live Jobs of {name}"

    @invariant()
    def no_limit_is_exceeded(self) -> None:
        holding = [name for name in self.worlds if self._holds(name)]
        assert len(holding) <= MAX_RUNNING, holding
        assert sum(self.worlds[name].job.spec.queue_name == "fast" for name in holding) <= FAST
        assert self._gpus_used() <= GPUS

    def _holds(self, name: str) -> bool:
        found = self._candidate(name)
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
    def who_waits_for_another_holds_no_place(self) -> None:
        for name, world in self.worlds.items():
            if any(each.reason == Reason.WAITING_FOR_SAME_WORK for each in world.job.status.conditions):
                found = self._candidate(name)
                assert found is None or found.holds_slot, "only one that has begun since, and was not recorded"

    # ---------------------------------------------------------------- the end

    def teardown(self) -> None:
        """Left in peace, every job ends; those that nobody gave up on have done all of their phases, or say why not."""
        self.stop = "None"
        for world in self.worlds.values():
            world.edit(suspend=False)
        for _ in range(60 * max(1, len(self.worlds))):
            for name, world in self.worlds.items():
                self._round(name)
                for record in world.job.status.phases:
                    if record.state is PhaseState.RUNNING:
                        world.now = self.now
                        world.succeed(record.name)
            self.now += timedelta(seconds=61)
            if all(world.job.status.state.finished for world in self.worlds.values()):
                break
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


class _GpuWorld(World):
    """A world whose node offers all GPUs, whatever admission grants."""

    def observed(self) -> Any:
        return replace(super().observed(), gpus_per_node=GPUS, admitted=self.admission)


# Few, so that the unit tests stay fast; each run draws others. HISTORIES=1000 for a long look.
TestHistories = Histories.TestCase
TestHistories.settings = settings(
    max_examples=int(os.environ.get("HISTORIES", "8")), stateful_step_count=40, deadline=None
)
