"""Container phases: a pod in which the administrator's program shares a folder with ours and nothing else."""

from __future__ import annotations

from typing import Any

import pytest
from tests.unit.operator import goldens
from tests.unit.operator.builders import UID, World, audio_job, phase, phase_input_of, pipeline, with_settings
from tests.unit.operator.goldens import speak_job, speak_pipeline

from audiojob_operator.building.program import program_of
from audiojob_operator.records.libraries import Library
from audiojob_operator.records.observed import Retried
from audiojob_operator.records.settings import Revision
from audiojob_types.resources.job import State
from audiojob_types.resources.pipeline import Phase

CASES = ("program-of-the-administrator", "program-on-gpu-and-s3")


def pod_of(case: str) -> dict[str, Any]:
    spec: dict[str, Any] = goldens.built(case)["spec"]["template"]["spec"]
    return spec


def containers(pod: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {each["name"]: each for each in [*pod["initContainers"], *pod["containers"]]}


def volumes_of(container: dict[str, Any]) -> set[str]:
    return {mount["name"] for mount in container["volumeMounts"]}


@pytest.mark.parametrize("case", CASES)
def test_the_program_runs_between_fetch_and_publish_with_a_sidecar_beside_it(case: str) -> None:
    pod = pod_of(case)
    assert [each["name"] for each in pod["initContainers"]] == ["fetch", "report", "program"]
    assert [each.get("restartPolicy") for each in pod["initContainers"]] == [None, "Always", None]
    assert [each["name"] for each in pod["containers"]] == ["runner"]
    images = {name: each["image"] for name, each in containers(pod).items()}
    assert images.pop("program").startswith("docker.io/example/speak@sha256:")
    assert set(images.values()) == {"docker.io/audiojob/runner:1"}


@pytest.mark.parametrize("case", CASES)
def test_the_program_has_its_folder_and_no_token_no_store_no_secret(case: str) -> None:
    pod = pod_of(case)
    program = containers(pod)["program"]
    assert volumes_of(program) == {"work"}
    assert {mount["mountPath"]: mount.get("readOnly", False) for mount in program["volumeMounts"]} == {
        "/work": False,
        "/work/inputs": True,
    }
    assert pod["automountServiceAccountToken"] is False
    assert "envFrom" not in program
    assert all(set(variable) == {"name", "value"} for variable in program["env"])


@pytest.mark.parametrize("case", CASES)
def test_no_container_has_both_the_token_and_the_store(case: str) -> None:
    volumes = {name: volumes_of(each) for name, each in containers(pod_of(case)).items()}
    assert {name for name, mounted in volumes.items() if "token" in mounted} == {"report"}
    assert {name for name, mounted in volumes.items() if "store" in mounted} == {"fetch", "runner"}


@pytest.mark.parametrize("case", CASES)
def test_what_ours_read_of_the_program_is_read_only_and_what_they_tell_each_other_is_hidden_from_it(case: str) -> None:
    by_name = containers(pod_of(case))

    def paths(name: str, sub_path: str) -> list[tuple[str, bool]]:
        mounts = by_name[name]["volumeMounts"]
        return [(each["mountPath"], each.get("readOnly", False)) for each in mounts if each.get("subPath") == sub_path]

    assert paths("runner", "work") == paths("report", "work") == [("/work", True)]
    assert paths("report", "control") == [("/run/audiojob", True)]
    assert paths("runner", "control") == [("/run/audiojob", False)]
    assert paths("program", "control") == []


@pytest.mark.parametrize("case", CASES)
def test_every_container_is_as_restricted_as_our_own_and_bounded(case: str) -> None:
    pod = pod_of(case)
    for container in containers(pod).values():
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert {"memory", "ephemeral-storage"} <= container["resources"]["limits"].keys()
    assert pod["securityContext"]["runAsNonRoot"] is True


def test_only_the_program_asks_for_the_gpu() -> None:
    asks = {
        name: each["resources"]["limits"].get("amd.com/gpu")
        for name, each in containers(pod_of("program-on-gpu-and-s3")).items()
    }
    assert asks == {"fetch": None, "report": None, "program": "2", "runner": None}


def test_without_command_and_arguments_the_images_own_hold() -> None:
    program = containers(pod_of("program-on-gpu-and-s3"))["program"]
    assert not {"command", "args"} & program.keys()


def test_the_administrators_variables_win_but_for_the_one_that_hides_gpus() -> None:
    variables = [{"name": "HOME", "value": "/tmp"}, {"name": "NVIDIA_VISIBLE_DEVICES", "value": "all"}]
    world = World(audiojob=speak_job(), pipeline=speak_pipeline(env=variables))
    world.turn()
    pod = world.newest("speak")["spec"]["template"]["spec"]
    given = {each["name"]: each["value"] for each in containers(pod)["program"]["env"]}
    assert (given["HOME"], given["NVIDIA_VISIBLE_DEVICES"]) == ("/tmp", "void")


def test_other_pods_have_one_container_and_no_folder_for_programs() -> None:
    pod = pod_of("download-from-url")
    assert "initContainers" not in pod
    assert "work" not in {each["name"] for each in pod["volumes"]}


PROGRAM = {"name": "a", "task": "Container", "image": "x:1", "command": ["run"], "args": ["1"]}
CHANGES: dict[str, dict[str, Any]] = {
    "another image": {"image": "x:2"},
    "another command": {"command": ["walk"]},
    "another argument": {"args": ["2"]},
    "an argument moved to the command": {"command": ["run", "1"], "args": []},
    "a variable": {"env": [{"name": "A", "value": "1"}]},
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
def test_a_program_is_another_one_after(change: dict[str, Any]) -> None:
    before, after = (program_of(Phase.model_validate(each)) for each in (PROGRAM, PROGRAM | change))
    assert before is not None
    assert after is not None
    assert before.sha256 != after.sha256


def test_a_program_is_the_same_whatever_it_is_given_and_however_it_is_bounded() -> None:
    other = PROGRAM | {"name": "b", "hardLimitSeconds": 5, "parameters": {"container": {"values": {"a": "b"}}}}
    assert program_of(Phase.model_validate(PROGRAM)) == program_of(Phase.model_validate(other))


# ---------------------------------------------------------------- values and what a job may say


def test_the_values_are_the_pipelines_overridden_by_the_jobs() -> None:
    given = phase_input_of(goldens.built("program-of-the-administrator"))
    assert given.parameters == {"values": {"voice": "de", "speed": "160"}}


def test_each_program_of_a_pipeline_gets_its_own_values_only() -> None:
    def program(name: str, **values: str) -> dict[str, Any]:
        return phase(name, "Container", image="x:1", parameters={"container": {"values": values}})

    world = World(
        audiojob=audio_job(parameters={"container": {"values": {"voice": "de", "rate": "2"}}}),
        pipeline=pipeline(program("one", voice="en"), program("two", rate="1", both="x")),
    )
    world.turn()
    assert phase_input_of(world.newest("one")).parameters == {"values": {"voice": "de"}}
    world.succeed("one")
    world.turn()
    assert phase_input_of(world.newest("two")).parameters == {"values": {"rate": "2", "both": "x"}}


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "a value that no phase knows": (
        {"parameters": {"container": {"values": {"voise": "de"}}}},
        "it knows speed, voice",
    ),
    "an image": ({"parameters": {"container": {"image": "evil"}}}, "parameters.container.image"),
    "a command": ({"parameters": {"container": {"command": ["sh"]}}}, "parameters.container.command"),
    "an input that no phase asks for": (
        {"inputs": [{"name": "script", "text": "a"}, {"name": "lyrics", "text": "b"}]},
        "it takes script",
    ),
    "no input where one is needed": ({"inputs": []}, "needs an input script"),
    "a text of more bytes than characters": (
        {"inputs": [{"name": "script", "text": "ü" * 20_000}]},
        "upload longer ones",
    ),
    "an upload outside the uploads": (
        {"inputs": [{"name": "script", "object": {"key": "a/../../b"}}]},
        "without '..'",
    ),
}


@pytest.mark.parametrize(("spec", "words"), REFUSED.values(), ids=REFUSED.keys())
def test_refused_before_any_pod_is_made(spec: dict[str, Any], words: str) -> None:
    given = {"inputs": [{"name": "script", "text": "Good evening."}], **spec}
    world = World(audiojob=audio_job(pipeline="speak", **given), pipeline=speak_pipeline())
    world.turn()
    assert world.state() is State.FAILED
    assert world.status["error"]["reason"] == "InvalidSpec"
    assert words in world.status["error"]["message"]
    assert world.created_jobs == []


def test_a_pipeline_without_an_image_ends_the_job_before_any_pod_is_made() -> None:
    world = World(audiojob=speak_job(), pipeline=speak_pipeline(image=None))
    world.turn()
    assert "needs an image" in world.status["error"]["message"]
    assert world.created_jobs == []


def test_an_address_is_refused_since_programs_fetch_nothing() -> None:
    binding = [{"name": "song", "from": "Job"}]
    world = World(
        audiojob=audio_job(source={"url": "https://example.org/a.mp3"}),
        pipeline=pipeline(phase("only", "Container", image="x:1", inputs=binding)),
    )
    world.turn()
    assert "downloads first" in world.status["error"]["message"]


def test_an_uploaded_input_is_seen_by_ours_read_only_and_never_by_the_program() -> None:
    job = audio_job(pipeline="speak", inputs=[{"name": "script", "object": {"key": "scripts/one.txt"}}])
    world = World(audiojob=job, pipeline=speak_pipeline())
    world.turn()
    newest = world.newest("speak")
    assert phase_input_of(newest).inputs[0].key == "music/uploads/scripts/one.txt"
    by_name = containers(newest["spec"]["template"]["spec"])
    assert [each["subPath"] for each in by_name["runner"]["volumeMounts"] if each["name"] == "store"] == [
        f"music/{UID}/speak"
    ]
    uploads = [each for each in by_name["fetch"]["volumeMounts"] if each.get("subPath") == "music/uploads"]
    assert [each["readOnly"] for each in uploads] == [True]
    assert "store" not in volumes_of(by_name["program"])


def test_a_library_is_seen_by_fetch_alone_and_read_only() -> None:
    world = World(
        audiojob=audio_job(source={"library": {"name": "nas", "path": "Band/Song.flac"}}),
        pipeline=pipeline(phase("only", "Container", image="x:1", inputs=[{"name": "song", "from": "Job"}])),
        settings=with_settings(libraries=(Library("nas", claim_name="nas-music"),)),
    )
    world.turn()
    by_name = containers(world.newest("only")["spec"]["template"]["spec"])
    seen = {
        name: [mount.get("readOnly") for mount in each["volumeMounts"] if mount["name"] == "library-nas"]
        for name, each in by_name.items()
    }
    assert seen == {"fetch": [True], "report": [], "program": [], "runner": []}


def test_an_optional_input_may_be_absent_and_a_text_may_be_empty() -> None:
    bindings = [
        {"name": "script", "from": "Job", "output": "script"},
        {"name": "lexicon", "from": "Job", "output": "lexicon", "optional": True},
    ]
    job = audio_job(pipeline="speak", inputs=[{"name": "script", "text": ""}])
    world = World(audiojob=job, pipeline=speak_pipeline(inputs=bindings))
    world.turn()
    assert [(each.name, each.text) for each in phase_input_of(world.newest("speak")).inputs] == [("script", "")]


def test_any_task_may_have_a_text_for_an_input() -> None:
    world = World(
        audiojob=audio_job(inputs=[{"name": "lyrics", "text": "la"}]),
        pipeline=pipeline(phase("only", inputs=[{"name": "words", "from": "Job", "output": "lyrics"}])),
    )
    world.turn()
    assert [(each.name, each.text) for each in phase_input_of(world.newest("only")).inputs] == [("words", "la")]


# ---------------------------------------------------------------- how it goes


def running(**phase_fields: Any) -> World:
    world = World(audiojob=speak_job(), pipeline=speak_pipeline(**phase_fields))
    world.turn()
    world.program("speak")
    world.turn()
    return world


def test_a_program_that_works_for_long_is_no_pod_that_cannot_start() -> None:
    world = running()
    world.pass_time(3_000)
    world.turn()
    record = world.phase("speak")
    assert (record.state, record.attempt, record.reason) == ("Running", 1, None)


def test_a_program_that_fails_is_tried_again_and_its_last_words_are_shown() -> None:
    world = running()
    world.program("speak", 3, "reading\nscript.txt: no such voice: xx\n")
    world.turn()
    record = world.phase("speak")
    assert (record.reason, record.failures) == ("ProgramFailed", 1)
    assert record.message == "The program ended with exit code 3: reading script.txt: no such voice: xx"


def test_a_code_of_the_contract_means_something_only_where_the_pipeline_says_so() -> None:
    plain, by_contract = running(), running(exitCodes="Contract")
    for world in (plain, by_contract):
        world.program("speak", 65, "not a script")
        world.turn()
    assert (plain.phase("speak").state, plain.phase("speak").reason) == ("Waiting", "ProgramFailed")
    assert (by_contract.phase("speak").state, by_contract.phase("speak").reason) == ("Failed", "NotMedia")
    assert by_contract.state() is State.FAILED


def test_a_program_that_stands_still_is_taken_away_and_tried_again() -> None:
    world = running()
    first = world.newest("speak")["metadata"]["name"]
    world.watched("speak", "Stalled")
    world.turn()
    record = world.phase("speak")
    assert (record.reason, record.message, record.failures) == ("Stalled", "It stands still.", 1)
    assert first not in world.jobs, "only the Job's deletion ends the program"
    world.pass_time(30)
    world.turn()
    assert world.phase("speak").attempt == 2


def test_the_phase_succeeds_by_what_publish_says() -> None:
    world = running()
    world.program("speak", 0)
    world.turn()
    assert world.phase("speak").state == "Running"
    world.succeed("speak", "speech")
    world.turn()
    assert world.state() is State.SUCCEEDED
    assert [output["name"] for output in world.status["outputs"]] == ["speech"]


def retry_of(first: World, **phase_fields: Any) -> World:
    """A job that does again what ``first`` did not finish; the pipeline may have changed since."""
    revision = first.observed().revision
    assert isinstance(revision, Revision)
    retried = Retried(job=first.job, spec=revision.spec)
    again = audio_job("again", pipeline="speak", inputs=first.audiojob["spec"]["inputs"],
                      parameters=first.audiojob["spec"]["parameters"], retryOf="song", uid="u-2")  # fmt: skip
    world = World(audiojob=again, pipeline=two_programs(**phase_fields), retried=retried)
    world.turn()
    return world


def two_programs(**changes: Any) -> dict[str, Any]:
    speak = speak_pipeline(**changes)
    speak["spec"]["phases"].append(phase("second", "Container", image="x:1"))
    return speak


@pytest.mark.parametrize(
    ("changes", "starts"),
    [
        pytest.param({}, "second", id="nothing: the first program's work is kept"),
        pytest.param({"image": "docker.io/example/speak:2"}, "speak", id="the image: it is run again"),
        pytest.param({"args": ["--fast"]}, "speak", id="the arguments: it is run again"),
    ],
)
def test_what_a_retry_does_again_after_the_pipeline_changed(changes: dict[str, Any], starts: str) -> None:
    first = World(audiojob=speak_job(retry={"limit": 1}), pipeline=two_programs())
    first.turn()
    first.succeed("speak", "speech")
    first.turn()
    first.program("second", 1, "It broke.")
    first.turn()
    assert first.state() is State.FAILED
    again = retry_of(first, **changes)
    assert [name for name in again.created_jobs if f"-{starts}-" in name] == again.created_jobs
    assert again.created_jobs
