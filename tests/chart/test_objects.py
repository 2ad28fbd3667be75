"""What the chart renders: names, settings, rights and pods."""

from __future__ import annotations

import json
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.chart.helm import CHART, Helm, Object, ci_values, find, merged, of_kind, settings_file

from audiojob_api.access.config import Burst, load_access
from audiojob_api.settings import ApiSettings
from audiojob_operator.operator_policy import policies as operator_policies
from audiojob_operator.records.sites import SiteLimit, SiteRules
from audiojob_operator.settings import OperatorSettings
from audiojob_operator.settings_loading import SETTINGS_FILE, load_settings
from audiojob_runner.cli import _parser as cli_parser
from audiojob_runner.sweep.command import parse_store
from audiojob_types import constants as c
from audiojob_types.contract import FolderStore, S3Store
from audiojob_types.descriptor import Output
from audiojob_types.generate import address_policy as addresspolicy
from audiojob_types.generate import deletion_policy as deletionpolicy
from audiojob_types.generate import metadata_policy as metadatapolicy
from audiojob_types.generate import reference_policy as referencepolicy
from audiojob_types.generate import runner_policy as policy
from audiojob_types.generate import status_policy as statuspolicy
from audiojob_types.generate.admission_policy import bind
from audiojob_types.generate.children_policy import policies as children_policies
from audiojob_types.generate.crd import CRDS, header, to_yaml
from audiojob_types.resources.pipeline import AudioPipelineSpec

pytestmark = pytest.mark.chart

MINIMAL = ci_values()["minimal-values.yaml"]
EVERYTHING = ci_values()["s3-values.yaml"]


def environment(objects: list[Object], name: str) -> dict[str, str]:
    """Variables of a Deployment's container, fields of the pod replaced by their path."""
    container = find(objects, "Deployment", name)["spec"]["template"]["spec"]["containers"][0]
    return {
        entry["name"]: entry["value"] if "value" in entry else entry["valueFrom"]["fieldRef"]["fieldPath"]
        for entry in container["env"]
    }


def operator_settings(
    objects: list[Object], name: str, folder: Path, clean_environment: pytest.MonkeyPatch
) -> OperatorSettings:
    """What the operator reads in its pod."""
    file = folder / "settings.json"
    file.write_text(settings_file(objects, name), encoding="utf-8")
    for variable, value in environment(objects, name).items():
        clean_environment.setenv(variable, value)
    clean_environment.setenv(SETTINGS_FILE, str(file))
    return load_settings()


@pytest.fixture
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """No settings from the machine that runs the tests."""
    import os

    for name in list(os.environ):
        if name.startswith("AUDIOJOB_"):
            monkeypatch.delenv(name)
    return monkeypatch


def test_the_operator_understands_its_settings(
    helm: Helm, clean_environment: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    settings = operator_settings(helm.render(EVERYTHING), "sound-operator", tmp_path, clean_environment)

    assert settings.job_namespaces == ("music-a", "music-b")
    assert settings.images.runner == "registry.example.org/audiojob/runner:7"
    digest = EVERYTHING["images"]["runnerTorch"]["digest"]
    assert settings.images.runner_torch == f"registry.example.org/audiojob/runner-torch@{digest}"
    assert settings.images.pull_policy == "Always"
    assert settings.store == S3Store(
        bucket="music", prefix="audiojob", endpoint="http://minio:9000", region="eu-central-1", allow_http=True
    )
    assert [(library.name, library.claim_name, library.prefix) for library in settings.libraries] == [
        ("nas", "nas-music", None),
        ("results", None, "library/results"),
    ]
    assert settings.models_claim is True
    assert settings.fetch.allowed_cidrs == ("10.20.0.0/16", "fd00:1::/32")
    assert settings.site_rules() == SiteRules((SiteLimit("youtube.com", 2, 5), SiteLimit("example.org", 1)), 8)
    assert (settings.reuse.enabled, settings.reuse.download_seconds) == (False, 3600)
    assert settings.capacity.max_running == 100
    assert (settings.lease.namespace, settings.lease.name) == ("audiojob-system", "sound-operator")
    assert settings.lease.identity == "metadata.uid"
    assert settings.log_level == "DEBUG"


def test_the_operator_understands_the_default_settings(
    helm: Helm, clean_environment: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    settings = operator_settings(helm.render(MINIMAL), "audiojob-operator", tmp_path, clean_environment)
    assert settings.store == FolderStore()
    assert settings.images.runner == "audiojob/runner:0.1.0"
    assert settings.models_claim is False
    assert settings.fetch.allowed_cidrs == ()
    assert settings.site_rules() == SiteRules()
    assert (settings.reuse.enabled, settings.reuse.download_seconds) == (True, 86_400)


@pytest.mark.parametrize(
    ("values", "served"),
    [(MINIMAL, ("audiojob-demo",)), (EVERYTHING, ("music-b", "music-a"))],
    ids=["the first job namespace by default", "the namespaces that are named"],
)
def test_the_api_understands_its_settings(
    helm: Helm, clean_environment: pytest.MonkeyPatch, tmp_path: Path, values: Object, served: tuple[str, ...]
) -> None:
    name = "sound-api" if values is EVERYTHING else "audiojob-api"
    objects = helm.render(values)
    for variable, value in environment(objects, name).items():
        clean_environment.setenv(variable, value)
    assert ApiSettings().served == served
    file = tmp_path / "access.json"
    file.write_text(find(objects, "ConfigMap", f"{name}-access")["data"][file.name], encoding="utf-8")
    access = load_access(file, served)
    assert [rule.namespace for rule in access.rules] == ([] if values is MINIMAL else ["music-a", "music-b"])
    assert access.limits.burst == Burst(requests=300, seconds=10)
    assert list(access.limits.tiers) == ([] if values is MINIMAL else ["free", "paid"])
    assert access.ca_file == (None if values is MINIMAL else "/etc/audiojob/ca/ca.crt")
    for kind in ("Role", "RoleBinding"):
        ours = [each["metadata"] for each in of_kind(objects, kind) if each["metadata"]["name"] == name]
        assert {metadata["namespace"] for metadata in ours} == set(served)


@pytest.mark.parametrize("part", ["operator", "api"])
def test_every_variable_is_a_setting(helm: Helm, part: str) -> None:
    model: Any = OperatorSettings if part == "operator" else ApiSettings
    for variable in environment(helm.render(EVERYTHING), f"sound-{part}").keys() - {SETTINGS_FILE}:
        fields = model.model_fields
        for step in variable.removeprefix("AUDIOJOB_").lower().split("__"):
            assert step in fields, f"{variable} is no setting of the {part}"
            fields = getattr(fields[step].annotation, "model_fields", {})


@pytest.mark.parametrize(("part", "default"), [("operator", 8080), ("api", 8081)])
def test_ports_are_those_that_the_processes_listen_on(helm: Helm, part: str, default: int) -> None:
    port = (
        OperatorSettings.model_fields["listen_port"] if part == "operator" else ApiSettings.model_fields["port"]
    ).default
    deployment = find(helm.render(MINIMAL), "Deployment", f"audiojob-{part}")
    ports = deployment["spec"]["template"]["spec"]["containers"][0]["ports"]
    assert [entry["containerPort"] for entry in ports] == [port] == [default]


def test_each_job_namespace_gets_the_objects_that_the_operator_looks_for(helm: Helm) -> None:
    values = {"jobNamespaces": ["a", "b"], "models": {"enabled": True}}
    objects = helm.render(values)
    for namespace in ("a", "b"):
        find(objects, "ServiceAccount", c.RUNNER_SERVICE_ACCOUNT, namespace)
        for claim in (c.STORE_CLAIM, c.MODELS_CLAIM):
            found = find(objects, "PersistentVolumeClaim", claim, namespace)
            assert found["metadata"]["annotations"]["helm.sh/resource-policy"] == "keep"
            assert "storageClassName" not in found["spec"], "an empty class would turn the default class off"
    assert of_kind(objects, "Namespace", "Secret") == []


def test_one_user_cannot_take_all_slots_unless_the_administrator_says_so(helm: Helm) -> None:
    def limits(**queue: Any) -> list[Any]:
        objects = helm.render(merged(MINIMAL, {"defaultQueue": queue}))
        return [each["spec"].get("maxRunningPerUser") for each in of_kind(objects, "AudioQueue")]

    assert set(limits()) == {5}
    assert set(limits(maxRunningPerUser=20)) == {20}
    assert set(limits(maxRunningPerUser=None)) == {None}


def test_a_quota_counts_the_audiojobs_of_each_namespace(helm: Helm) -> None:
    values = {"jobNamespaces": ["a", "b"]}
    assert of_kind(helm.render(values), "ResourceQuota") == []
    quotas = of_kind(helm.render({**values, "quota": {"audioJobs": 2_000}}), "ResourceQuota")
    assert [each["metadata"]["namespace"] for each in quotas] == ["a", "b"]
    assert {json.dumps(each["spec"]["hard"]) for each in quotas} == {'{"count/audiojobs.audiojobs.dev": "2000"}'}


def test_an_s3_store_needs_no_claim(helm: Helm) -> None:
    names = {claim["metadata"]["name"] for claim in of_kind(helm.render(EVERYTHING), "PersistentVolumeClaim")}
    assert names == {c.MODELS_CLAIM}


def test_the_policy_and_the_crds_are_the_generated_ones(helm: Helm) -> None:
    # Those for the operator need values: policy/test_operator_policy.py.
    own = {policy["metadata"]["name"] for policy in [*operator_policies(), *children_policies(), statuspolicy.policy()]}
    objects = [each for each in helm.render(MINIMAL) if each["metadata"]["name"] not in own]
    assert len(of_kind(helm.render(MINIMAL), "ValidatingAdmissionPolicyBinding")) == 5 + len(own)
    assert of_kind(objects, "ValidatingAdmissionPolicy") == [
        addresspolicy.policy([]),
        deletionpolicy.policy(),
        metadatapolicy.policy(),
        referencepolicy.policy(),
        policy.policy(),
    ]
    assert of_kind(objects, "ValidatingAdmissionPolicyBinding") == [
        bind(addresspolicy.NAME),
        bind(deletionpolicy.NAME),
        bind(metadatapolicy.NAME),
        bind(referencepolicy.NAME),
        bind(policy.NAME),
    ]
    without = helm.render(merged(MINIMAL, {"admissionPolicies": {"enabled": False}}))
    assert of_kind(without, "ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding") == []
    for name, build in CRDS.items():
        assert (CHART / "crds" / name).read_text(encoding="utf-8") == header() + to_yaml(build())


def test_the_policy_for_addresses_has_the_networks_of_the_values(helm: Helm) -> None:
    policies = of_kind(helm.render(EVERYTHING), "ValidatingAdmissionPolicy")
    assert addresspolicy.policy(["10.20.0.0/16", "fd00:1::/32"]) in policies


UNTIL_WORDS = ("Download", "Normalize", "Lyrics")
SIX_PARTS = ("Transcribe",) * 6
SCORES = ("sheet-music", "sheet-music-with-words", "transcribe")
SPEAKING = {"images": {"speak": "registry.example.org/speak:1"}}


def test_the_built_in_pipelines_fit_the_model(helm: Helm) -> None:
    pipelines = of_kind(helm.render(merged(EVERYTHING, SPEAKING)), "AudioPipeline")
    parsed = {
        pipeline["metadata"]["name"]: AudioPipelineSpec.model_validate(pipeline["spec"]) for pipeline in pipelines
    }
    assert {name: [phase.task.value for phase in spec.phases] for name, spec in parsed.items()} == {
        "separate": ["Download", "Normalize", "Separate", "Publish"],
        "download": ["Download", "Publish"],
        "inspect": ["Inspect"],
        "publish": ["Publish"],
        "transcode": ["Download", "Transcode", "Publish"],
        "thumbnail": ["Download", "Thumbnail"],
        "karaoke": [*UNTIL_WORDS, "Separate", "Align", "Render", "Publish"],
        "karaoke-reviewed": [*UNTIL_WORDS, "Separate", "Align", "Lyrics", "Render", "Publish"],
        "karaoke-from-stems": [*UNTIL_WORDS, "Align", "Render", "Publish"],
        "sheet-music": ["Download", "Normalize", "Separate", *SIX_PARTS, "Engrave", "Publish"],
        "sheet-music-with-words": [*UNTIL_WORDS, "Separate", *SIX_PARTS, "Align", "Engrave", "Publish"],
        "transcribe": ["Download", "Normalize", "Transcribe", "Engrave", "Publish"],
        "video": ["Container", "Compose", "Publish"],
    }
    assert [name for name, spec in parsed.items() if any(phase.gate for phase in spec.phases)] == ["karaoke-reviewed"]
    separate = parsed["separate"].phases[2]
    assert (separate.device, separate.resources.memory) == ("GPU", "16Gi")
    assert parsed["separate"].templates.gpu is not None
    devices = {phase.device for spec in parsed.values() for phase in spec.phases if phase.task.value == "Separate"}
    assert devices == {
        "GPU"
    }  # the administrator's for all, so Auto leads each to the CPU where a GPU has too little memory
    for spec in parsed.values():
        for phase in spec.phases:
            assert all(binding.output for binding in phase.inputs if binding.from_ != "Job")


def test_the_built_in_pipelines_fit_their_tasks(helm: Helm) -> None:
    asking = {"fetch": {"lyricsAddress": "https://lyrics.example.org"}}
    for pipeline in of_kind(helm.render(merged(merged(EVERYTHING, SPEAKING), asking)), "AudioPipeline"):
        made: dict[str, tuple[Output, ...]] = {}
        for phase in AudioPipelineSpec.model_validate(pipeline["spec"]).phases:
            task = phase.task.descriptor
            where = f"{pipeline['metadata']['name']}/{phase.name}"
            bound = {binding.name for binding in phase.inputs}
            assert all(given.optional or given.name in {*bound, "*"} for given in task.inputs), where
            assert bound <= {given.name for given in task.inputs} or task.inputs[-1].name == "*", where
            for binding in phase.inputs:
                names = [output.name for output in made.get(binding.from_, ())]
                given = any(fnmatchcase(binding.output or "", name) for name in names)
                assert binding.from_ == "Job" or given, f"{where}: {binding.name}"
            assert phase.device == "CPU" or task.uses_gpu, where
            made[phase.name] = task.outputs


def test_the_longest_recording_for_scores_is_the_administrators_to_say(helm: Helm) -> None:
    for values, seconds in ((MINIMAL, 900), (merged(MINIMAL, {"pipelines": {"sheetMusicMaxSeconds": 60}}), 60)):
        for pipeline in of_kind(helm.render(values), "AudioPipeline"):
            phases = AudioPipelineSpec.model_validate(pipeline["spec"]).phases
            limited = {phase.task.value for phase in phases if phase.max_duration_seconds == seconds}
            ours = pipeline["metadata"]["name"] in SCORES
            assert limited == ({"Download", "Normalize"} if ours else set())


def test_sheet_music_says_how_far_it_is_by_stages(helm: Helm) -> None:
    [found] = [
        each for each in of_kind(helm.render(MINIMAL), "AudioPipeline") if each["metadata"]["name"] == "sheet-music"
    ]
    phases = [phase for phase in AudioPipelineSpec.model_validate(found["spec"]).phases if phase.name != "publish"]
    total = sum(phase.weight for phase in phases)
    until = {
        name: sum(phase.weight for phase in phases[:at]) * 100 / total
        for at, name in enumerate(each.name for each in phases)
    }
    assert (until["separate"], until["vocals"], until["engrave"]) == (20, 50, 90)
    assert all(phase.after == ("separate",) for phase in phases if phase.task.value == "Transcribe")


# ---------------------------------------------------------------- the sweeper


def sweeping(objects: list[Object], namespace: str) -> Object:
    """The pod of a namespace's CronJob."""
    job = find(objects, "CronJob", "audiojob-sweep", namespace)["spec"]["jobTemplate"]["spec"]
    pod: Object = job["template"]["spec"]
    return pod


def test_the_sweeper_understands_its_command_and_sees_no_library(helm: Helm) -> None:
    objects = helm.render(EVERYTHING)
    for namespace in ("music-a", "music-b"):
        container = sweeping(objects, namespace)["containers"][0]
        options = cli_parser().parse_args(container["command"][3:] + container["args"])
        assert (options.namespace, options.max_percent, options.dry_run) == (namespace, 50, True)
        assert parse_store(options.store) == S3Store(
            bucket="music", prefix="audiojob", endpoint="http://minio:9000", region="eu-central-1", allow_http=True
        )
    pod = sweeping(helm.render(MINIMAL), "audiojob-demo")
    mounts = {mount["mountPath"]: mount.get("subPath") for mount in pod["containers"][0]["volumeMounts"]}
    assert mounts == {"/tmp": None, "/store/audiojob-demo": "audiojob-demo"}
    assert pod["serviceAccountName"] == "audiojob-sweeper"


def test_retention_reaches_every_pipeline(helm: Helm) -> None:
    values = merged(MINIMAL, {"pipelines": {"retentionSeconds": 86_400}})
    for objects, expected in ((helm.render(values), 86_400), (helm.render(MINIMAL), None)):
        assert {each["spec"].get("retentionSeconds") for each in of_kind(objects, "AudioPipeline")} == {expected}


def test_the_retention_of_intermediate_files_reaches_the_pipeline_that_has_some(helm: Helm) -> None:
    values = merged(MINIMAL, {"pipelines": {"intermediateRetentionSeconds": 86_400}})
    normalizing = ("separate", "karaoke", "karaoke-reviewed", "karaoke-from-stems", *SCORES)
    for objects, expected in ((helm.render(values), dict.fromkeys(normalizing, 86_400)), (helm.render(MINIMAL), {})):
        pipelines = of_kind(objects, "AudioPipeline")
        found = {each["metadata"]["name"]: each["spec"].get("intermediateRetentionSeconds") for each in pipelines}
        assert {name: seconds for name, seconds in found.items() if seconds} == expected


# ---------------------------------------------------------------- pods and labels


def test_deployments_select_their_own_pods_only(helm: Helm) -> None:
    objects = helm.render(EVERYTHING)
    deployments = of_kind(objects, "Deployment")
    selectors = [
        json.dumps(deployment["spec"]["selector"]["matchLabels"], sort_keys=True) for deployment in deployments
    ]
    assert len(set(selectors)) == len(deployments) == 2
    for selected in [*deployments, find(objects, "Service", "sound-api")]:
        selector = selected["spec"]["selector"]
        labels = find(deployments, "Deployment", selected["metadata"]["name"])["spec"]["template"]["metadata"]["labels"]
        wanted = selector.get("matchLabels", selector)
        assert wanted.items() <= labels.items()
        assert "helm.sh/chart" not in wanted, "it changes with each version, and selectors are immutable"


def test_common_labels_are_on_every_object_that_is_not_generated(helm: Helm) -> None:
    for rendered in helm.render(EVERYTHING):
        if not rendered["kind"].startswith("ValidatingAdmissionPolicy"):
            assert rendered["metadata"]["labels"]["team"] == "audio", rendered["metadata"]["name"]


def test_no_tokens_but_for_processes_that_need_one(helm: Helm) -> None:
    for account in of_kind(helm.render(EVERYTHING), "ServiceAccount"):
        assert account["automountServiceAccountToken"] is False


def test_pull_secrets_reach_every_account(helm: Helm) -> None:
    for account in of_kind(helm.render(EVERYTHING), "ServiceAccount"):
        assert account["imagePullSecrets"] == [{"name": "registry"}]


def test_without_the_api_nothing_of_it_is_left(helm: Helm) -> None:
    objects = helm.render(merged(MINIMAL, {"api": {"enabled": False}}))
    assert [one["kind"] for one in objects if one["metadata"]["name"].endswith("-api")] == []


def test_generated_files_say_so() -> None:
    for file in [*CHART.glob("crds/*.yaml"), *CHART.glob("templates/*-policy.yaml")]:
        first = file.read_text(encoding="utf-8").splitlines()[0]
        assert "DO NOT EDIT" in first
        assert "make generate" in first


def test_chart_and_python_distribution_have_one_version() -> None:
    import tomllib

    chart = yaml.safe_load((CHART / "Chart.yaml").read_text(encoding="utf-8"))
    project = tomllib.loads((CHART.parents[1] / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert chart["version"] == chart["appVersion"] == project["version"]
