"""The ValidatingAdmissionPolicy for statuses that the operator writes outside its namespaces, as a chart's template.

``python -m audiojob_types.generate.status_policy FILE`` writes it. The operator may patch the status of every AudioJob
of the cluster, so that one in a namespace which nobody prepared can say so. Nothing runs there: it says nothing else.
"""

from __future__ import annotations

from typing import Any, Final

from audiojob_types.generate.admission_policy import OF_THE_OPERATOR, forbid, literal, policy_of, template, write
from audiojob_types.resources.job import AudioJobStatus, State

NAME: Final = "audiojob-operator-elsewhere"
# What is said of a job that waits, is suspended, was cancelled or cannot be read. Every other field stays as it is.
SAID_FIELDS: Final = frozenset(
    {"observedGeneration", "state", "conditions", "message", "percent", "completionTime", "waitStartTime",
     "waitingFor", "error"}
)  # fmt: skip
_STATES: Final = (State.PENDING, State.QUEUED, State.SUSPENDED, State.CANCELLED, State.FAILED)


def kept_fields() -> list[str]:
    """Wire names of the status fields that the operator must not change there."""
    names = [field.alias or name for name, field in AudioJobStatus.model_fields.items()]
    return [name for name in names if name not in SAID_FIELDS]


def policy() -> dict[str, Any]:
    """The policy, with what helm fills in."""
    kept = kept_fields()
    return policy_of(
        NAME,
        {"operations": ["UPDATE"], "resources": ["audiojobs", "audiojobs/status"]},
        matchConditions=[
            OF_THE_OPERATOR,
            {"name": "elsewhere", "expression": "!(request.namespace in {{ toJson .Values.jobNamespaces }})"},
        ],
        validations=[
            forbid(
                "oldObject.?status.?pipelineRevision.orValue('') == ''",
                "status: the AudioJob began under another operator; leave it alone, or add its namespace to "
                "jobNamespaces",
            ),
            forbid(
                f"object.?status.?state.orValue('') in {literal([state.value for state in _STATES])} && "
                "object.?status.?percent.orValue(0) == 0",
                "status.state: nothing runs in a namespace that is not in jobNamespaces; add the namespace to them",
            ),
            forbid(
                " && ".join(f"object.?status.?{field} == oldObject.?status.?{field}" for field in kept),
                f"status: in a namespace that is not in jobNamespaces the operator leaves {', '.join(kept)} as they "
                "are; add the namespace to them",
            ),
        ],
    )


if __name__ == "__main__":
    write(template(policy()))
