"""The reference of the resource types as a page: every field with its type, its default and its meaning."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

Schema = Mapping[str, Any]


def page(crds: list[Mapping[str, Any]], release: str) -> str:
    """Markdown, one section for each type and version."""
    lines = [f"# Resource types of audiojob {release}", ""]
    for crd in sorted(crds, key=lambda one: one["metadata"]["name"]):
        names, group = crd["spec"]["names"], crd["spec"]["group"]
        for version in crd["spec"]["versions"]:
            lines += [f"## {names['kind']} `{group}/{version['name']}`", ""]
            lines += [f"Short name `{short}`." for short in names.get("shortNames") or ()]
            lines += ["", "| field | type | required | default | meaning |", "|---|---|---|---|---|"]
            members = version["schema"]["openAPIV3Schema"]["properties"]
            for part in ("spec", "status"):
                lines += [_row(*field) for field in fields(members.get(part) or {}, part)]
            lines.append("")
    return "\n".join(lines)


def fields(schema: Schema, at: str) -> Iterator[tuple[str, Schema, bool]]:
    """Path, schema and necessity of every field below one; the items of a list are at ``list[]``."""
    required = frozenset(schema.get("required") or ())
    for name, child in sorted((schema.get("properties") or {}).items()):
        path = f"{at}.{name}"
        yield path, child, name in required
        yield from fields(child, path)
        if isinstance(child.get("items"), Mapping):
            yield from fields(child["items"], f"{path}[]")
        if isinstance(child.get("additionalProperties"), Mapping):
            yield from fields(child["additionalProperties"], f"{path}.*")


def _row(path: str, schema: Schema, required: bool) -> str:
    kind = schema.get("type") or "any"
    if kind == "array":
        kind = f"list of {(schema.get('items') or {}).get('type') or 'any'}"
    if values := schema.get("enum"):
        kind = " or ".join(f"`{value}`" for value in values)
    default = f"`{json.dumps(schema['default'])}`" if "default" in schema else ""
    cells = [f"`{path}`", kind, "yes" if required else "", default, schema.get("description") or ""]
    return "| " + " | ".join(" ".join(str(cell).split()).replace("|", "\\|") for cell in cells) + " |"
