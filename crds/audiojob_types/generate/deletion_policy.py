"""The ValidatingAdmissionPolicy for deletions of AudioJobs, generated as a template of the chart.

``python -m audiojob_types.generate.deletion_policy FILE`` writes it. Work without its AudioJob holds no slot and counts
against no limit: so an AudioJob takes its Jobs along. Kubernetes leaves them behind where a deletion asks for that, and
where the object has the finalizer `orphan`, which anybody who creates it could set.
"""

from __future__ import annotations

from typing import Any, Final

from audiojob_types.generate.admission_policy import forbid, policy_of, template, write

NAME: Final = "audiojob-deletions"
_ORPHAN: Final = "orphan"
_FINALIZERS: Final = "metadata.?finalizers.orValue([])"


def policy() -> dict[str, Any]:
    """The policy."""
    return policy_of(
        NAME,
        {"operations": ["CREATE", "UPDATE", "DELETE"], "resources": ["audiojobs"]},
        validations=[
            forbid(
                "request.operation != 'DELETE' || (request.?options.?propagationPolicy.orValue('') != 'Orphan' && "
                "!request.?options.?orphanDependents.orValue(false))",
                "an AudioJob takes its Jobs along; delete it without --cascade=orphan",
            ),
            forbid(
                f"request.operation == 'DELETE' || !('{_ORPHAN}' in object.{_FINALIZERS}) || "
                f"(request.operation == 'UPDATE' && '{_ORPHAN}' in oldObject.{_FINALIZERS})",
                f"metadata.finalizers: an AudioJob takes its Jobs along; leave {_ORPHAN} out",
            ),
        ],
    )


if __name__ == "__main__":
    write(template(policy()))
