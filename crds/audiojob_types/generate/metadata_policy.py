"""The ValidatingAdmissionPolicy for the metadata of our kinds, generated as a template of the chart.

``python -m audiojob_types.generate.metadata_policy FILE`` writes it. A schema bounds spec and status; of the metadata
the API server bounds little, and an object that has grown to what etcd takes can never be written again. Metadata of
our own domain says on whose behalf a job was made, so only those who may vouch for it set it: RBAC's verb `attest`.

What is over a limit already may stay as it is or shrink: objects from before the policy can be changed and ended.
Sizes are those of the JSON that etcd stores, in which one character may take six bytes.
"""

from __future__ import annotations

from typing import Any, Final

from audiojob_types import constants as c
from audiojob_types.generate.admission_policy import forbid, policy_of, template, write

NAME: Final = "audiojob-metadata"
_LAST_APPLIED: Final = "kubectl.kubernetes.io/last-applied-configuration"
# f:spec, f:phases, k:{"name":…}, f:parameters, f:download, f:headers, one of them: no field of ours lies deeper.
_FIELD_DEPTH: Final = 8
_TOO_DEEP: Final = 2**31
# What JSON writes with a backslash before it; what Go writes as \u003c.
_TWO_BYTES: Final = r"""["\\\\]"""
_SIX_BYTES: Final = r"[\\x00-\\x1f<>&\\x{2028}\\x{2029}]"
_AROUND_A_KEY: Final = 6  # "":{},
_MAY_ATTEST: Final = (
    f"authorizer.group('{c.GROUP}').resource(request.resource.resource).namespace(request.namespace)"
    f".check('{c.VERB_ATTEST}').allowed()"
)


def _stored(text: str) -> str:
    """The bytes that a text of any characters takes."""
    return f"size(bytes({text})) + size({text}.findAll('{_TWO_BYTES}')) + 5 * size({text}.findAll('{_SIX_BYTES}'))"


def _key_sum(at: str, depth: int = _FIELD_DEPTH) -> str:
    """Bytes of all keys of nested maps; far too many where they are nested deeper than any field of ours."""
    if not depth:
        return f"size({at}) * {_TOO_DEEP}"
    name = f"k{depth}"
    return f"{at}.map({name}, {_AROUND_A_KEY} + {_stored(name)} + {_key_sum(f'{at}[{name}]', depth - 1)}).sum()"


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
    annotations = f"%s.map(k, k == '{_LAST_APPLIED}' ? 0 : size(k) + {_stored('%s[k]')}).sum()"
    owners = f"%s.map(o, {' + '.join(_stored(f'o.{part}') for part in ('apiVersion', 'kind', 'name', 'uid'))}).sum()"
    return [
        # The API server lets only ASCII into labels and finalizers.
        *_of("labels", "{}", "%s.map(k, size(k) + size(%s[k])).sum()"),
        *_of("annotations", "{}", annotations),
        *_of("finalizers", "[]", "%s.map(f, size(f)).sum()"),
        *_of("ownerReferences", "[]", owners),
        *_of("managedFields", "[]", f"%s.map(m, {_key_sum('m.?fieldsV1.orValue({})')}).sum()"),
        {"name": "mayAttest", "expression": _MAY_ATTEST},
    ]


def _limit(field: str, count: int, size: int) -> dict[str, str]:
    now, before = (f"variables.{state}" for state in _states(field))
    return {
        "expression": f"({_at_most(f'size({now})', f'size({before})', count)}) && ({_size_at_most(field, size)})",
        "message": f"metadata.{field} may have at most {count} entries and {size} bytes; remove some",
        "reason": "Invalid",
    }


def _at_most(now: str, before: str, most: int) -> str:
    return f"{now} <= {most} || {now} <= {before}"


def _size_at_most(field: str, most: int) -> str:
    return _at_most(f"variables.{field}Size", f"variables.{field}SizeBefore", most)


def _managers() -> dict[str, str]:
    """Of those that update, the API server keeps ten; and whoever fills the record must not keep the API out of it."""
    now, before = (f"size(variables.{state}.filter(m, m.operation == 'Apply'))" for state in _states("managedFields"))
    sizes = _size_at_most("managedFields", c.MAX_MANAGED_FIELDS_BYTES)
    more = _size_at_most("managedFields", 2 * c.MAX_MANAGED_FIELDS_BYTES)
    return {
        "expression": f"({_at_most(now, before, c.MAX_MANAGERS)}) && ({sizes} || (({more}) && variables.mayAttest))",
        "message": (
            f"metadata.managedFields may have at most {c.MAX_MANAGERS} entries of server-side apply and "
            f"{c.MAX_MANAGED_FIELDS_BYTES} bytes; remove some"
        ),
        "reason": "Invalid",
    }


def _last_applied() -> dict[str, str]:
    at = f"['{_LAST_APPLIED}']"
    now, before = f"variables.newAnnotations{at}", f"variables.oldAnnotations{at}"
    return {
        "expression": (
            f"!('{_LAST_APPLIED}' in variables.newAnnotations) || {_stored(now)} <= {c.MAX_LAST_APPLIED_BYTES} || "
            f"('{_LAST_APPLIED}' in variables.oldAnnotations && {_stored(now)} <= {_stored(before)})"
        ),
        "message": (
            f"metadata.annotations: {_LAST_APPLIED} may have at most {c.MAX_LAST_APPLIED_BYTES} bytes; "
            "use kubectl create, or kubectl apply --server-side"
        ),
        "reason": "Invalid",
    }


def _reserved(field: str) -> dict[str, str]:
    now, before = (f"variables.{state}" for state in _states(field))
    # Keys of annotations may have capital letters.
    ours = f"(k.lowerAscii().startsWith('{c.GROUP}/') || k.lowerAscii().contains('.{c.GROUP}/'))"
    return forbid(
        f"({now}.all(k, !{ours} || (k in {before} && {before}[k] == {now}[k])) && "
        f"{before}.all(k, !{ours} || k in {now})) || variables.mayAttest",
        f"metadata.{field}: {c.GROUP}/… is reserved; leave it out, or as it is (it takes the right to "
        f"{c.VERB_ATTEST}, which the API has)",
    )


def policy() -> dict[str, Any]:
    """The ValidatingAdmissionPolicy."""
    return policy_of(
        NAME,
        {
            "operations": ["CREATE", "UPDATE"],
            # Not their status: who writes that changes no metadata, and nobody's metadata may hinder it.
            "resources": ["audiojobs", "audiopipelines", "audioqueues", "audioworkerpools"],
        },
        variables=_variables(),
        validations=[
            _limit("labels", c.MAX_LABELS, c.MAX_LABELS_BYTES),
            _limit("annotations", c.MAX_ANNOTATIONS, c.MAX_ANNOTATIONS_BYTES),
            _last_applied(),
            _limit("finalizers", c.MAX_FINALIZERS, c.MAX_FINALIZERS_BYTES),
            _limit("ownerReferences", c.MAX_OWNERS, c.MAX_OWNERS_BYTES),
            _managers(),
            _reserved("labels"),
            _reserved("annotations"),
        ],
    )


if __name__ == "__main__":
    write(template(policy()))
