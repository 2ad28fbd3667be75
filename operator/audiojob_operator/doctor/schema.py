"""Whether the CRDs that the API server has are those of this version: their fields, compared with the models'."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any, Final

from pydantic import BaseModel

from audiojob_kube.objects import Object
from audiojob_types.constants import GROUP, VERSION
from audiojob_types.resources.job import AudioJobSpec, AudioJobStatus
from audiojob_types.resources.pipeline import AudioPipelineSpec, AudioPipelineStatus
from audiojob_types.resources.queue import AudioQueueSpec, AudioQueueStatus
from audiojob_types.workers.pool import AudioWorkerPoolSpec, AudioWorkerPoolStatus

MODELS: Final[dict[str, dict[str, type[BaseModel]]]] = {
    f"audiojobs.{GROUP}": {"spec": AudioJobSpec, "status": AudioJobStatus},
    f"audiopipelines.{GROUP}": {"spec": AudioPipelineSpec, "status": AudioPipelineStatus},
    f"audioqueues.{GROUP}": {"spec": AudioQueueSpec, "status": AudioQueueStatus},
    f"audioworkerpools.{GROUP}": {"spec": AudioWorkerPoolSpec, "status": AudioWorkerPoolStatus},
}
"""The models of each CRD, by its name."""


@cache
def fields_of(crd_name: str) -> frozenset[str]:
    """The paths of all fields that this version knows of a type, such as ``spec.source.url``."""
    found: set[str] = set()
    for part, model in MODELS[crd_name].items():
        schema = model.model_json_schema(by_alias=True, mode="validation")
        found.update(_paths(schema, schema.get("$defs") or {}, part, ()))
    return frozenset(found)


def fields_served(crd: Object) -> frozenset[str] | None:
    """The paths of all fields of a CRD; None if it does not serve our version."""
    for version in crd["spec"].get("versions") or ():
        if version["name"] == VERSION and version.get("served"):
            schema = (version.get("schema") or {}).get("openAPIV3Schema") or {}
            members = schema.get("properties") or {}
            parts = [(part, members[part]) for part in ("spec", "status") if part in members]
            return frozenset(path for part, node in parts for path in _paths(node, {}, part, ()))
    return None


def _paths(node: dict[str, Any], definitions: dict[str, Any], at: str, within: tuple[str, ...]) -> Iterator[str]:
    """The paths below a node of a JSON schema. ``within``: the definitions that it lies in, since they may recur."""
    if reference := str(node.get("$ref") or "").rpartition("/")[2]:
        if reference not in within:
            yield from _paths(definitions[reference], definitions, at, (*within, reference))
        return
    for kind in ("anyOf", "oneOf", "allOf"):
        for branch in node.get(kind) or ():
            yield from _paths(branch, definitions, at, within)
    for below in ("items", "additionalProperties"):
        if isinstance(node.get(below), dict):
            yield from _paths(node[below], definitions, at, within)
    for name, child in (node.get("properties") or {}).items():
        path = f"{at}.{name}"
        yield path
        yield from _paths(child, definitions, path, within)
