"""Walks the generated schemas and holds them to the conventions of the Kubernetes API, and ours."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from audiojob_types.generate.crd import CRDS, header, to_yaml

Schema = dict[str, Any]

ROOT = Path(__file__).parents[4]
CRD_LIMIT = 128 * 1024


def versions(name: str) -> Schema:
    version: Schema = CRDS[name]()["spec"]["versions"][0]
    return version


def walk(node: Schema, path: str) -> Iterator[tuple[str, Schema]]:
    """Every schema below a node with its path: `spec.phases[].name`, `progress{}` for values of maps."""
    yield path, node
    for name, child in node.get("properties", {}).items():
        yield from walk(child, f"{path}.{name}")
    if "items" in node:
        yield from walk(node["items"], f"{path}[]")
    if isinstance(node.get("additionalProperties"), dict):
        yield from walk(node["additionalProperties"], f"{path}{{}}")


def all_nodes() -> list[tuple[str, Schema]]:
    """Nodes of spec and status of all CRDs."""
    found: list[tuple[str, Schema]] = []
    for file in CRDS:
        root = versions(file)["schema"]["openAPIV3Schema"]["properties"]
        for part in ("spec", "status"):
            if part in root:
                found += [(f"{file.removesuffix('s.yaml')}.{path}", node) for path, node in walk(root[part], part)]
    return found


NODES = all_nodes()


def of_type(*kinds: str) -> list[tuple[str, Schema]]:
    return [(path, node) for path, node in NODES if node.get("type") in kinds]


def test_the_walk_sees_the_whole_schema() -> None:
    paths = {path for path, _ in NODES}
    assert {
        "audiojob.spec.source.url",
        "audiojob.spec.parameters.separate.model",
        "audiojob.status.progress{}.percent",
        "audiopipeline.spec.phases[].inputs[].from",
        "audiopipeline.spec.templates.gpu.tolerations[].key",
    } <= paths


def test_every_node_has_a_type_and_every_field_a_description() -> None:
    # A list's or a map's elements are described by the list or map.
    for path, node in NODES:
        assert node.get("type") in {"object", "array", "string", "integer", "boolean"}, path
        if not path.endswith(("[]", "{}")):
            assert node.get("description"), path


def test_descriptions_are_sentences() -> None:
    for path, node in NODES:
        if "description" in node:
            assert node["description"].endswith("."), f"{path}: {node['description']}"
            assert "  " not in node["description"].replace("\n", " "), path


def test_every_string_is_bounded() -> None:
    for path, node in of_type("string"):
        assert node.keys() & {"maxLength", "enum", "format"}, path


def test_every_list_is_bounded_and_says_how_it_is_merged() -> None:
    for path, node in of_type("array"):
        assert "maxItems" in node, path
        kind = node["x-kubernetes-list-type"]
        assert kind in {"map", "atomic", "set"}, path
        if kind == "map":
            for key in node["x-kubernetes-list-map-keys"]:
                required = key in node["items"].get("required", []) or "default" in node["items"]["properties"][key]
                assert required, f"{path}: the key {key} must be required"


def test_managers_of_fields_know_a_status_as_one_value() -> None:
    """Else the API server keeps and compares the names of all of its fields at each write."""
    atomic = {path for path, node in NODES if node.get("x-kubernetes-map-type") == "atomic"}
    assert atomic == {f"{file.removesuffix('s.yaml')}.status" for file in CRDS}


def test_every_map_is_bounded() -> None:
    for path, node in NODES:
        if "additionalProperties" in node:
            assert "maxProperties" in node, path


def test_integers_are_bounded_and_there_are_no_fractions() -> None:
    for path, node in of_type("integer"):
        assert {"minimum", "maximum"} <= node.keys(), path
        assert node["format"] == ("int64" if node["maximum"] >= 2**31 else "int32"), path
    assert of_type("number") == []


def test_nothing_that_a_crd_forbids_or_that_opens_it() -> None:
    forbidden = {
        "$ref", "$defs", "anyOf", "oneOf", "allOf", "const", "nullable", "title", "discriminator",
        "x-kubernetes-preserve-unknown-fields", "x-kubernetes-embedded-resource", "x-kubernetes-int-or-string",
    }  # fmt: skip
    for path, node in NODES:
        assert not node.keys() & forbidden, path
        assert node.get("additionalProperties", {}) is not True, path
        if node["type"] == "object":
            assert node.keys() & {"properties", "additionalProperties"}, f"{path} would lose all of its fields"


def test_field_names_are_camel_case_and_durations_say_seconds() -> None:
    for path, node in NODES:
        name = path.rsplit(".", 1)[-1].rstrip("[]{}")
        assert name[0].islower(), path
        assert "_" not in name, path
        if node["type"] == "integer" and name.lower().endswith(("timeout", "deadline", "duration", "ttl", "interval")):
            pytest.fail(f"{path} does not name its unit")


def test_enums_are_camel_case_words() -> None:
    exceptions = {
        "htdemucs",
        "htdemucs_ft",
        "htdemucs_6s",
        "hdemucs_mmi",
        "mdx",
        "mdx_extra",
        "repro_mdx_a",
        "repro_mdx_a_hybrid_only",
        "repro_mdx_a_time_only",
        "demucs_unittest",
        "audiojob_proof",
        "wav",
        "flac",
        "original",
        "mp3",
        "m4a",
        "opus",
        "mp4",
        "ogg",
        "jpeg",
        "png",
        "webp",
        "webm",
    }
    # Names of stems are those of the files, as demucs has them.
    nodes = [(path, node) for path, node in of_type("string") if not path.endswith("parameters.separate.keep[]")]
    for path, node in nodes:
        for value in node.get("enum", []):
            assert value[0].isupper() or value in exceptions, f"{path}: {value}"


def test_defaults_are_on_optional_fields_only_and_fit_their_schema() -> None:
    for path, node in NODES:
        for name, child in node.get("properties", {}).items():
            if "default" in child:
                assert name not in node.get("required", []), f"{path}.{name}"
                assert None not in _values(child["default"]), f"{path}.{name} has null in its default"
                assert not child.get("enum") or child["default"] in child["enum"], f"{path}.{name}"


def _values(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return [leaf for member in value.values() for leaf in _values(member)]
    return [value]


def test_every_rule_has_a_message_that_names_what_must_be() -> None:
    helpful = ("must", "cannot", "never", "needs")
    for path, node in NODES:
        for rule in node.get("x-kubernetes-validations", []):
            assert any(word in rule["message"] for word in helpful), f"{path}: {rule['message']}"


def test_what_a_user_may_change_is_no_accident() -> None:
    """A new field of the spec is immutable until somebody decides otherwise."""
    spec = versions("audiojobs.yaml")["schema"]["openAPIV3Schema"]["properties"]["spec"]
    rules = " ".join(rule["rule"] for rule in spec["x-kubernetes-validations"] if "oldSelf" in rule["rule"])
    guarded = {name for name in spec["properties"] if f"self.{name} == oldSelf.{name}" in rules}
    assert set(spec["properties"]) - guarded == {
        "suspend",
        "cancel",
        "priority",
        "ttlSecondsAfterFinished",
        "reviews",
    }


def test_nothing_in_a_spec_chooses_how_work_runs() -> None:
    """Users pick what runs, administrators how: no image, account, command, volume or node in an AudioJob."""
    reviewed = {
        "pipeline", "source", "source.url", "source.object", "source.object.key", "parameters", "queueName", "priority",
        "device", "startTime", "activeDeadlineSeconds", "queueTimeoutSeconds", "ttlSecondsAfterFinished", "suspend",
        "cancel", "retry", "retry.limit", "retry.baseSeconds", "retry.capSeconds", "retryOf", "reuse",
        "source.jobRef", "source.jobRef.name", "source.jobRef.output",
        "inputs", "inputs[]", "inputs[].name", "inputs[].text", "inputs[].object", "inputs[].object.key",
        "source.library", "source.library.name", "source.library.path",
        "destination", "destination.library", "destination.layout",
        "reviews", "reviews[]", "reviews[].phase", "reviews[].approved", "reviews[].message",
        "reviews[].inputs", "reviews[].inputs[]", "reviews[].inputs[].name", "reviews[].inputs[].text",
        "reviews[].inputs[].object", "reviews[].inputs[].object.key",
    }  # fmt: skip
    prefix = "audiojob.spec."
    fields = {path.removeprefix(prefix) for path, _ in NODES if path.startswith(prefix)}
    assert {field for field in fields if not field.startswith("parameters.")} == reviewed
    # Of the one task that runs what is not ours, a user gives values for names that the pipeline has, and nothing else.
    assert {field for field in fields if field.startswith("parameters.container")} == {
        "parameters.container",
        "parameters.container.values",
        "parameters.container.values{}",
    }


def test_the_status_subresource_is_on_and_the_columns_exist() -> None:
    job = versions("audiojobs.yaml")
    assert job["subresources"] == {"status": {}}
    names = [column["name"] for column in job["additionalPrinterColumns"]]
    assert names == ["State", "Pipeline", "Percent", "Phase", "Age", "Queue", "Node", "Message"]
    known = {path.removeprefix("audiojob") for path, _ in NODES} | {".metadata.creationTimestamp"}
    for column in job["additionalPrinterColumns"]:
        assert column["jsonPath"].replace("[-1:]", "[]") in known
    assert [field["jsonPath"] for field in job["selectableFields"]] == [
        ".spec.queueName",
        ".spec.pipeline",
        ".status.state",
    ]


@pytest.mark.parametrize("name", CRDS)
def test_size(name: str) -> None:
    assert len(to_yaml(CRDS[name]()).encode()) <= CRD_LIMIT


@pytest.mark.parametrize("folder", ["crds", "charts/audiojob/crds"])
@pytest.mark.parametrize("name", CRDS)
def test_the_committed_files_are_the_generated_ones(folder: str, name: str) -> None:
    text = (ROOT / folder / name).read_text(encoding="utf-8")
    assert text == header() + to_yaml(CRDS[name]()), "run `make generate`"
