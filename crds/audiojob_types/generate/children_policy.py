"""The ValidatingAdmissionPolicies for Jobs and pods of phases as they run.

``python -m audiojob_types.generate.children_policy FILE`` writes them. The operator may patch pods only to tell one its
inputs that began early, once, with the time that it may take, and that it was told; and to tell a worker its work,
again and again. RBAC alone would let it change images. What our own labels and annotations say of a Job or pod is the
operator's word, so nobody else changes them.
"""

from __future__ import annotations

from typing import Any, Final

from audiojob_types import constants as c
from audiojob_types.generate.admission_policy import OF_THE_OPERATOR, forbid, policy_of, template, write
from audiojob_types.workers.order import MAX_ORDER_BYTES

TELLING_NAME: Final = "audiojob-operator-pods"
WORDS_NAME: Final = "audiojob-children"

_DEADLINE: Final = "activeDeadlineSeconds"
# What the API server itself changes with each write.
_VERSIONS: Final = "['resourceVersion', 'managedFields', 'generation', 'annotations']"
_OURS: Final = {"matchLabels": {c.LABEL_MANAGED_BY: c.MANAGER_OPERATOR}}


def _same_but(new: str, old: str, but: str) -> str:
    """Whether both maps have the same members, but for some."""
    return f"{new}.all(k, k in {but} || (k in {old} && {new}[k] == {old}[k])) && {old}.all(k, k in {but} || k in {new})"


def telling_policy() -> dict[str, Any]:
    """What the operator may change of a pod."""
    return policy_of(
        TELLING_NAME,
        {"apiGroups": [""], "operations": ["UPDATE"], "resources": ["pods", "pods/*"]},
        matchConditions=[OF_THE_OPERATOR],
        variables=[
            {"name": "new", "expression": "object.metadata.?annotations.orValue({})"},
            {"name": "old", "expression": "oldObject.metadata.?annotations.orValue({})"},
            {"name": "isWorker", "expression": f"oldObject.metadata.?labels[?'{c.LABEL_POOL}'].hasValue()"},
        ],
        validations=[
            forbid(
                "request.?subResource.orValue('') == '' && "
                f"oldObject.metadata.?labels[?'{c.LABEL_MANAGED_BY}'] == optional.of('{c.MANAGER_OPERATOR}')",
                "metadata.labels: the operator changes no pods but those of its Jobs; leave others alone",
            ),
            *_annotations(),
            forbid(
                _same_but("object.metadata", "oldObject.metadata", _VERSIONS),
                "metadata: the operator changes nothing of a pod but that annotation; leave labels and owners alone",
            ),
            forbid(
                _same_but("object.spec", "oldObject.spec", f"['{_DEADLINE}']")
                + f" && ((!variables.isWorker && !has(oldObject.spec.{_DEADLINE}) && "
                f"variables.old[?'{c.ANNOTATION_INPUTS}'] == optional.of('')) || "
                f"object.spec.?{_DEADLINE} == oldObject.spec.?{_DEADLINE})",
                f"spec: with its inputs a pod is given its {_DEADLINE}, if it has none and is no worker; leave all "
                "else, such as images",
            ),
        ],
    )


def _annotations() -> list[dict[str, str]]:
    inputs, again, work = f"'{c.ANNOTATION_INPUTS}'", f"'{c.ANNOTATION_TOLD_AGAIN}'", f"'{c.ANNOTATION_WORK}'"
    times = [str(time) for time in range(1, len(c.TOLD_AGAIN_SECONDS) + 1)]
    return [
        forbid(
            f"variables.isWorker || (variables.old[?{inputs}] == optional.of('') ? "
            f"variables.new[?{inputs}].orValue('') != '' && "
            + _same_but("variables.new", "variables.old", f"[{inputs}]")
            + f" : {inputs} in variables.old && variables.new[?{again}].orValue('') in {times} && "
            + _same_but("variables.new", "variables.old", f"[{again}]")
            + ")",
            f"metadata.annotations: a pod is told its inputs once, in {c.ANNOTATION_INPUTS}, where that is empty, and "
            f"then again by a number in {c.ANNOTATION_TOLD_AGAIN}; leave the other annotations as they are",
        ),
        forbid(
            f"!variables.isWorker || ({work} in variables.old && variables.new[?{work}].orValue('') != '' && "
            f"size(bytes(variables.new[?{work}].orValue(''))) <= {MAX_ORDER_BYTES} && "
            + _same_but("variables.new", "variables.old", f"[{work}]")
            + ")",
            f"metadata.annotations: a worker is told its work in {c.ANNOTATION_WORK}, if it was made with one, in at "
            f"most {MAX_ORDER_BYTES} bytes; leave the other annotations as they are",
        ),
    ]


def words_policy() -> dict[str, Any]:
    """What everybody else may change of the labels and annotations of Jobs and pods of the operator: not ours."""
    ours = f"(k.startsWith('{c.GROUP}/') || k == '{c.LABEL_MANAGED_BY}')"
    same = []
    for field in ("labels", "annotations"):
        new, old = (f"{each}.metadata.?{field}.orValue({{}})" for each in ("object", "oldObject"))
        same.append(
            f"{new}.all(k, !{ours} || {old}[?k] == optional.of({new}[k])) && {old}.all(k, !{ours} || k in {new})"
        )
    made = policy_of(
        WORDS_NAME,
        {
            "apiGroups": ["", "batch"],
            "operations": ["UPDATE"],
            "resources": ["pods", "pods/*", "jobs", "jobs/*"],
        },
        matchConditions=[
            {"name": "others", "expression": OF_THE_OPERATOR["expression"].replace("==", "!=")},
            {
                "name": "ours",
                "expression": (
                    f"oldObject.?metadata.?labels[?'{c.LABEL_MANAGED_BY}'] == optional.of('{c.MANAGER_OPERATOR}')"
                ),
            },
        ],
        validations=[
            forbid(
                " && ".join(same),
                f"metadata: labels and annotations of {c.GROUP} on Jobs and pods of {c.MANAGER_OPERATOR} are its word; "
                "change the AudioJob instead",
            )
        ],
    )
    made["spec"]["matchConstraints"]["objectSelector"] = _OURS
    return made


def policies() -> list[dict[str, Any]]:
    """Both."""
    return [telling_policy(), words_policy()]


if __name__ == "__main__":
    write(template(*policies()))
