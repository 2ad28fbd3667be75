"""Gates that stop only where an earlier phase asks people to look."""

from __future__ import annotations

import json
from typing import Any

import pytest
from tests.unit.operator.builders import NOW, World, audio_job, phase, pipeline, result_message

from audiojob_operator.building.handed_in import Reviews
from audiojob_operator.deciding.policies.review import approved, needs_review, questions, review_end
from audiojob_operator.records.reuse import Donor, donor_from_text, donor_to_text
from audiojob_types.contract import ManifestRef
from audiojob_types.reasons import Reason
from audiojob_types.resources.job import AudioJob, PhaseState, PhaseStatus
from audiojob_types.resources.pipeline import AudioPipeline

ASKED = "Line 12 may be wrong."
YES, NO = {"phase": "last", "approved": True}, {"phase": "last", "approved": False}


def records(**asked: str | None) -> dict[str, PhaseStatus]:
    done = {
        name: PhaseStatus(name=name, state=PhaseState.SUCCEEDED, review_asked=asked.get(name))
        for name in ("words", "align", "cover")
    }
    return {**done, "last": PhaseStatus(name="last")}


def reads(*names: str) -> list[dict[str, str]]:
    return [{"name": name, "from": name} for name in names]


@pytest.mark.parametrize(
    ("gate", "asked", "stops"),
    [
        pytest.param({"gate": "ReviewIfAsked"}, {"cover": ASKED}, True, id="the phase before it asks"),
        pytest.param({"gate": "ReviewIfAsked"}, {}, False, id="nobody asks"),
        pytest.param({"gate": "ReviewIfAsked"}, {"words": ASKED}, False, id="one that it has nothing to do with asks"),
        pytest.param(
            {"gate": "ReviewIfAsked", "after": ["align"]}, {"align": ASKED}, True, id="one that it comes after asks"
        ),
        pytest.param(
            {"gate": "ReviewIfAsked", "after": ["align"]}, {"cover": ASKED}, False, id="one beside the others asks"
        ),
        pytest.param(
            {"gate": "ReviewIfAsked", "inputs": reads("words")}, {"words": ASKED}, True, id="one that it reads asks"
        ),
        pytest.param({"gate": "Review"}, {}, True, id="it always stops"),
        pytest.param({}, {"cover": ASKED}, False, id="it has no gate"),
    ],
)
def test_which_gates_are_shut(gate: dict[str, Any], asked: dict[str, str], stops: bool) -> None:
    *before, _ = records()
    gated = AudioPipeline.model_validate(pipeline(*map(phase, before), phase("last", **gate))).spec
    last = gated.phases[-1]
    found = records(**asked)
    for reviews, waits, passes in (([], stops, not stops), ([YES], False, True)):
        given = Reviews.of(AudioJob.model_validate(audio_job(reviews=reviews)).spec, gated)
        assert needs_review(given, last, found) is waits
        assert approved(given, last, found) is passes
        assert review_end(given, last, found, NOW) is None
    rejected = Reviews.of(AudioJob.model_validate(audio_job(reviews=[NO])).spec, gated)
    ends = review_end(rejected, last, found, NOW)
    assert (ends[0] if ends else None) == (Reason.REVIEW_REJECTED if gate.get("gate") else None)
    assert approved(rejected, last, found) is ("gate" not in gate)


def test_a_job_that_has_not_begun_is_asked_nothing() -> None:
    last = AudioPipeline.model_validate(pipeline(phase("last", gate="ReviewIfAsked", after=["words"]))).spec.phases[0]
    assert questions(last, {}) == {}


# ---------------------------------------------------------------- stories


def asking(world: World, name: str, text: Any = ASKED) -> None:
    """The phase succeeds and asks."""
    result = json.loads(result_message(world.newest(name)))
    world.end(name, 0, json.dumps({**result, "reviewAsked": text}))


def line(**gate: Any) -> World:
    return World(pipeline=pipeline(phase("align"), phase("render", **{"gate": "ReviewIfAsked", **gate})))


def test_a_question_stops_the_job_is_told_and_an_approval_lets_it_go_on() -> None:
    world = line()
    world.turn()
    asking(world, "align")
    world.turn()
    assert (world.state(), world.condition("Suspended")["reason"]) == ("Suspended", "AwaitingReview")
    assert world.phase("align").review_asked == ASKED
    wanted = "Phase render waits for a review in spec.reviews, until 2026-03-08T12:00:00Z. align asks: " + ASKED
    assert world.status["message"] == wanted
    assert [event.message for event in world.events.values() if event.reason == "AwaitingReview"] == [wanted]
    assert world.decide().empty, "waiting for people writes nothing"
    world.edit(reviews=[{"phase": "render", "approved": True}])
    world.finish()
    assert (world.state(), world.phase("align").review_asked) == ("Succeeded", ASKED)


def test_without_a_question_the_job_does_not_stop() -> None:
    world = line()
    world.finish()
    assert world.state() == "Succeeded"
    assert "AwaitingReview" not in {event.reason for event in world.events.values()}


def test_a_rejection_holds_though_nobody_asked() -> None:
    world = line()
    world.edit(reviews=[{"phase": "render", "approved": False, "message": "I had a look"}])
    world.turn()
    world.succeed("align")
    world.turn()
    assert (world.state(), world.status["error"]["reason"]) == ("Failed", "ReviewRejected")


def test_nobody_answers_in_time() -> None:
    world = line(reviewTimeoutSeconds=60)
    world.turn()
    asking(world, "align")
    world.turn()
    world.pass_time(60)
    world.turn()
    assert (world.state(), world.status["error"]["reason"]) == ("Failed", "ReviewTimeout")


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        pytest.param("a\x1b[31m\nb\u202e\x00", "a [31m b", id="control and direction characters go"),
        pytest.param("x" * 5_000, "x" * 200, id="a long one is cut"),
        pytest.param(
            "see https://u:secret@example.org/?token=abcdef123456",
            "see https://***@example.org/?***",
            id="secrets are hidden",
        ),
        pytest.param("", "The phase asks for a review and does not say why.", id="no reason is given"),
    ],
)
def test_what_a_pod_asks_is_made_fit_to_be_shown(written: str, shown: str) -> None:
    world = line()
    world.turn()
    asking(world, "align", written)
    world.turn()
    assert world.phase("align").review_asked == shown
    assert world.state() == "Suspended"


@pytest.mark.parametrize("written", [True, 7, ["why"], {"why": ASKED}])
def test_a_question_that_is_no_text_is_none_and_the_result_stands(written: Any) -> None:
    world = line()
    world.turn()
    asking(world, "align", written)
    world.finish()
    assert (world.state(), world.phase("align").review_asked) == ("Succeeded", None)


def test_a_new_attempt_asks_by_itself() -> None:
    world = World(pipeline=pipeline(phase("align"), phase("render", gate="ReviewIfAsked"), retry={"limit": 3}))
    world.turn()
    world.fail("align")
    world.turn()
    world.pass_time(100)
    world.turn()
    asking(world, "align", "The second attempt doubts.")
    world.turn()
    assert world.status["message"].endswith("align asks: The second attempt doubts.")


def test_the_question_goes_with_the_result_that_another_job_takes_over() -> None:
    ref = ManifestRef(key="music/u/align/1-abcd1234/manifest.json", sha256="0" * 64)
    donor = Donor("first", "align", ref, (), review_asked=ASKED)
    assert donor_from_text(donor_to_text(donor)) == donor
    assert donor_from_text(donor_to_text(donor).replace("review_asked", "unheard_of")) is not None
