"""The ValidatingAdmissionPolicy for references between AudioJobs, generated as a template of the chart.

``python -m audiojob_types.generate.reference_policy FILE`` writes it. A job takes over files of the jobs that it names,
and the operator reads those with its own rights: so whoever creates it must have the right to get them. The API asks
for its callers itself, since here it is the one who creates.
"""

from __future__ import annotations

from typing import Any, Final

from audiojob_types.constants import GROUP
from audiojob_types.generate.admission_policy import forbid, policy_of, template, write

NAME: Final = "audiojob-references"
# Field, and the variable that holds the name in it; '' where it is not set.
_FIELDS: Final = {"source.jobRef.name": "source", "retryOf": "retried"}


def policy() -> dict[str, Any]:
    """The policy."""
    return policy_of(
        NAME,
        {"operations": ["CREATE"], "resources": ["audiojobs"]},
        variables=[
            {"name": "source", "expression": "object.spec.?source.?jobRef.?name.orValue('')"},
            {"name": "retried", "expression": "object.spec.?retryOf.orValue('')"},
            {
                "name": "jobs",
                "expression": f"authorizer.group('{GROUP}').resource('audiojobs').namespace(request.namespace)",
            },
        ],
        validations=[_validation(field, variable) for field, variable in _FIELDS.items()],
    )


def _validation(field: str, variable: str) -> dict[str, str]:
    name = f"variables.{variable}"
    return forbid(
        f"{name} == '' || variables.jobs.name({name}).check('get').allowed()",
        f"spec.{field}: you may not get the AudioJob that it names; ask for a Role that allows it",
    )


if __name__ == "__main__":
    write(template(policy()))
