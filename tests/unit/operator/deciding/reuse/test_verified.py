"""A phase's word about its outputs is a claim until a reader has hashed them: nothing is reused by a claim."""

from __future__ import annotations

import json

import pytest
from tests.support.podrunner import read_by
from tests.unit.operator.builders import SHA, World, phase_input_of, result_message
from tests.unit.operator.town import OUTPUTS, STEPS, Town, donors

from audiojob_operator.deciding.reuse.verified import RecordedFiles, all_verified, is_confirmed
from audiojob_types import constants as c
from audiojob_types.contract import ManifestRef, PhaseInput, PhaseInputFile, ReadInput
from audiojob_types.resources.job import JobOutput, ResolvedSource
from audiojob_types.resources.pipeline import Phase

OTHER = "b" * 64  # of what really lies there
REF = ManifestRef(key="music/u/normalize/1-abcd1234/manifest.json", sha256="a" * 64, count=2)


def claims(world: World) -> None:
    """The job's Download was taken over: it names the sha256 of another's song as that of its own file."""
    world.turn()
    world.succeed("download", "source")
    world.turn()


def told(world: World, phase: str) -> PhaseInput:
    return phase_input_of(world.newest(phase))


def reads(world: World, phase: str, *read: ReadInput, names: ManifestRef | None = None) -> None:
    """The phase ends well, says that of its inputs, and ``names`` that as its result."""
    message = json.loads(result_message(world.newest(phase), outputs=OUTPUTS[phase], inputs=read))
    if names is not None:
        message["manifest"] = names.to_wire()
    world.end(phase, 0, json.dumps(message))
    world.turn()


# ---------------------------------------------------------------- who gives


@pytest.mark.parametrize(
    "read",
    [
        pytest.param((), id="its runner did not compare"),
        pytest.param((ReadInput(name="source", sha256=OTHER),), id="the bytes were others"),
        pytest.param((ReadInput(name="audio", sha256=SHA),), id="it names another input"),
    ],
)
def test_stems_made_from_what_a_producer_claimed_serve_nobody(town: Town, read: tuple[ReadInput, ...]) -> None:
    attacker = town.add("attacker", source={"url": "https://evil.example.org/a.ogg"})
    claims(attacker)
    reads(attacker, "normalize", *read)
    assert attacker.phase("normalize").reuse_key is None
    assert [output.verified for output in attacker.job.status.outputs] == [None, None]

    victim = town.add("victim", source={"url": "https://good.example.org/b.ogg"})
    claims(victim)
    assert victim.phase("normalize").state == "Running"
    assert c.ANNOTATION_DONOR not in victim.newest("normalize")["metadata"]["annotations"]


def test_a_reader_that_finds_what_is_recorded_makes_its_work_and_its_input_known(town: Town) -> None:
    first = town.add("first")
    claims(first)
    assert first.phase("normalize").reuse_key is not None
    first.succeed("normalize")
    first.turn()
    assert first.phase("normalize").reuse_key is not None
    assert [(output.phase, output.verified) for output in first.job.status.outputs] == [
        ("download", True),
        ("normalize", None),
    ]


# ---------------------------------------------------------------- who takes


def test_a_job_whose_own_download_claims_anothers_song_does_not_get_its_stems(town: Town) -> None:
    town.add("victim").finish(OUTPUTS)
    attacker = town.add("attacker", source={"url": "https://evil.example.org/a.ogg"})
    claims(attacker)
    assert (attacker.phase("normalize").state, donors(attacker)) == ("Running", [None] * 3)
    assert [file.recorded_sha256 for file in told(attacker, "normalize").inputs] == [SHA]
    attacker.fail("normalize", code=66, reason="ChecksumMismatch", message="It differs.")
    attacker.turn()
    assert (attacker.state(), donors(attacker)) == ("Failed", [None] * 3)


def test_equal_bytes_from_another_address_need_a_look_and_no_work(town: Town) -> None:
    first = town.add("first")
    first.finish(OUTPUTS)
    second = town.add("second", source={"url": "https://mirror.example.org/a.ogg"})
    second.finish(OUTPUTS)
    assert donors(second) == [None, "first", "first"]
    assert told(second, "normalize").donor == first.phase("normalize").manifest
    assert [second.phase(name).attempt for name in STEPS] == [1, 1, 0], "what the first job's readers saw is known"
    taken = [output for output in second.job.status.outputs if output.phase != "download"]
    assert taken == [output for output in first.job.status.outputs if output.phase != "download"]
    third = town.add("third", source={"url": "https://mirror.example.org/a.ogg"})
    third.turn()
    assert (third.state(), third.created_jobs) == ("Succeeded", []), "the second job's readers have looked"


def test_a_pod_that_names_the_donor_but_not_its_inputs_has_failed(town: Town) -> None:
    town.add("first").finish(OUTPUTS)
    second = town.add("second", source={"url": "https://mirror.example.org/a.ogg"})
    claims(second)
    assert told(second, "normalize").donor is not None
    reads(second, "normalize")
    record = second.phase("normalize")
    assert (record.state, record.failures, record.reused_from) == ("Waiting", 1, None)


def test_a_pod_that_names_a_result_which_it_was_not_offered_has_failed(town: Town) -> None:
    first = town.add("first")
    first.finish(OUTPUTS)
    second = town.add("second", source={"url": "https://mirror.example.org/a.ogg"})
    claims(second)
    stems = first.phase("separate").manifest
    reads(second, "normalize", *read_by(told(second, "normalize")), names=stems)
    assert (second.phase("normalize").failures, donors(second)) == (1, [None] * 3)


# ---------------------------------------------------------------- the rules themselves

STEP = Phase.model_validate(
    {"name": "separate", "task": "Separate", "inputs": [{"name": "audio", "from": "normalize"}]}
)
FROM_JOB = Phase.model_validate(
    {"name": "normalize", "task": "Normalize", "inputs": [{"name": "audio", "from": "Job"}]}
)
LISTED = PhaseInputFile(name="audio", manifest=REF, output="audio", recorded_sha256=SHA)
UNLISTED = PhaseInputFile(name="audio", manifest=REF, output="audio")
ABOUT = PhaseInputFile(name="audio", manifest=REF, output="audio", about=True)


def made(name: str, verified: bool | None) -> JobOutput:
    return JobOutput(phase="normalize", name=name, media_type="audio/wav", bytes=1, sha256=SHA, verified=verified)


def source(verified: bool | None) -> RecordedFiles:
    return RecordedFiles((), ResolvedSource(manifest=REF, output="audio", sha256=SHA, verified=verified))


@pytest.mark.parametrize(
    ("step", "file", "record", "known"),
    [
        pytest.param(STEP, LISTED, RecordedFiles((made("audio", True),)), True, id="read before"),
        pytest.param(STEP, LISTED, RecordedFiles((made("audio", None),)), False, id="never read"),
        pytest.param(
            STEP, LISTED, RecordedFiles((made("audio", None), made("b", True))), False, id="another output was read"
        ),
        pytest.param(STEP, UNLISTED, RecordedFiles((made("b", True),)), True, id="not listed, its manifest was read"),
        pytest.param(
            STEP, UNLISTED, RecordedFiles((made("b", None),)), False, id="not listed, its manifest was never read"
        ),
        pytest.param(STEP, ABOUT, RecordedFiles((made("b", True),)), True, id="tags of a manifest that was read"),
        pytest.param(
            STEP, ABOUT, RecordedFiles((made("audio", None),)), False, id="tags of a manifest that nobody read"
        ),
        pytest.param(FROM_JOB, LISTED, source(True), True, id="another job's output that was read there"),
        pytest.param(FROM_JOB, LISTED, source(None), False, id="another job's output that nobody read"),
        pytest.param(
            FROM_JOB, PhaseInputFile(name="audio", text="a"), RecordedFiles(()), True, id="what the job itself says"
        ),
    ],
)
def test_inputs_that_need_no_second_look(step: Phase, file: PhaseInputFile, record: RecordedFiles, known: bool) -> None:
    assert all_verified(step, [file], record) is known


def test_of_a_file_that_status_does_not_list_the_manifest_is_what_was_compared() -> None:
    assert is_confirmed([UNLISTED], [ReadInput(name="audio", sha256=OTHER)])
    assert not is_confirmed([UNLISTED], [])
    assert is_confirmed([ABOUT], [])
