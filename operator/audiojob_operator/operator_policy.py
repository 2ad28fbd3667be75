"""The ValidatingAdmissionPolicies for the operator itself, generated as a template of the chart.

``python -m audiojob_operator.operator_policy FILE`` writes it. RBAC lets the operator create any Job in job namespaces;
these policies leave it those that :mod:`audiojob_operator.building` makes, so that its token gives nobody another
account, another Secret or a node. What a pod has in common with all others is taken from the skeleton that it is
built of; what depends on the chart's values is filled in by helm. Jobs of workers have a policy of their own, as
strict: :mod:`audiojob_operator.worker_policy`.

Refusals are Forbidden, which the operator takes for an obstacle that an administrator removes, and tries again.
"""

from __future__ import annotations

from typing import Any, Final

from audiojob_operator.building.job import STAY
from audiojob_operator.building.program import COMMANDS, PROGRAM_MOUNTS, WORK_PLACES
from audiojob_operator.building.template import CONTAINER, inputs_item
from audiojob_operator.policy_parts import (
    ARE_OURS,
    GPUS_HIDDEN,
    IS_A_GPU,
    IS_WORKER,
    JOB_CONTROLLER_LABELS,
    KUEUE,
    OURS,
    STORE_AND_MODELS,
    VARIABLES,
    WEBHOOKS,
    asks_for,
    filled_members,
    identity,
    images,
    job_spec,
    named,
    only,
    operator_policy,
    pod_members,
    security_contexts,
    skeleton_pod,
)
from audiojob_operator.worker_policy import workers_policy
from audiojob_types import constants as c
from audiojob_types.constants import STORE_ROOT
from audiojob_types.contract import FETCH_CREDENTIALS, MODELS_ROOT, STORE_CREDENTIALS
from audiojob_types.descriptor import Egress
from audiojob_types.generate.admission_policy import forbid, literal, template, write
from audiojob_types.resources.job import State

JOBS_NAME: Final = "audiojob-operator-jobs"
REVISIONS_NAME: Final = "audiojob-operator-revisions"
EVENTS_NAME: Final = "audiojob-operator-events"
DELETIONS_NAME: Final = "audiojob-operator-deletions"

_OF_ATTEMPTS: Final = (c.LABEL_JOB, c.LABEL_UID, c.LABEL_PHASE, c.LABEL_ATTEMPT, c.LABEL_QUEUE, c.LABEL_PIPELINE)
_BY_PHASE: Final = ("terminationGracePeriodSeconds", "activeDeadlineSeconds", "initContainers", "affinity")


# ------------------------------------------------------------------ metadata


def _metadata() -> list[dict[str, str]]:
    shared = (*OURS, *_OF_ATTEMPTS)
    known = literal([*shared, c.LABEL_EGRESS, *JOB_CONTROLLER_LABELS])
    egress = literal([each.value for each in Egress])
    return [
        forbid(
            f"{ARE_OURS} && {literal(list(_OF_ATTEMPTS))}.all(k, k in variables.labels)",
            f"metadata.labels: a Job of the operator names its AudioJob and attempt in {', '.join(_OF_ATTEMPTS)} and "
            f"is managed by {c.MANAGER_OPERATOR}; add what is missing",
        ),
        forbid(
            "size(variables.owners) == 1 && variables.owners.all(o, "
            f"o.apiVersion.startsWith('{c.GROUP}/') && o.kind == 'AudioJob' && o.?controller.orValue(false) && "
            f"variables.labels[?'{c.LABEL_JOB}'] == optional.of(o.name) && "
            f"variables.labels[?'{c.LABEL_UID}'] == optional.of(o.uid)) && "
            "size(object.metadata.?finalizers.orValue([])) == 0",
            "metadata.ownerReferences: a Job of the operator belongs to the AudioJob of its labels and nothing else, "
            "and goes with it; name that AudioJob as its controller, and no finalizer",
        ),
        forbid(
            f"{literal(list(shared))}.all(k, variables.podLabels[?k] == variables.labels[?k]) && "
            f"variables.podLabels.all(k, k in {known} || k.startsWith('{KUEUE}')) && "
            f"variables.podLabels[?'{c.LABEL_EGRESS}'].orValue('') in {egress}",
            f"spec.template.metadata.labels: pods have the labels of their Job, {c.LABEL_EGRESS}, and no "
            f"others, by which Services and policies find pods; {WEBHOOKS}",
        ),
        forbid(
            "object.spec.template.?metadata.orValue({}).all(k, k in ['labels', 'annotations', 'creationTimestamp']) && "
            "object.spec.template.?metadata.?annotations.orValue({}).all(k, "
            f"k in {literal([c.ANNOTATION_PHASE, 'kubectl.kubernetes.io/default-container', *STAY])} || "
            f"(k == '{c.ANNOTATION_INPUTS}' && object.spec.template.metadata.annotations[k] == '') || "
            f"k.startsWith('{KUEUE}'))",
            f"spec.template.metadata.annotations: pods have {c.ANNOTATION_PHASE}, an empty "
            f"{c.ANNOTATION_INPUTS}, and no others, which might let "
            f"something inject containers into them; {WEBHOOKS}",
        ),
    ]


# ------------------------------------------------------------------ pod


def _pod() -> list[dict[str, str]]:
    return [
        job_spec(),
        pod_members(_BY_PHASE),
        identity(),
        forbid(
            f"variables.containers.map(k, k.name) == ['{CONTAINER}'] && (variables.init == [] || "
            f"variables.init.map(k, [k.name, k.?restartPolicy.orValue('')]) == [['{c.CONTAINER_FETCH}', ''], "
            f"['{c.CONTAINER_REPORT}', 'Always'], ['{c.CONTAINER_PROGRAM}', '']])",
            f"spec.template.spec.containers: a pod has the container {CONTAINER}, and where a program runs before it "
            f"the initContainers {', '.join((*COMMANDS, c.CONTAINER_PROGRAM))}; {WEBHOOKS}",
        ),
    ]


# ------------------------------------------------------------------ containers


def _containers() -> list[dict[str, str]]:
    like = skeleton_pod()["containers"][0]
    filled = (*filled_members(), "restartPolicy")
    program = ("args", *filled_members())
    known = {variable["name"]: variable for variable in [*like["env"], GPUS_HIDDEN]}
    commands = {CONTAINER: like["command"]}
    commands |= {name: [*like["command"][:-1], word] for name, word in COMMANDS.items()}
    return [
        security_contexts(),
        forbid(
            f"variables.own.all(k, {only('k', filled)}) && variables.program.all(k, {only('k', program)}) && "
            f"variables.all.all(k, {asks_for(IS_A_GPU)})",
            "spec.template.spec.containers: containers have no field and ask for no device that the operator does not "
            f"set, such as hooks, ports or envFrom; {WEBHOOKS}",
        ),
        forbid(
            f"variables.own.all(k, k.?command == {literal(commands)}[?k.name]) && "
            f"variables.own.all(k, k.?env.orValue([]).all(e, {literal(known)}[?e.name] == optional.of(e)))",
            "spec.template.spec.containers[].command and env: containers of ours run audiojob_runner with the "
            f"variables that it needs, so that nobody chooses their code; leave them as built, and {WEBHOOKS}",
        ),
        forbid(
            "variables.program.all(k, k.?env.orValue([]).all(e, e.all(f, f in ['name', 'value'])))",
            f"spec.template.spec.initContainers[{c.CONTAINER_PROGRAM}].env: variables of a program have values and "
            "take none from Secrets or elsewhere; write the values into the AudioPipeline",
        ),
        images("own"),
    ]


# ------------------------------------------------------------------ volumes and mounts


def _volumes() -> dict[str, str]:
    skeleton = {volume["name"]: volume for volume in skeleton_pod()["volumes"]}
    items, sources = skeleton["phase"]["downwardAPI"]["items"], skeleton["token"]["projected"]["sources"]
    either = ", ".join(f"optional.of({literal(each)})" for each in (items, [*items, inputs_item()]))
    claim = "v.?persistentVolumeClaim"
    kinds = (
        f"v.name == 'phase' && v.?downwardAPI.?items in [{either}]",
        f"v.name == 'token' && v.?projected.?sources == optional.of({literal(sources)})",
        "v.name in ['scratch', 'work'] && v.?emptyDir.hasValue() && v.emptyDir.all(k, k == 'sizeLimit')",
        *STORE_AND_MODELS,
        f"v.name == 'fetch' && variables.fetchSecret && v.?secret.?secretName == optional.of('{c.FETCH_SECRET}')",
        (
            f"variables.libraries.exists(l, v.name == l.volume && {claim}.?claimName == optional.of(l.claim) && "
            f"(l.access == 'write' || {claim}.?readOnly.orValue(false)))"
        ),
    )
    return forbid(
        f"variables.pod.?volumes.orValue([]).all(v, size(v) == 2 && ({' || '.join(f'({kind})' for kind in kinds)}))",
        "spec.template.spec.volumes: pods of phases have scratch space, their phase file, a short-lived token, and the "
        f"store, libraries, models and Secrets that the chart's values name, no others; {WEBHOOKS}",
    )


def _mounts() -> list[dict[str, str]]:
    places = {mount["name"]: mount["mountPath"] for mount in skeleton_pod()["containers"][0]["volumeMounts"]}
    places |= {"models": MODELS_ROOT, "fetch": FETCH_CREDENTIALS}
    whole = "!has(m.subPath)"
    read = "m.?readOnly.orValue(false)"
    folder = "m.?subPath.orValue('')"
    in_namespace = (
        f"({folder} == request.namespace + '/uploads' || ({folder}.startsWith(request.namespace + '/') && "
        f"size({folder}.split('/')) == 3 && {folder}.split('/').all(p, !(p in ['', '.', '..']))))"
    )
    kinds = (
        f"{whole} && {literal(places)}[?m.name] == optional.of(m.mountPath)",
        f"m.name == 'work' && {literal(WORK_PLACES)}[?{folder}] == optional.of(m.mountPath)",
        f"m.name == 'store' && variables.inBucket && {whole} && m.mountPath == '{STORE_CREDENTIALS}'",
        (
            f"m.name == 'store' && !variables.inBucket && m.mountPath == '{STORE_ROOT}/' + {folder} && "
            f"({folder} == variables.ownFolder || ({read} && {in_namespace}))"
        ),
        (
            f"variables.libraries.exists(l, m.mountPath == '{STORE_ROOT}/' + l.folder && "
            f"(l.access == 'write' || {read}) && ((m.name == l.volume && l.claim != '' && {whole}) || "
            f"(m.name == 'store' && !variables.inBucket && l.prefix != '' && {folder} == l.prefix)))"
        ),
    )
    mounts = "k.?volumeMounts.orValue([])"
    any_kind = " || ".join(f"({kind})" for kind in kinds)
    return [
        forbid(
            f"variables.own.all(k, {mounts}.all(m, m.all(f, f in ['name', 'mountPath', 'subPath', 'readOnly']) && "
            f"({any_kind})))",
            "spec.template.spec.containers[].volumeMounts: a volume is mounted where audiojob_runner looks for it, of "
            "the store only folders of the namespace, and of those only the phase's own writable; leave them as built",
        ),
        forbid(
            f"variables.program.all(k, k.?volumeMounts == optional.of({literal(list(PROGRAM_MOUNTS))})) && "
            f"(variables.init == [] || variables.own.all(k, k.name == '{c.CONTAINER_REPORT}' ? "
            f"{mounts}.all(m, m.name in ['phase', 'token', 'work']) : !{mounts}.exists(m, m.name == 'token')))",
            f"spec.template.spec.initContainers[].volumeMounts: {c.CONTAINER_PROGRAM} sees its work folder alone, and "
            "no container has both the token and the store; leave them as they are built",
        ),
    ]


# ------------------------------------------------------------------ policies


def jobs_policy() -> dict[str, Any]:
    """What Jobs of phases the operator may create."""
    variables = VARIABLES | {
        "program": f"variables.init.filter(k, k.name == '{c.CONTAINER_PROGRAM}')",
        "own": f"variables.containers + variables.init.filter(k, k.name != '{c.CONTAINER_PROGRAM}')",
        "ownFolder": (
            f"request.namespace + '/' + variables.labels[?'{c.LABEL_UID}'].orValue('') + '/' + "
            f"variables.labels[?'{c.LABEL_PHASE}'].orValue('')"
        ),
        "libraries": '{{ include "audiojob.libraryMounts" . }}.filter(l, l.namespace == request.namespace)',
        "fetchSecret": "{{ .Values.fetch.secret }}",
    }
    return operator_policy(
        JOBS_NAME,
        {"apiGroups": ["batch"], "operations": ["CREATE", "UPDATE"], "resources": ["jobs"]},
        when=f"!{IS_WORKER}",
        variables=named(variables),
        validations=[*_metadata(), *_pod(), *_containers(), _volumes(), *_mounts()],
    )


def revisions_policy() -> dict[str, Any]:
    """What ControllerRevisions the operator may create: its own. Other controllers trust theirs."""
    ours = " && ".join(f"object.metadata.?labels[?'{key}'] == optional.of('{value}')" for key, value in OURS.items())
    return operator_policy(
        REVISIONS_NAME,
        {"apiGroups": ["apps"], "operations": ["CREATE", "UPDATE"], "resources": ["controllerrevisions"]},
        validations=[
            forbid(
                f"{ours} && object.metadata.?labels[?'{c.LABEL_PIPELINE}'].hasValue() && "
                "!has(object.metadata.ownerReferences) && !has(object.metadata.finalizers)",
                f"metadata: a ControllerRevision of the operator has its labels, {c.LABEL_PIPELINE}, no owner and no "
                "finalizer; leave those of other controllers alone",
            )
        ],
    )


def events_policy() -> dict[str, Any]:
    """What the operator may tell: of AudioJobs and pools of workers, in its own name."""
    return operator_policy(
        EVENTS_NAME,
        {"apiGroups": [""], "operations": ["CREATE", "UPDATE"], "resources": ["events"]},
        validations=[
            forbid(
                "object.involvedObject.?kind.orValue('') in ['AudioJob', 'AudioWorkerPool'] && "
                f"object.involvedObject.?apiVersion.orValue('').startsWith('{c.GROUP}/') && "
                f"object.?source.?component == optional.of('{c.MANAGER_OPERATOR}')",
                f"involvedObject: events of {c.MANAGER_OPERATOR} are about AudioJobs and AudioWorkerPools; name one, "
                "and the source",
            )
        ],
    )


def deletions_policy() -> dict[str, Any]:
    """What the operator may delete: what it has made, and AudioJobs that have ended."""
    managed = f"oldObject.metadata.?labels[?'{c.LABEL_MANAGED_BY}'] == optional.of('{c.MANAGER_OPERATOR}')"
    ended = literal([state.value for state in State if state.finished])
    return operator_policy(
        DELETIONS_NAME,
        {
            "apiGroups": ["batch", "apps", c.GROUP],
            "operations": ["DELETE"],
            "resources": ["jobs", "controllerrevisions", "audiojobs"],
        },
        validations=[
            forbid(
                f"request.resource.resource == 'audiojobs' || {managed}",
                f"metadata.labels: the operator deletes only what it has made, with {c.LABEL_MANAGED_BY}: "
                f"{c.MANAGER_OPERATOR}; delete others yourself",
            ),
            forbid(
                f"request.resource.resource != 'audiojobs' || oldObject.?status.?state.orValue('') in {ended}",
                "status.state: the operator deletes only AudioJobs that have ended; cancel the job first",
            ),
        ],
    )


def policies() -> list[dict[str, Any]]:
    """All policies for the operator."""
    return [jobs_policy(), workers_policy(), revisions_policy(), events_policy(), deletions_policy()]


def to_text() -> str:
    """The Helm template: policies and bindings."""
    return template(*policies(), source="operator/audiojob_operator")


if __name__ == "__main__":
    write(to_text())
