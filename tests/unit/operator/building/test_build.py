"""Names, labels and Jobs."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.operator import goldens
from tests.unit.operator.builders import UID, World, audio_job, phase, phase_input_of, pipeline, with_settings

from audiojob_operator.building.names import child_name, event_name, label_value
from audiojob_operator.building.phase_input import report_interval
from audiojob_operator.building.quantity import quantity_bytes
from audiojob_operator.building.template import job_skeleton
from audiojob_operator.records.settings import Disruption
from audiojob_types.descriptor import ImageFamily

DNS_LABEL = re.compile(r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$")
LABEL_VALUE = re.compile(r"^([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]$")
JOB_NAMES = st.from_regex(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?", fullmatch=True)
PHASES = st.from_regex(r"[a-z]([-a-z0-9]{0,10}[a-z0-9])?", fullmatch=True)


@pytest.mark.parametrize("case", goldens.CASES)
def test_the_job_is_as_written_down(case: str) -> None:
    golden = goldens.FOLDER / f"{case}.yaml"
    assert goldens.readable(goldens.built(case)) == golden.read_text(), (
        "if the change is meant: python -m tests.unit.operator.goldens, and read the diff"
    )


@given(JOB_NAMES, PHASES, st.integers(1, 1_000))
def test_a_child_name_leaves_room_for_the_pods_suffix_and_is_a_dns_label(job: str, name: str, attempt: int) -> None:
    made = child_name(job, UID, name, attempt)
    assert len(made) <= 57
    assert DNS_LABEL.match(made)


@pytest.mark.parametrize("protected", [True, False])
def test_autoscalers_leave_the_node_of_an_attempt_alone_where_that_is_asked_for(protected: bool) -> None:
    world = World(settings=with_settings(disruption=Disruption(protect_running=protected)))
    world.turn()
    annotations = world.newest("first")["spec"]["template"]["metadata"]["annotations"]
    kept = {"karpenter.sh/do-not-disrupt": "true", "cluster-autoscaler.kubernetes.io/safe-to-evict": "false"}
    assert {name: text for name, text in annotations.items() if name in kept} == (kept if protected else {})


def test_row_18_a_phase_goes_only_where_its_own_image_runs() -> None:
    world = World(settings=with_settings(architectures={ImageFamily.RUNNER_TORCH: ("amd64",)}))
    world.turn()
    assert "affinity" not in world.newest("first")["spec"]["template"]["spec"], "its image is another one"
    other = World(settings=with_settings(architectures={ImageFamily.RUNNER: ("amd64",)}))
    other.turn()
    affinity = other.newest("first")["spec"]["template"]["spec"]["affinity"]["nodeAffinity"]
    assert affinity["requiredDuringSchedulingIgnoredDuringExecution"]["nodeSelectorTerms"] == [
        {"matchExpressions": [{"key": "kubernetes.io/arch", "operator": "In", "values": ["amd64"]}]}
    ]


def test_a_child_name_differs_by_uid_phase_and_attempt_and_is_otherwise_the_same() -> None:
    base = child_name("song", UID, "first", 1)
    assert base == child_name("song", UID, "first", 1)
    others = {child_name("song", "x", "first", 1), child_name("song", UID, "first", 2), child_name("song", UID, "b", 1)}
    assert len(others | {base}) == 4


def test_a_cut_job_name_does_not_end_in_a_dash() -> None:
    assert child_name(f"{'a' * 29}-{'b' * 20}", UID, "p", 1).startswith(f"{'a' * 29}-p-1-")


@given(st.text(max_size=300))
def test_any_text_becomes_a_label_value(text: str) -> None:
    made = label_value(text)
    assert len(made) <= 63
    assert text == "" or LABEL_VALUE.match(made)
    assert label_value(made) == made


@given(JOB_NAMES, st.text(max_size=63))
def test_an_event_name_is_an_object_name(job: str, reason: str) -> None:
    made = event_name(job, UID, reason, "p", 1)
    assert len(made) <= 253
    assert all(DNS_LABEL.match(part) for part in made.split("."))


@pytest.mark.parametrize(
    ("text", "size"),
    [("0", 0), ("512", 512), ("1k", 1_000), ("1Ki", 1_024), ("1.5Gi", 1_610_612_736), ("2G", 2 * 10**9), ("1500m", 2),
     ("1Ti", 2**40), ("1Pi", 2**50), ("1Ei", 2**60)],
)  # fmt: skip
def test_quantities(text: str, size: int) -> None:
    assert quantity_bytes(text) == size


@pytest.mark.parametrize("text", ["", "1 Gi", "-1", "1gi", "1K", "Gi", "1e3"])
def test_what_is_not_a_quantity_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not a quantity"):
        quantity_bytes(text)


@pytest.mark.parametrize(
    ("task", "allowed", "mounted"),
    [
        pytest.param("Download", True, True, id="a phase that fetches gets the administrator's cookies and proxy"),
        pytest.param("Inspect", True, True, id="so does one that only looks"),
        pytest.param("Normalize", True, False, id="no other phase does"),
        pytest.param("Download", False, False, id="nor does any where the administrator has none"),
    ],
)
def test_the_secret_for_fetching_goes_as_files_to_phases_that_fetch(task: str, allowed: bool, mounted: bool) -> None:
    world = World(
        audiojob=audio_job(source={"url": "https://example.com/a.mp3"}),
        pipeline=pipeline(phase("first", task=task)),
        settings=with_settings(fetch_secret=allowed),
    )
    world.turn()
    job = world.newest("first")
    pod = job["spec"]["template"]["spec"]
    volume = {"name": "fetch", "secret": {"secretName": "audiojob-fetch", "defaultMode": 0o440}}
    mount = {"name": "fetch", "mountPath": "/etc/audiojob/fetch", "readOnly": True}
    assert (volume in pod["volumes"], mount in pod["containers"][0]["volumeMounts"]) == (mounted, mounted)
    assert "audiojob-fetch" not in str(pod["containers"]) + str(job["spec"]["template"]["metadata"])


def test_the_skeleton_is_copied_not_shared() -> None:
    job_skeleton()["spec"]["template"]["spec"]["volumes"].clear()
    assert job_skeleton()["spec"]["template"]["spec"]["volumes"]


def spec_of(world: World, name: str = "only") -> dict[str, Any]:
    world.turn()
    spec: dict[str, Any] = world.newest(name)["spec"]["template"]["spec"]
    return spec


def test_the_hard_limit_is_the_pods_not_the_jobs() -> None:
    world = World(pipeline=pipeline(phase("only", hardLimitSeconds=77)))
    assert spec_of(world)["activeDeadlineSeconds"] == 77
    assert "activeDeadlineSeconds" not in world.newest("only")["spec"]


@pytest.mark.parametrize(
    ("least", "running", "expected"),
    [
        pytest.param(1_000, 0, 1_000, id="alone: the administrator's interval"),
        pytest.param(1_000, 100, 1_000, id="a hundred: still a second"),
        pytest.param(1_000, 500, 5_000, id="five hundred: five seconds"),
        pytest.param(1_000, 1_000, 10_000, id="a thousand: ten seconds"),
        pytest.param(1_000, 50_000, 10_000, id="any number: ten seconds, so that people see it move"),
        pytest.param(60_000, 1_000, 60_000, id="the administrator wants fewer"),
        pytest.param(0, 3, 30, id="the administrator wants all of them"),
    ],
)
def test_runners_report_less_often_the_more_of_them_there_are(least: int, running: int, expected: int) -> None:
    assert report_interval(least, running) == expected


def test_a_runner_is_told_how_often_it_may_report() -> None:
    world = World(pipeline=pipeline(phase("only")), running=700)
    world.turn()
    assert phase_input_of(world.newest("only")).progress.min_interval_milliseconds == 7_000


def test_how_long_a_pod_stays_on_a_lost_node_and_takes_to_end_are_settings() -> None:
    times = Disruption(node_lost_seconds=7, grace_seconds=11)
    template = {"cpu": {"tolerations": [{"key": "spot", "operator": "Exists"}]}}
    world = World(pipeline=pipeline(phase("only"), templates=template), settings=with_settings(disruption=times))
    spec = spec_of(world)
    assert spec["terminationGracePeriodSeconds"] == 11
    assert [(each["key"], each.get("tolerationSeconds")) for each in spec["tolerations"]] == [
        ("node.kubernetes.io/not-ready", 7),
        ("node.kubernetes.io/unreachable", 7),
        ("spot", None),
    ]


def test_a_pod_sees_only_its_own_phases_folder_unless_its_input_was_uploaded() -> None:
    source = [{"name": "source", "from": "Job"}]
    world = World(
        audiojob=audio_job(source={"object": {"key": "a/b.wav"}}),
        pipeline=pipeline(phase("only", inputs=source), phase("next")),
    )
    mounts = [each for each in spec_of(world)["containers"][0]["volumeMounts"] if each["name"] == "store"]
    assert [(each["subPath"], each.get("readOnly", False)) for each in mounts] == [
        (f"music/{UID}/only", False),
        ("music/uploads", True),
    ]
    assert phase_input_of(world.newest("only")).inputs[0].key == "music/uploads/a/b.wav"
    world.succeed("only")
    world.turn()
    later = world.newest("next")["spec"]["template"]["spec"]["containers"][0]["volumeMounts"]
    assert [each["subPath"] for each in later if each["name"] == "store"] == [f"music/{UID}/next"]


def test_models_are_mounted_for_torch_tasks_only_and_only_where_there_are_any() -> None:
    with_models = goldens.built("separate-on-gpu-with-models")["spec"]["template"]["spec"]
    assert "models" in {each["name"] for each in with_models["volumes"]}
    assert "models" not in {each["name"] for each in spec_of(World(pipeline=pipeline(phase("only"))))["volumes"]}


def test_no_secret_and_no_object_of_the_cluster_is_in_the_environment() -> None:
    container = goldens.built("second-attempt-on-s3")["spec"]["template"]["spec"]["containers"][0]
    assert "envFrom" not in container
    assert all("secretKeyRef" not in str(each) for each in container["env"])
