"""The ValidatingAdmissionPolicy for runners, generated from the status model.

``python -m audiojob_types.generate.runner_policy FILE`` writes it. RBAC lets a runner patch the status of any
AudioJob of its namespace; this policy leaves it the progress of the one phase that its pod runs. Who the pod is comes
from the claims of the pod-bound token, which the API server checked, never from the request's body.

A worker runs phases of many AudioJobs, and is known by its uid: a pod of the same name is another one. It alone says
in the status how a phase ended; other pods leave that in their termination message. Of a phase that it is told ahead it
first says that it has begun, and nothing else.
"""

from __future__ import annotations

from typing import Any, Final

from audiojob_types.constants import MANAGER_RUNNER, RUNNER_SERVICE_ACCOUNT
from audiojob_types.generate.admission_policy import policy_of, template, write
from audiojob_types.reasons import Reason
from audiojob_types.resources.job import AudioJobStatus, PhaseState
from audiojob_types.workers.order import RESULT_HEAD

NAME: Final = "audiojob-runner-progress"
# What a runner writes; each has validations of its own below. Every other field must stay as it is.
RUNNER_FIELDS: Final = frozenset({"progress", "percent", "nodeName"})

_POD_NAME: Final = "request.userInfo.?extra[?'authentication.kubernetes.io/pod-name'][?0].orValue('')"
_POD_UID: Final = "request.userInfo.?extra[?'authentication.kubernetes.io/pod-uid'][?0].orValue('')"
_NODE_NAME: Final = "request.userInfo.?extra[?'authentication.kubernetes.io/node-name'][?0]"
# The phase that a worker is told ahead: it does not count as begun before the worker says so.
_TOLD_AHEAD: Final = (
    f"p.?state.orValue('') == '{PhaseState.WAITING}' && p.?reason.orValue('') == '{Reason.TOLD_TO_WORKER}'"
)
# A Job names its pods <job>-<5 characters>. The length is compared too: one phase's Job name may begin another's.
_OWN_PHASES: Final = (
    "oldObject.?status.?phases.orValue([]).filter(p, "
    f"(p.state == '{PhaseState.RUNNING}' || ({_TOLD_AHEAD} && has(p.podUID))) && has(p.jobName) && p.jobName != '' && "
    "variables.podName.startsWith(p.jobName + '-') && size(variables.podName) == size(p.jobName) + 6 && "
    "(!has(p.podUID) || (p.podUID == variables.podUID && variables.podUID != '')))"
)
# The API server keeps ten writers that update; what older ones wrote it puts together under this name.
_MERGED_MANAGERS: Final = "ancient-changes"
_OWN_MANAGER: Final = (
    "variables.managers.all(m, "
    f"(m.operation == 'Update' && m.manager in ['{MANAGER_RUNNER}', '{_MERGED_MANAGERS}']) || "
    "variables.oldManagers.exists(o, o.manager == m.manager && o.operation == m.operation && "
    "o.?subresource.orValue('') == m.?subresource.orValue('')))"
)
_IS_REPORT: Final = (
    "request.operation == 'UPDATE' && request.resource.resource == 'audiojobs' && "
    "request.?subResource == optional.of('status')"
)


def operator_fields() -> list[str]:
    """Wire names of the status fields that a runner must not change: all of the model but its own."""
    names = [field.alias or name for name, field in AudioJobStatus.model_fields.items()]
    return [name for name in names if name not in RUNNER_FIELDS]


def _validation(
    expression: str, message: str, *, reports_only: bool = True, reason: str = "Forbidden"
) -> dict[str, str]:
    # Other operations have no old or no new object; the first validation refuses them.
    guarded = f"!variables.isReport || ({expression})" if reports_only else expression
    # 403 and runners send the same again; 422 ("Invalid") and they send something else.
    return {"expression": guarded, "message": message, "reason": reason}


def _percent_validations() -> list[dict[str, str]]:
    return [
        _validation(
            "object.?status.?percent == oldObject.?status.?percent || object.?status.?percent.orValue(0) <= 99",
            "status.percent must be at most 99; the operator writes 100",
        ),
        # Phases that run side by side each know the job's percent as it was at their own last report.
        _validation(
            "object.?status.?percent.orValue(0) >= oldObject.?status.?percent.orValue(0)",
            "status.percent must not fall",
            reason="Invalid",
        ),
    ]


def _worker_validations() -> list[dict[str, str]]:
    """What a worker's pod alone may say: that it began the attempt, and how that ended, once."""
    old, new = "variables.old[?p.name]", "variables.new[?p.name]"
    same_result, same_begun = (f"{new}.?{field} == {old}.?{field}" for field in ("result", "begun"))
    before, after = RESULT_HEAD.split("%s")
    head = f"'{before}' + string(p.attempt) + '{after}'"
    begun = f"{old}.?begun == optional.of(true)"
    same_job = (f"oldObject.?status.?{field} == object.?status.?{field}" for field in ("percent", "nodeName"))
    # What an earlier attempt left may stay. A message that is not given is "".
    unsaid = {"message": f"{new}.?message.orValue('') == ''", "etaSeconds": f"!{new}.?etaSeconds.hasValue()"}
    rest = (f"({new}.?{field} == {old}.?{field} || {none})" for field, none in unsaid.items())
    only_begun = " && ".join(
        (f"{new}.?begun == optional.of(true)", f"{new}.?percent == optional.of(0)", same_result, *rest, *same_job)
    )
    return [
        _validation(
            f"variables.own.all(p, has(p.podUID) || ({same_result} && {same_begun}))",
            "only a worker may report begun and result; other pods leave how they ended in their termination message",
        ),
        # What an earlier attempt left there may stay or go: the text itself says which attempt it is of.
        _validation(
            f"variables.own.all(p, {same_result} || (!{old}.?result.orValue('').startsWith({head}) && "
            f"(!{new}.?result.hasValue() || {new}.?result.orValue('').startsWith({head}))))",
            "progress.result must be of the attempt that the phase is at, and may be written once",
        ),
        _validation(
            f"variables.own.all(p, {same_begun} || {new}.?begun == optional.of(true))",
            "progress.begun may become true and must stay so",
        ),
        # Once that is taken the phase is at work, though its status may say so a moment later.
        _validation(
            f"variables.own.all(p, !({_TOLD_AHEAD}) || ({begun} && {old}.?attempt == optional.of(p.attempt)) || "
            f"({only_begun}))",
            "of a phase that it is told ahead a worker must first report begun, and nothing else",
        ),
    ]


def _validations() -> list[dict[str, str]]:
    own_entry = "variables.own.all(p, {})"
    return [
        _validation("variables.isReport", "runners may only update audiojobs/status", reports_only=False),
        _validation(
            "request.userInfo.username == 'system:serviceaccount:' + request.namespace + "
            f"':{RUNNER_SERVICE_ACCOUNT}' && size(variables.own) == 1",
            "only the pod of a running phase of this AudioJob may report, with a token bound to that pod",
        ),
        _validation(
            f"request.options.?fieldManager.orValue('') in ['', '{MANAGER_RUNNER}'] && {_OWN_MANAGER}",
            f"runners must patch as field manager {MANAGER_RUNNER} and must not apply: managers stay for ever",
        ),
        # For a patch that names another kind or version, which is stored as the right one all the same, the API server
        # forgets who manages which fields. Policies see the right kind too, so its trace is what can be refused.
        _validation(
            "variables.managers.size() > 0 || variables.oldManagers.size() == 0",
            "runners must not name another apiVersion or kind: the record of managers would be lost",
        ),
        *(
            _validation(
                f"object.?status.?{field} == oldObject.?status.?{field}",
                f"runners must not change status.{field}",
            )
            for field in operator_fields()
        ),
        _validation(
            own_entry.format(
                "variables.old.all(k, k == p.name || (k in variables.new && variables.new[k] == variables.old[k])) && "
                "variables.new.all(k, k == p.name || k in variables.old)"
            ),
            "runners must not change the progress of another phase",
        ),
        _validation(
            own_entry.format("p.name in variables.new && variables.new[p.name].attempt == p.attempt"),
            "progress must carry the attempt that the phase is at",
        ),
        *_worker_validations(),
        *_percent_validations(),
        _validation(
            "object.?status.?nodeName == oldObject.?status.?nodeName || "
            f"(object.?status.?nodeName.hasValue() && object.?status.?nodeName == {_NODE_NAME})",
            "status.nodeName must be the node that the token's pod runs on",
        ),
    ]


def policy() -> dict[str, Any]:
    """The ValidatingAdmissionPolicy."""
    return policy_of(
        NAME,
        {"operations": ["CREATE", "UPDATE", "DELETE"], "resources": ["*/*"]},  # with and without subresource
        matchConditions=[
            {
                "name": "runner",
                "expression": (
                    "request.userInfo.username.startsWith('system:serviceaccount:') && "
                    f"request.userInfo.username.endsWith(':{RUNNER_SERVICE_ACCOUNT}')"
                ),
            }
        ],
        variables=[
            {"name": "isReport", "expression": _IS_REPORT},
            {"name": "podName", "expression": _POD_NAME},
            {"name": "podUID", "expression": _POD_UID},
            {"name": "own", "expression": _OWN_PHASES},
            {"name": "managers", "expression": "object.?metadata.?managedFields.orValue([])"},
            {"name": "oldManagers", "expression": "oldObject.?metadata.?managedFields.orValue([])"},
            {"name": "old", "expression": "oldObject.?status.?progress.orValue({})"},
            {"name": "new", "expression": "object.?status.?progress.orValue({})"},
        ],
        validations=_validations(),
    )


if __name__ == "__main__":
    write(template(policy()))
