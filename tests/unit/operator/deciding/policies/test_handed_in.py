"""Inputs that a review hands in: who reads them, from when on, and which are not used."""

from __future__ import annotations

from typing import Any

import pytest
from tests.unit.operator.builders import NAMESPACE, World, audio_job, phase, phase_input_of, pipeline

from audiojob_operator.building.handed_in import takes
from audiojob_operator.deciding.revisions import parse_revision
from audiojob_operator.records.observed import Retried
from audiojob_types import constants as c
from audiojob_types.contract import PhaseInputFile
from audiojob_types.resources.pipeline import AudioPipeline

TEXT = "[00:01.00]La la la"
LYRICS = {"name": "lyrics", "text": TEXT}


def reads(*pairs: str) -> list[dict[str, Any]]:
    """``words/lyrics``: output lyrics of phase words, by that name; ``words``: its only output."""
    found = []
    for pair in pairs:
        maker, _, output = pair.partition("/")
        found.append({"name": output or maker, "from": maker, **({"output": output} if output else {})})
    return found


def karaoke(**align: Any) -> Any:
    """words → align → render, where words and align both make an output lyrics; cover is beside them."""
    return pipeline(
        phase("words"),
        phase("cover", after=["words"], inputs=reads("words/lyrics")),
        phase("align", **{"after": ["words"], "gate": "Review", "inputs": reads("words/lyrics"), **align}),
        phase("render", after=["align"], gate="ReviewIfAsked", inputs=reads("align/lyrics", "words/title")),
        name="karaoke",
    )


def at_the_gate(line: Any = None, **spec: Any) -> World:
    world = World(audiojob=audio_job(pipeline="karaoke", **spec), pipeline=line or karaoke())
    world.turn()
    world.succeed("words", "lyrics", "title")
    world.turn()
    world.succeed("cover")
    world.turn()
    assert world.state() == "Suspended"
    return world


def review(*inputs: Any, of: str = "align", **more: Any) -> dict[str, Any]:
    return {"phase": of, "approved": True, **({"inputs": list(inputs)} if inputs else {}), **more}


def read_by(world: World, name: str) -> dict[str, PhaseInputFile]:
    return {file.name: file for file in phase_input_of(world.newest(name)).inputs}


def ignored(world: World) -> list[str]:
    return [event.message for event in world.events.values() if event.reason == "ReviewIgnored"]


# ---------------------------------------------------------------- what may be handed in


@pytest.mark.parametrize(
    ("line", "gate", "names"),
    [
        pytest.param(karaoke(), "align", ("lyrics", "title"), id="what it reads, and those after it, from before it"),
        pytest.param(karaoke(), "render", ("lyrics", "title"), id="for a later gate what the first made anew too"),
        pytest.param(karaoke(), "words", (), id="a phase without a gate"),
        pytest.param(
            pipeline(phase("a"), phase("b", gate="Review", inputs=reads("a"))), "b", ("a",), id="an only output"
        ),
        pytest.param(
            pipeline(phase("a", gate="Review", inputs=[{"name": "source", "from": "Job"}])), "a", (), id="the source"
        ),
        pytest.param(
            pipeline(phase("a"), phase("b", "Lyrics", gate="Review", inputs=[{"name": "audio", "from": "a"}])),
            "b",
            (),
            id="an input of which only what the manifest says is read",
        ),
        pytest.param(
            pipeline(phase("a"), phase("b", gate="Review"), phase("c", after=[], inputs=reads("a/x"))),
            "b",
            (),
            id="what only a phase beside it reads",
        ),
    ],
)
def test_what_a_review_may_hand_in(line: Any, gate: str, names: tuple[str, ...]) -> None:
    spec = AudioPipeline.model_validate(line).spec
    found = takes(spec, next(each for each in spec.phases if each.name == gate))
    assert tuple(sorted(found)) == names


# ---------------------------------------------------------------- stories


def test_the_phase_reads_what_was_handed_in_and_those_after_it_read_what_it_made() -> None:
    world = at_the_gate()
    assert world.phase("align").review_takes == ("lyrics", "title")
    world.edit(reviews=[review(LYRICS, {"name": "title", "object": {"key": "titles/song.txt"}})])
    world.turn()
    assert read_by(world, "align") == {"lyrics": PhaseInputFile(name="lyrics", text=TEXT)}
    assert world.phase("align").review_inputs == ("lyrics", "title")
    world.succeed("align", "lyrics")
    world.turn()
    found = read_by(world, "render")
    assert found["title"] == PhaseInputFile(name="title", key=f"{NAMESPACE}/uploads/titles/song.txt")
    assert found["lyrics"].manifest == world.phase("align").manifest, "made from what was handed in"
    mounts = world.newest("render")["spec"]["template"]["spec"]["containers"][0]["volumeMounts"]
    uploads = [each for each in mounts if each.get("subPath") == f"{NAMESPACE}/uploads"]
    assert [each["readOnly"] for each in uploads] == [True]
    world.finish()
    assert (world.state(), ignored(world)) == ("Succeeded", [])


def test_the_last_gate_on_the_way_decides() -> None:
    world = at_the_gate()
    world.edit(
        reviews=[review({"name": "title", "text": "first"}), review({"name": "title", "text": "second"}, of="render")]
    )
    world.turn()
    world.succeed("align", "lyrics")
    world.turn()
    assert read_by(world, "render")["title"].text == "second"


def test_a_later_gate_replaces_what_the_first_phase_made_anew() -> None:
    world = at_the_gate()
    world.edit(reviews=[review(LYRICS), review({"name": "lyrics", "text": "timed"}, of="render")])
    world.turn()
    assert read_by(world, "align")["lyrics"].text == TEXT
    world.succeed("align", "lyrics")
    world.turn()
    assert read_by(world, "render")["lyrics"].text == "timed"


def test_another_attempt_reads_the_same_and_its_work_is_keyed_by_it() -> None:
    world = at_the_gate(karaoke(reuse="Allowed"))
    world.edit(reviews=[review(LYRICS)])
    world.turn()
    first = world.phase("align")
    other = at_the_gate(karaoke(reuse="Allowed"))
    other.edit(reviews=[review({**LYRICS, "text": "Lo"})])
    other.turn()
    uploaded = at_the_gate(karaoke(reuse="Allowed"))
    uploaded.edit(reviews=[review({"name": "lyrics", "object": {"key": "x.lrc"}})])
    uploaded.turn()
    assert first.reuse_key is not None
    assert other.phase("align").reuse_key not in (None, first.reuse_key)
    assert uploaded.phase("align").reuse_key is None, "an upload may be replaced under its name"
    world.fail("align")
    world.turn()
    world.pass_time(60)
    world.turn()
    assert world.phase("align").attempt == 2
    assert read_by(world, "align")["lyrics"].text == TEXT
    assert (world.phase("align").reuse_key, world.phase("align").review_inputs) == (first.reuse_key, ("lyrics",))


def test_a_start_whose_status_write_was_lost_keeps_what_was_handed_in() -> None:
    world = at_the_gate()
    world.edit(reviews=[review(LYRICS)])
    for kind, what in world.steps(world.decide()):
        if kind == "job":
            world.write(kind, what)
    assert world.newest("align")["metadata"]["annotations"][c.ANNOTATION_REVIEW_INPUTS] == "lyrics"
    world.turn()
    assert (world.phase("align").attempt, world.phase("align").review_inputs) == (1, ("lyrics",))


@pytest.mark.parametrize(
    ("given", "why"),
    [
        pytest.param(
            {"name": "lyric", "text": "la"},
            "phase align and those after it read no earlier output of that name; known: lyrics, title",
            id="nobody reads it",
        ),
        pytest.param({**LYRICS, "text": "é" * 20_000}, "must have at most 32768 bytes", id="it is too large"),
        pytest.param({"name": "lyrics", "object": {"key": "../x"}}, "must be a relative path", id="it lies elsewhere"),
        pytest.param({"name": "lyrics", "object": {"key": "/x"}}, "must be a relative path", id="it is a whole path"),
        pytest.param({"name": "lyrics"}, "must have exactly one of text, object", id="it is empty"),
        pytest.param(
            {**LYRICS, "object": {"key": "x"}}, "must have exactly one of text, object", id="it is two things"
        ),
    ],
)
def test_a_review_that_cannot_be_used_does_not_count_and_another_may_follow(given: Any, why: str) -> None:
    world = at_the_gate()
    world.edit(reviews=[review(given)])
    world.turn()
    assert (world.state(), world.phase("align").attempt) == ("Suspended", 0)
    [told] = ignored(world)
    assert told.startswith(f"The review of align does not count: spec.reviews[0].inputs[{given['name']}]")
    assert why in told
    assert world.decide().empty
    world.edit(reviews=[review(given), review(LYRICS)])
    world.turn()
    assert read_by(world, "align")["lyrics"].text == TEXT
    early = World(audiojob=audio_job(pipeline="karaoke", reviews=[review(given)]), pipeline=karaoke())
    early.turn()
    error = early.status["error"]
    assert (early.state(), error["reason"]) == ("Failed", "InvalidSpec")
    assert error["message"].startswith(f"spec.reviews[0].inputs[{given['name']}]")
    assert why in error["message"]


def test_all_texts_of_reviews_have_a_limit_together() -> None:
    world = at_the_gate()
    long = {"name": "title", "text": "é" * 16_000}
    world.edit(
        reviews=[review(long, of="render"), review({**LYRICS, "text": "é" * 16_000}, {**long, "text": "é" * 9_000})]
    )
    world.turn()
    assert world.state() == "Suspended"
    assert "all texts of reviews must have at most 65536 bytes" in ignored(world)[0]


def test_a_phase_that_has_no_gate_takes_nothing() -> None:
    world = at_the_gate()
    world.edit(reviews=[review(LYRICS, of="cover"), review(LYRICS)])
    world.turn()
    assert ignored(world) == ["The pipeline does not stop before cover; phases with a gate: align, render."]
    early = World(audiojob=audio_job(pipeline="karaoke", reviews=[review(LYRICS, of="mix")]), pipeline=karaoke())
    early.turn()
    assert early.status["error"]["message"] == (
        "spec.reviews[0].phase: pipeline karaoke has no such phase with a gate; it has align, render"
    )


def test_a_second_review_with_other_inputs_changes_nothing_and_is_told() -> None:
    world = at_the_gate()
    world.edit(reviews=[review(LYRICS), review({**LYRICS, "text": "other"})])
    world.turn()
    assert read_by(world, "align")["lyrics"].text == TEXT
    assert ignored(world) == ["Phase align was reviewed before; the inputs of spec.reviews[1] are not used."]


def test_what_is_handed_in_after_the_phase_began_changes_nothing_and_is_told() -> None:
    line = karaoke(gate="ReviewIfAsked")
    world = World(audiojob=audio_job(pipeline="karaoke"), pipeline=line)
    world.turn()
    world.succeed("words", "lyrics", "title")
    world.turn()
    assert world.phase("align").state == "Running", "nobody asked"
    world.edit(reviews=[review(LYRICS, {"name": "title", "text": "T"})])
    world.turn()
    assert ignored(world) == ["Phase align had begun; the inputs of spec.reviews[0] are not used."]
    world.fail("align")
    world.turn()
    world.pass_time(60)
    world.turn()
    assert read_by(world, "align")["lyrics"].manifest is not None, "as in the first attempt"
    world.succeed("align", "lyrics")
    world.turn()
    assert read_by(world, "render")["title"].manifest is not None
    assert world.phase("align").review_inputs is None


def test_a_gate_at_which_nobody_asks_takes_what_was_handed_in_beforehand() -> None:
    line = karaoke(gate="ReviewIfAsked")
    world = World(audiojob=audio_job(pipeline="karaoke", reviews=[review(LYRICS)]), pipeline=line)
    world.turn()
    world.succeed("words", "lyrics", "title")
    world.turn()
    assert read_by(world, "align")["lyrics"].text == TEXT


def test_a_job_that_is_cancelled_takes_nothing() -> None:
    world = at_the_gate()
    world.edit(cancel=True, reviews=[review(LYRICS)])
    world.turn()
    assert (world.state(), world.phase("align").attempt) == ("Cancelled", 0)


@pytest.mark.parametrize(
    ("reviews", "kept"),
    [
        pytest.param([review(LYRICS)], True, id="the same is handed in"),
        pytest.param([review({**LYRICS, "text": "other"})], False, id="something else is handed in"),
        pytest.param([review()], False, id="nothing is handed in"),
        pytest.param([], False, id="nobody has reviewed it"),
    ],
)
def test_a_retry_keeps_a_phase_only_with_what_it_was_handed_in(reviews: Any, kept: bool) -> None:
    first = at_the_gate()
    first.edit(reviews=[review(LYRICS)])
    first.turn()
    first.succeed("align", "lyrics")
    first.turn()
    first.fail("render", 65, "NotMedia")
    first.turn()
    revision = parse_revision(next(iter(first.revisions.values())))
    spec = {"retryOf": "song", "reuse": "Never", "reviews": reviews}
    again = World(
        audiojob=audio_job("again", uid="uid-again", pipeline="karaoke", **spec),
        pipeline=karaoke(),
        retried=Retried(first.job, revision.spec),
    )
    again.turn()
    assert again.phase("words").reused_from == "song"
    assert (again.phase("align").reused_from == "song") is kept
    assert again.phase("align").review_inputs == (("lyrics",) if reviews and reviews[0].get("inputs") else None)
