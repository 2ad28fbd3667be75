"""What every phase Job has in common, built once from the official client's models, then filled in as plain JSON.

The models know every field's name and place, so a misspelt one fails at import, not in a cluster. They are slow
(about 2 ms a Job), which is why only the skeleton is made of them.
"""

from __future__ import annotations

from copy import deepcopy
from typing import Final

from kubernetes import client as k8s

from audiojob_operator.records.objects import Object
from audiojob_types import constants as c
from audiojob_types.contract import (
    ENV_NODE_NAME,
    ENV_PHASE_FILE,
    ENV_POD_NAME,
    ENV_POD_UID,
    PHASE_FILE,
    SCRATCH_ROOT,
    TERMINATION_FILE,
)

CONTAINER: Final = "runner"
PROCESS_ID: Final = 10_001  # uid and gid of our images
JOB_TTL_SECONDS: Final = 3_600  # the result is read long before
TOKEN_SECONDS: Final = 3_600
_TOKEN_ROOT: Final = "/var/run/secrets/kubernetes.io/serviceaccount"  # noqa: S105 - the path where clients look


def job_skeleton() -> Object:
    """A fresh copy of the skeleton: a batch/v1 Job whose open places are empty lists and mappings."""
    return deepcopy(_SKELETON)


def _pod_spec() -> k8s.V1PodSpec:
    return k8s.V1PodSpec(
        restart_policy="Never",
        service_account_name=c.RUNNER_SERVICE_ACCOUNT,
        automount_service_account_token=False,
        enable_service_links=False,
        security_context=k8s.V1PodSecurityContext(
            run_as_non_root=True,
            run_as_user=PROCESS_ID,
            run_as_group=PROCESS_ID,
            fs_group=PROCESS_ID,
            fs_group_change_policy="OnRootMismatch",
            seccomp_profile=k8s.V1SeccompProfile(type="RuntimeDefault"),
        ),
        containers=[_container()],
        volumes=[_phase_volume(), _token_volume()],
    )


def _container() -> k8s.V1Container:
    def from_field(name: str, path: str) -> k8s.V1EnvVar:
        source = k8s.V1EnvVarSource(field_ref=k8s.V1ObjectFieldSelector(api_version="v1", field_path=path))
        return k8s.V1EnvVar(name=name, value_from=source)

    caches = {
        "HOME": SCRATCH_ROOT,
        "TMPDIR": SCRATCH_ROOT,
        "XDG_CACHE_HOME": f"{SCRATCH_ROOT}/.cache",
        "TORCH_HOME": f"{SCRATCH_ROOT}/.cache/torch",
        "NUMBA_CACHE_DIR": f"{SCRATCH_ROOT}/.cache/numba",
    }
    return k8s.V1Container(
        name=CONTAINER,
        command=["python", "-m", "audiojob_runner", "phase"],
        env=[
            from_field(ENV_POD_NAME, "metadata.name"),
            from_field(ENV_POD_UID, "metadata.uid"),
            from_field(ENV_NODE_NAME, "spec.nodeName"),
            k8s.V1EnvVar(name=ENV_PHASE_FILE, value=PHASE_FILE),
            *(k8s.V1EnvVar(name=name, value=value) for name, value in caches.items()),
        ],
        security_context=k8s.V1SecurityContext(
            allow_privilege_escalation=False,
            read_only_root_filesystem=True,
            capabilities=k8s.V1Capabilities(drop=["ALL"]),
        ),
        termination_message_path=TERMINATION_FILE,
        termination_message_policy="File",
        volume_mounts=[
            k8s.V1VolumeMount(name="phase", mount_path=PHASE_FILE.rpartition("/")[0], read_only=True),
            k8s.V1VolumeMount(name="token", mount_path=_TOKEN_ROOT, read_only=True),
            k8s.V1VolumeMount(name="scratch", mount_path=SCRATCH_ROOT),
        ],
    )


def add_inputs_file(pod: Object) -> None:
    """Of a pod that begins early, mount what it is told beside its phase file."""
    for volume in pod["volumes"]:
        if volume["name"] == "phase":
            volume["downwardAPI"]["items"].append(inputs_item())


def inputs_item() -> Object:
    """The file of a pod's downward API that has its inputs, once it was told them."""
    path = f"metadata.annotations['{c.ANNOTATION_INPUTS}']"
    return {"fieldRef": {"apiVersion": "v1", "fieldPath": path}, "path": c.INPUTS_FILE}


def _phase_volume() -> k8s.V1Volume:
    selector = k8s.V1ObjectFieldSelector(api_version="v1", field_path=f"metadata.annotations['{c.ANNOTATION_PHASE}']")
    item = k8s.V1DownwardAPIVolumeFile(path=PHASE_FILE.rpartition("/")[2], field_ref=selector)
    return k8s.V1Volume(name="phase", downward_api=k8s.V1DownwardAPIVolumeSource(items=[item]))


def _token_volume() -> k8s.V1Volume:
    """What automounting would mount, but into this one container and with a short life: it can only report progress."""
    namespace = k8s.V1DownwardAPIVolumeFile(
        path="namespace",
        field_ref=k8s.V1ObjectFieldSelector(api_version="v1", field_path="metadata.namespace"),
    )
    authority = k8s.V1ConfigMapProjection(name="kube-root-ca.crt", items=[k8s.V1KeyToPath(key="ca.crt", path="ca.crt")])
    token = k8s.V1ServiceAccountTokenProjection(path="token", expiration_seconds=TOKEN_SECONDS)
    sources = [
        k8s.V1VolumeProjection(service_account_token=token),
        k8s.V1VolumeProjection(config_map=authority),
        k8s.V1VolumeProjection(downward_api=k8s.V1DownwardAPIProjection(items=[namespace])),
    ]
    return k8s.V1Volume(name="token", projected=k8s.V1ProjectedVolumeSource(sources=sources))


def _build() -> Object:
    disruption = k8s.V1PodFailurePolicyRule(
        action="FailJob",  # at once and with its reason kept; the operator makes the next attempt
        on_pod_conditions=[k8s.V1PodFailurePolicyOnPodConditionsPattern(type="DisruptionTarget", status="True")],
    )
    job = k8s.V1Job(
        api_version="batch/v1",
        kind="Job",
        metadata=k8s.V1ObjectMeta(labels={}, annotations={}),
        spec=k8s.V1JobSpec(
            backoff_limit=0,
            ttl_seconds_after_finished=JOB_TTL_SECONDS,
            pod_replacement_policy="Failed",
            pod_failure_policy=k8s.V1PodFailurePolicy(rules=[disruption]),
            template=k8s.V1PodTemplateSpec(metadata=k8s.V1ObjectMeta(labels={}, annotations={}), spec=_pod_spec()),
        ),
    )
    skeleton: Object = k8s.ApiClient().sanitize_for_serialization(job)  # type: ignore[no-untyped-call]
    return skeleton


_SKELETON: Final = _build()
