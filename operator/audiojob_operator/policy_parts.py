"""What the policies for the operator's Jobs have in common, whether they run one phase or are workers of a pool."""

from __future__ import annotations

from typing import Any, Final

from audiojob_operator.building.template import job_skeleton
from audiojob_operator.records.objects import Object
from audiojob_types import constants as c
from audiojob_types.generate.admission_policy import OF_THE_OPERATOR, forbid, literal, policy_of

OURS: Final = {c.LABEL_NAME: c.APP_NAME, c.LABEL_PART_OF: c.APP_NAME, c.LABEL_MANAGED_BY: c.MANAGER_OPERATOR}
# What the API server adds to the labels of a Job's pods, and to objects for their defaults.
JOB_CONTROLLER_LABELS: Final = (
    "batch.kubernetes.io/controller-uid", "batch.kubernetes.io/job-name", "controller-uid", "job-name",
)  # fmt: skip
_DEFAULTED_JOB: Final = ("completions", "parallelism", "completionMode", "selector", "manualSelector")
DEFAULTED_POD: Final = ("serviceAccount", "dnsPolicy", "schedulerName")
BY_PIPELINE: Final = ("nodeSelector", "tolerations", "runtimeClassName", "priorityClassName")
RESOURCES: Final = ("cpu", "memory", "ephemeral-storage")
GPUS_HIDDEN: Final = {"name": "NVIDIA_VISIBLE_DEVICES", "value": "void"}
KUEUE: Final = f"{c.KUEUE_QUEUE_LABEL.partition('/')[0]}/"
WEBHOOKS: Final = "a webhook that changes it must leave these Jobs out"
IS_WORKER: Final = f"object.metadata.?labels[?'{c.LABEL_POOL}'].hasValue()"
"""Of a Job: each has one policy, by this."""
VARIABLES: Final = {
    "labels": "object.metadata.?labels.orValue({})",
    "owners": "object.metadata.?ownerReferences.orValue([])",
    "podLabels": "object.spec.template.?metadata.?labels.orValue({})",
    "pod": "object.spec.template.spec",
    "containers": "variables.pod.containers",
    "init": "variables.pod.?initContainers.orValue([])",
    "all": "variables.init + variables.containers",
    # From the values; their schema admits nothing that would end a string of YAML or CEL.
    "repositories": '{{ include "audiojob.phaseRepositories" . }}',
    "inBucket": '{{ eq .Values.store.kind "S3" }}',
    "models": "{{ .Values.models.enabled }}",
}
ARE_OURS: Final = " && ".join(f"variables.labels[?'{key}'] == optional.of('{value}')" for key, value in OURS.items())


_CLAIM: Final = "v.?persistentVolumeClaim"
STORE_AND_MODELS: Final = (
    f"v.name == 'store' && !variables.inBucket && {_CLAIM} == optional.of({literal({'claimName': c.STORE_CLAIM})})",
    f"v.name == 'store' && variables.inBucket && v.?secret.?secretName == optional.of('{c.STORE_SECRET}')",
    (
        "v.name == 'models' && variables.models && "
        f"{_CLAIM} == optional.of({literal({'claimName': c.MODELS_CLAIM, 'readOnly': True})})"
    ),
)
"""Volumes of the store and the models, of phases' pods and of workers'."""


def skeleton_pod() -> Object:
    """The pod that all others are built of."""
    pod: Object = job_skeleton()["spec"]["template"]["spec"]
    return pod


def only(path: str, keys: Any) -> str:
    """Whether the object there has no other members."""
    return f"{path}.all(k, k in {literal(sorted(keys))})"


def operator_policy(
    name: str, rule: dict[str, Any], *, when: str | None = None, **spec: list[dict[str, str]]
) -> dict[str, Any]:
    """A policy for requests of the operator's account, and, where ``when`` says so, only for some of them."""
    some = [] if when is None else [{"name": "some", "expression": when}]
    return policy_of(name, rule, matchConditions=[OF_THE_OPERATOR, *some], **spec)


def named(variables: dict[str, str]) -> list[dict[str, str]]:
    """The variables as a policy lists them."""
    return [{"name": name, "expression": expression} for name, expression in variables.items()]


def job_spec() -> dict[str, str]:
    """One pod, and nothing else that a Job could do."""
    return forbid(
        f"{only('object.spec', [*job_skeleton()['spec'], 'suspend', *_DEFAULTED_JOB])} && "
        "object.spec.?parallelism.orValue(1) <= 1 && object.spec.?completions.orValue(1) <= 1 && "
        "!object.spec.?manualSelector.orValue(false)",
        "spec: a Job of the operator runs one pod, has its selector from the API server, and nothing that the "
        "operator does not set; leave out the rest",
    )


def pod_members(more: tuple[str, ...]) -> dict[str, str]:
    """What a pod has at all: the skeleton's members, what pipelines and pools may say, and ``more``."""
    return forbid(
        f"{only('variables.pod', [*skeleton_pod(), *more, *BY_PIPELINE, *DEFAULTED_POD])} && "
        f"(!has(variables.pod.affinity) || variables.pod.affinity.all(k, k == 'nodeAffinity'))",
        "spec.template.spec: pods of phases use neither the node's network, processes nor name, and have no field "
        f"that the operator does not set; {WEBHOOKS}",
    )


def identity() -> dict[str, str]:
    """The account and user of a pod."""
    skeleton, account = skeleton_pod(), c.RUNNER_SERVICE_ACCOUNT
    fixed = {key: value for key, value in skeleton.items() if key not in ("containers", "volumes")}
    as_built = " && ".join(f"variables.pod.?{key} == optional.of({literal(value)})" for key, value in fixed.items())
    return forbid(
        f"{as_built} && variables.pod.?serviceAccount.orValue('{account}') == '{account}' && "
        "variables.pod.?dnsPolicy.orValue('ClusterFirst') == 'ClusterFirst'",
        f"spec.template.spec: pods of phases run as service account {account} without its automatic token, and as "
        f"user {skeleton['securityContext']['runAsUser']}; leave {', '.join(fixed)} as "
        "they are built",
    )


def security_contexts() -> dict[str, str]:
    """What no container may do."""
    context = skeleton_pod()["containers"][0]["securityContext"]
    return forbid(
        f"variables.all.all(k, k.?securityContext == optional.of({literal(context)}))",
        "spec.template.spec.containers[].securityContext: no container is privileged, may gain privileges, has "
        f"capabilities or writes to its image; leave it as it is built, and {WEBHOOKS}",
    )


def images(containers: str) -> dict[str, str]:
    """Our images, for these containers."""
    return forbid(
        f"variables.{containers}.all(k, variables.repositories.exists(r, k.image.startsWith(r) && "
        "k.image.substring(size(r)).matches('^(:[A-Za-z0-9_][-.A-Za-z0-9_]*)?(@sha256:[0-9a-f]{64})?$')))",
        "spec.template.spec.containers[].image: containers of ours have an image of the chart's values; name the "
        "repository of an earlier release in images.earlierRepositories",
    )


def filled_members() -> tuple[str, ...]:
    """Members of a container of ours."""
    return (*skeleton_pod()["containers"][0], "image", "imagePullPolicy", "resources")


def asks_for(devices: str) -> str:
    """Whether the container ``k`` reports in its place and asks for processor, memory, disk and ``devices`` alone."""
    path = skeleton_pod()["containers"][0]["terminationMessagePath"]
    return (
        f"k.?terminationMessagePath.orValue('') == '{path}' && "
        f"k.?resources.orValue({{}}).all(r, r in ['requests', 'limits'] && "
        f"k.resources[r].all(n, n in {literal(list(RESOURCES))} || {devices}))"
    )


IS_A_GPU: Final = f"n.matches('{c.GPU_RESOURCE_PATTERN}')"
