"""The ValidatingAdmissionPolicy for the metadata of our kinds, generated as a template of the chart.

``python -m audiojob_types.generate.metadata_policy FILE`` writes it. A schema bounds spec and status; of the metadata
the API server bounds little, and an object that has grown to what etcd takes can never be written again. Metadata of
our own domain says on whose behalf a job was made, so only those who may vouch for it set it: RBAC's verb `attest`.

What is over a limit already may stay as it is or shrink: objects from before the policy can be changed and ended.
"""

from __future__ import annotations

from typing import Any, Final

from audiojob_types import constants as c
from audiojob_types.generate.admission_policy import bind, policy_of, template, write

NAME: Final = "audiojob-metadata"
_LAST_APPLIED: Final = "kubectl.kubernetes.io/last-applied-configuration"
# f:spec, f:phases, k:{"name":…}, f:parameters, f:download, f:headers, one of them: no field of ours lies deeper.
_FIELD_DEPTH: Final = 8
_TOO_DEEP: Final = 2**31


def _byte_sum(mapping: str) -> str:
    return f"{mapping}.map(k, size(k) + size(bytes({mapping}[k]))).sum()"


def _key_sum(at: str, depth: int = _FIELD_DEPTH) -> str:
    """Characters of all keys of nested maps; far too many where they are nested deeper than any field of ours."""
    if not depth:
        return f"size({at}) * {_TOO_DEEP}"
    name = f"k{depth}"
    return f"{at}.map({name}, size({name}) + {_key_sum(f'{at}[{name}]', depth - 1)}).sum()"


def _states(field: str) -> tuple[str, str]:
    """The variables that hold the field as it is and as it was."""
    name = f"{field[0].upper()}{field[1:]}"
    return f"new{name}", f"old{name}"


def _of(field: str, empty: str, measure: str) -> list[dict[str, str]]:
    """Variables: the field as it is and as it was, and how much of it there is. ``measure`` says so of ``%s``."""
    now, before = _states(field)
    return [
        {"name": now, "expression": f"object.metadata.?{field}.orValue({empty})"},
        {
            "name": before,
            "expression": f"request.operation == 'UPDATE' ? oldObject.metadata.?{field}.orValue({empty}) : {empty}",
        },
        {"name": f"{field}Size", "expression": measure.replace("%s", f"variables.{now}")},
        {"name": f"{field}SizeBefore", "expression": measure.replace("%s", f"variables.{before}")},
    ]


def _variables() -> list[dict[str, str]]:
    annotations = f"%s.map(k, k == '{_LAST_APPLIED}' ? 0 : size(k) + size(bytes(%s[k]))).sum()"
    owners = "%s.map(o, size(o.apiVersion) + size(o.kind) + size(o.name) + size(o.uid)).sum()"
    return [
        *_of("labels", "{}", _byte_sum("%s")),
        *_of("annotations", "{}", annotations),
        *_of("finalizers", "[]", "%s.map(f, size(f)).sum()"),
        *_of("ownerReferences", "[]", owners),
        *_of("managedFields", "[]", f"%s.map(m, {_key_sum('m.?fieldsV1.orValue({})')}).sum()"),
    ]


def _limit(field: str, count: int, size: int) -> dict[str, str]:
    now, before = (f"variables.{state}" for state in _states(field))
    return {
        "expression": (
            f"(size({now}) <= {count} || size({now}) <= size({before})) && "
            f"(variables.{field}Size <= {size} || variables.{field}Size <= variables.{field}SizeBefore)"
        ),
        "message": f"metadata.{field} may have at most {count} entries and {size} bytes; remove some",
        "reason": "Invalid",
    }


def _last_applied() -> dict[str, str]:
    at = f"['{_LAST_APPLIED}']"
    now, before = f"variables.newAnnotations{at}", f"variables.oldAnnotations{at}"
    return {
        "expression": (
            f"!('{_LAST_APPLIED}' in variables.newAnnotations) || size(bytes({now})) <= {c.MAX_LAST_APPLIED_BYTES} || "
            f"('{_LAST_APPLIED}' in variables.oldAnnotations && size({now}) <= size({before}))"
        ),
        "message": (
            f"metadata.annotations: {_LAST_APPLIED} may have at most {c.MAX_LAST_APPLIED_BYTES} bytes; "
            "use kubectl create, or kubectl apply --server-side"
        ),
        "reason": "Invalid",
    }


def _reserved(field: str) -> dict[str, str]:
    now, before = (f"variables.{state}" for state in _states(field))
    ours = f"(k.startsWith('{c.GROUP}/') || k.contains('.{c.GROUP}/'))"
    return {
        "expression": (
            f"({now}.all(k, !{ours} || (k in {before} && {before}[k] == {now}[k])) && "
            f"{before}.all(k, !{ours} || k in {now})) || "
            f"authorizer.group('{c.GROUP}').resource(request.resource.resource).namespace(request.namespace)"
            f".check('{c.VERB_ATTEST}').allowed()"
        ),
        "message": (
            f"metadata.{field}: {c.GROUP}/… is reserved; leave it out, or as it is (it takes the right to "
            f"{c.VERB_ATTEST}, which the API has)"
        ),
        "reason": "Forbidden",
    }


def policy() -> dict[str, Any]:
    """The ValidatingAdmissionPolicy."""
    return policy_of(
        NAME,
        {
            "operations": ["CREATE", "UPDATE"],
            # Not their status: who writes that changes no metadata, and nobody's metadata may hinder it.
            "resources": ["audiojobs", "audiopipelines", "audioqueues"],
        },
        variables=_variables(),
        validations=[
            _limit("labels", c.MAX_LABELS, c.MAX_LABELS_BYTES),
            _limit("annotations", c.MAX_ANNOTATIONS, c.MAX_ANNOTATIONS_BYTES),
            _last_applied(),
            _limit("finalizers", c.MAX_FINALIZERS, c.MAX_FINALIZERS_BYTES),
            _limit("ownerReferences", c.MAX_OWNERS, c.MAX_OWNERS_BYTES),
            _limit("managedFields", c.MAX_MANAGERS, c.MAX_MANAGED_FIELDS_BYTES),
            _reserved("labels"),
            _reserved("annotations"),
        ],
    )


def binding() -> dict[str, Any]:
    """Puts the policy in force in every namespace."""
    return bind(NAME)


def to_text() -> str:
    """The Helm template: policy and binding."""
    return template(policy())


if __name__ == "__main__":
    write(to_text())
