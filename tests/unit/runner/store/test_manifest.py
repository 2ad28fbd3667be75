from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from audiojob_runner.store import open_store
from audiojob_runner.store.manifest import build_manifest, encode, find_published, fingerprint
from audiojob_types.contract import FolderStore, ManifestOutput, PhaseInput
from audiojob_types.parameters import resolve_parameters

MANIFEST = {"key": "demo/u/a/1-x/manifest.json", "sha256": "a" * 64, "count": 1}


def phase(**fields: Any) -> PhaseInput:
    basis: dict[str, Any] = {
        "job": "song",
        "namespace": "demo",
        "uid": "u",
        "phase": "work",
        "attempt": 1,
        "task": "Simulate",
        "outputPrefix": "demo/u/work",
    }
    return PhaseInput.model_validate(basis | fields)


def mark(**fields: Any) -> str:
    made = phase(**fields)
    return fingerprint(made, resolve_parameters(made.task, made.parameters))


@pytest.mark.parametrize(
    "fields",
    [
        pytest.param({"attempt": 7}, id="the attempt"),
        pytest.param({"device": "GPU"}, id="the device"),
        pytest.param({"limits": {"softSeconds": 5}}, id="a limit"),
        pytest.param({"parameters": {"progressSteps": 10}}, id="a default written out"),
        pytest.param({"expiresTime": "2030-01-01T00:00:00Z"}, id="the time of expiry"),
    ],
)
def test_the_fingerprint_does_not_depend_on(fields: dict[str, Any]) -> None:
    assert mark(**fields) == mark()


@pytest.mark.parametrize(
    "fields",
    [
        pytest.param({"parameters": {"outputBytes": 1}}, id="a parameter"),
        pytest.param({"task": "Normalize"}, id="the task"),
        pytest.param({"inputs": [{"name": "a", "manifest": MANIFEST, "output": "x"}]}, id="an input"),
        pytest.param({"inputs": [{"name": "a", "manifest": MANIFEST, "output": "y"}]}, id="the output of an input"),
        pytest.param(
            {"inputs": [{"name": "a", "manifest": MANIFEST | {"sha256": "b" * 64}, "output": "x"}]},
            id="the sum of an input",
        ),
    ],
)
def test_the_fingerprint_depends_on(fields: dict[str, Any]) -> None:
    others = [{}, {"inputs": [{"name": "b", "manifest": MANIFEST, "output": "x"}]}]
    assert mark(**fields) not in [mark(**other) for other in others]


def test_the_order_of_inputs_does_not_matter() -> None:
    first = {"name": "a", "url": "https://example.org/a"}
    second = {"name": "b", "url": "https://example.org/b"}

    assert mark(inputs=[first, second]) == mark(inputs=[second, first])


def test_the_lowest_whole_attempt_with_the_same_mark_is_found(tmp_path: Path) -> None:
    store = open_store(FolderStore(root=str(tmp_path)), tmp_path)
    output = ManifestOutput(name="output", file="o.bin", media_type="x/y", bytes=3, sha256="0" * 64)
    for folder, content, mark_ in (
        ("2-bbbbbbbb", b"12", "f" * 64),  # shorter than its manifest says
        ("10-cccccccc", b"123", "f" * 64),
        ("9-dddddddd", b"123", "f" * 64),
        ("1-eeeeeeee", b"123", "e" * 64),  # other work
    ):
        store.write(f"demo/u/work/{folder}/o.bin", content)
        made = build_manifest(phase(), mark_, [output], {}, datetime.now(UTC))
        store.write(f"demo/u/work/{folder}/manifest.json", encode(made))
    store.write("demo/u/work/3-unfinished/o.bin", b"123")
    store.write("demo/u/work/strange/manifest.json", b"[]")

    found = find_published(store, "demo/u/work", "f" * 64)

    assert found is not None
    assert found.ref.key == "demo/u/work/9-dddddddd/manifest.json"
    assert find_published(store, "demo/u/work", "d" * 64) is None
    assert find_published(store, "demo/u/other", "f" * 64) is None


def test_a_manifest_of_a_newer_runner_is_read_and_its_unknown_fields_are_passed_over(tmp_path: Path) -> None:
    store = open_store(FolderStore(root=str(tmp_path)), tmp_path)
    output = ManifestOutput(name="output", file="o.bin", media_type="x/y", bytes=3, sha256="0" * 64)
    record = json.loads(encode(build_manifest(phase(), "f" * 64, [output], {}, datetime.now(UTC))))
    record["colour"] = "red"
    record["outputs"][0]["loudness"] = {"integrated": -14}
    store.write("demo/u/work/1-aaaaaaaa/o.bin", b"123")
    store.write("demo/u/work/1-aaaaaaaa/manifest.json", json.dumps(record).encode())

    found = find_published(store, "demo/u/work", "f" * 64)

    assert found is not None
    assert found.manifest.outputs == (output,)
