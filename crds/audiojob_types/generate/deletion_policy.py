"""The ValidatingAdmissionPolicy for deletions of AudioJobs and pools, generated as a template of the chart.

``python -m audiojob_types.generate.deletion_policy FILE`` writes it. Work without its AudioJob holds no slot and counts
against no limit: so an AudioJob takes its Jobs along, and a pool its workers, which nobody else ends. Kubernetes
leaves them behind where a deletion asks for that, and where the object has the finalizer `orphan`, which anybody who
creates it could set.
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
        {"operations": ["CREATE", "UPDATE", "DELETE"], "resources": ["audiojobs", "audioworkerpools"]},
        validations=[
            forbid(
                "request.operation != 'DELETE' || (request.?options.?propagationPolicy.orValue('') != 'Orphan' && "
                "!request.?options.?orphanDependents.orValue(false))",
                "an AudioJob or AudioWorkerPool takes its Jobs along; delete it without --cascade=orphan",
            ),
            forbid(
                f"request.operation == 'DELETE' || !('{_ORPHAN}' in object.{_FINALIZERS}) || "
                f"(request.operation == 'UPDATE' && '{_ORPHAN}' in oldObject.{_FINALIZERS})",
                f"metadata.finalizers: an AudioJob or AudioWorkerPool takes its Jobs along; leave {_ORPHAN} out",
            ),
        ],
    )


if __name__ == "__main__":
    write(template(policy()))
