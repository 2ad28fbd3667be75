"""Rights that a test has just given: the API server's authorizer learns of them a moment after they are stored."""

from __future__ import annotations

from audiojob_dev.rest import Rest, wait_until
from audiojob_types.constants import GROUP

_REVIEWS = "/apis/authorization.k8s.io/v1/subjectaccessreviews"


def until_allowed(rest: Rest, namespace: str, account: str, verb: str, /, **asked: str) -> None:
    """Wait until a service account has a right, to AudioJobs unless ``asked`` names something else.

    ``asked`` are fields of the review's ``resourceAttributes``.
    """
    user = f"system:serviceaccount:{namespace}:{account}"
    attributes = {"namespace": namespace, "group": GROUP, "resource": "audiojobs", "verb": verb, **asked}
    review = {"spec": {"user": user, "resourceAttributes": attributes}}

    def allowed() -> bool:
        return bool(rest.request("POST", _REVIEWS, review)["status"]["allowed"])

    wait_until(f"the right of {user}", allowed, seconds=60)
