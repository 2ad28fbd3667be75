"""What blocks a ready phase, and whether the job keeps its slot meanwhile."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from tests.unit.operator.builders import NOW, SHA, audio_job, phase, separate_pipeline
from tests.unit.operator.builders import pipeline as make_pipeline

from audiojob_operator.deciding.policies.blocker import Facts, blocker
from audiojob_operator.deciding.policies.ready import can_go_on
from audiojob_operator.records.admission import SiteAnswer
from audiojob_operator.records.reuse import SameWork
from audiojob_types.reasons import Reason
from audiojob_types.resources.job import AudioJob, PhaseState, PhaseStatus
from audiojob_types.resources.pipeline import AudioPipeline, AudioPipelineSpec

LATER = NOW + timedelta(seconds=40)
BARE = Facts(AudioJob.model_validate(audio_job(source={"url": "https://example.org/a.ogg"})).spec)
OTHER = SameWork("other", 5)


def record(**fields: object) -> dict[str, PhaseStatus]:
    return {"it": PhaseStatus.model_validate({"name": "it", **fields})}


def line(task: str = "Separate", **fields: object) -> AudioPipelineSpec:
    """A pipeline of one phase."""
    return AudioPipeline.model_validate(make_pipeline(phase("it", task, **fields))).spec


@pytest.mark.parametrize(
    ("of", "facts", "reason", "needs_slot"),
    [
        pytest.param(line(), BARE, None, None, id="nothing"),
        pytest.param(line(gate="Review"), BARE, Reason.AWAITING_REVIEW, False, id="a review"),
        pytest.param(line(), replace(BARE, same_work={"it": OTHER}), Reason.WAITING_FOR_SAME_WORK, False, id="others"),
        pytest.param(
            line(), replace(BARE, unready=frozenset({"htdemucs"})), Reason.MODEL_MISSING, False, id="its model"
        ),
        pytest.param(
            line(), replace(BARE, unready=frozenset({"another"})), None, None, id="a model that others need is nothing"
        ),
        pytest.param(
            line(),
            replace(BARE, phases=record(nextAttemptTime=LATER, reason="Stalled")),
            Reason.BACKING_OFF,
            True,
            id="a backoff",
        ),
        pytest.param(
            line("Download"),
            replace(BARE, phases=record(nextAttemptTime=LATER, reason="RateLimited")),
            Reason.COOLING_DOWN,
            True,
            id="its own cool-down",
        ),
        pytest.param(
            line(),
            replace(BARE, phases=record(nextAttemptTime=NOW)),
            None,
            None,
            id="a backoff that is over",
        ),
        pytest.param(
            line("Download"), replace(BARE, cooling_until=LATER), Reason.COOLING_DOWN, True, id="a site that cools down"
        ),
        pytest.param(
            line(),
            replace(BARE, cooling_until=LATER),
            None,
            None,
            id="a site that nothing is fetched from",
        ),
        pytest.param(
            line("Download"),
            replace(BARE, host="example.org", site=SiteAnswer(False, "It is busy.")),
            Reason.SITE_BUSY,
            True,
            id="a busy site",
        ),
        pytest.param(
            line("Download"),
            replace(BARE, host="example.org", site=SiteAnswer(True), fetch_begun=True),
            Reason.SITE_BUSY,
            True,
            id="the download that was granted has just begun",
        ),
        pytest.param(
            line(gate="Review"),
            replace(BARE, unready=frozenset({"htdemucs"}), phases=record(nextAttemptTime=LATER)),
            Reason.AWAITING_REVIEW,
            False,
            id="people come first",
        ),
        pytest.param(
            line(),
            replace(BARE, unready=frozenset({"htdemucs"}), phases=record(nextAttemptTime=LATER)),
            Reason.MODEL_MISSING,
            False,
            id="a missing model frees the slot also during a backoff",
        ),
    ],
)
def test_the_first_blocker(of: AudioPipelineSpec, facts: Facts, reason: Reason | None, needs_slot: bool | None) -> None:
    found = blocker(of.phases[0], facts, NOW)
    assert (found.reason if found else None) == reason
    assert (found.needs_slot if found else None) == needs_slot
    assert can_go_on(of, facts, NOW) is (needs_slot is not False)


def test_a_job_at_work_keeps_its_slot_whatever_blocks_its_other_phases() -> None:
    two = AudioPipeline.model_validate(make_pipeline(phase("it", gate="Review"), phase("two", after=[]))).spec
    running = {"two": PhaseStatus(name="two", state=PhaseState.RUNNING)}
    assert can_go_on(two, replace(BARE, phases=running), NOW)
    assert not can_go_on(two, replace(BARE, same_work={"two": OTHER}), NOW)


def test_only_the_ready_phase_of_a_chain_counts() -> None:
    chain = AudioPipeline.model_validate(separate_pipeline()).spec
    assert can_go_on(chain, replace(BARE, unready=frozenset({"htdemucs"})), NOW), "separate comes third"
    done = {
        name: PhaseStatus(name=name, state=PhaseState.SUCCEEDED, reuse_key=SHA) for name in ("download", "normalize")
    }
    assert not can_go_on(chain, replace(BARE, unready=frozenset({"htdemucs"}), phases=done), NOW)
