from __future__ import annotations

from hashlib import sha256
from pathlib import Path
from typing import Any
from zlib import crc32

import pytest

from audiojob_runner.errors import PhaseError
from audiojob_runner.phase.publish import Publisher
from audiojob_runner.store import open_store
from audiojob_runner.task import TaskOutput, TaskResult
from audiojob_types.contract import FolderStore, PhaseInput
from audiojob_types.reasons import Reason

PHASE = PhaseInput.model_validate(
    {
        "job": "song",
        "namespace": "demo",
        "uid": "u",
        "phase": "work",
        "attempt": 1,
        "task": "Simulate",
        "outputPrefix": "demo/u/work",
    }
)


@pytest.fixture
def made(tmp_path: Path) -> Path:
    """Files of a task: two good ones, a link and a folder."""
    folder = tmp_path / "work"
    (folder / "folder.wav").mkdir(parents=True)
    for name in ("one.wav", "two.wav", "manifest.json", "log", "bad name.wav", "-x.wav"):
        (folder / name).write_bytes(name.encode() * 1000)
    (folder / "link.wav").symlink_to(folder / "one.wav")
    (tmp_path / "secret.wav").write_bytes(b"a password")
    (folder / "away").symlink_to(tmp_path)
    (folder / "again.wav").hardlink_to(folder / "one.wav")
    return folder


def publisher(tmp_path: Path, on_bytes: Any = lambda _count: None) -> Publisher:
    root = tmp_path / "store"
    root.mkdir(exist_ok=True)
    return Publisher(
        open_store(FolderStore(root=str(root)), root), "demo/u/work/1-abcdef01", tmp_path / "work", on_bytes
    )


def left(tmp_path: Path) -> list[str]:
    return sorted(path.name for path in (tmp_path / "store").rglob("*") if path.is_file())


@pytest.mark.parametrize(
    ("name", "file", "said"),
    [
        pytest.param("two", "absent.wav", "not a file", id="a file that is not there"),
        pytest.param("two", "folder.wav", "not a file", id="a folder"),
        pytest.param("two", "link.wav", "not a file", id="a link"),
        pytest.param("two", "manifest.json", "not allowed", id="the manifest's name"),
        pytest.param("two", "log", "not allowed", id="the log's name"),
        pytest.param("two", "bad name.wav", "not allowed", id="a space in the name"),
        pytest.param("two", "-x.wav", "not allowed", id="a name like an option"),
        pytest.param("one", "two.wav", "two of that name", id="the same name twice"),
        pytest.param("two", "one.wav", "two of that name", id="the same file twice"),
        pytest.param("two", "again.wav", "another name of a file", id="another name of a file that is an output"),
        pytest.param("Two Words", "two.wav", "name", id="an output name that pipelines cannot use"),
        pytest.param("two", "../secret.wav", "outside", id="a file above the folder"),
        pytest.param("two", "/etc/hostname", "outside", id="another file of the container"),
        pytest.param("two", "away/secret.wav", "cannot be published", id="a file behind a folder that is a link"),
    ],
)
def test_a_bad_output_is_refused_and_nothing_stays(tmp_path: Path, made: Path, name: str, file: str, said: str) -> None:
    outputs = [TaskOutput("one", made / "one.wav", "audio/wav"), TaskOutput(name, made / file, "audio/wav")]

    with pytest.raises(PhaseError, match=said):
        publisher(tmp_path).publish(PHASE, "f" * 64, TaskResult(outputs))

    assert left(tmp_path) == []


@pytest.mark.parametrize("calls", [1, 2, 3])
def test_an_interruption_at_any_output_or_before_the_manifest_leaves_nothing(
    tmp_path: Path, made: Path, calls: int
) -> None:
    seen = 0

    def on_bytes(_count: int) -> None:
        nonlocal seen
        seen += 1
        if seen == calls:
            raise PhaseError(143, Reason.STOPPED, "stopped")

    outputs = [TaskOutput(name, made / f"{name}.wav", "audio/wav") for name in ("one", "two")]

    with pytest.raises(PhaseError, match="stopped"):
        publisher(tmp_path, on_bytes).publish(PHASE, "f" * 64, TaskResult(outputs))

    assert left(tmp_path) == []


def test_work_that_another_pod_published_meanwhile_stays_the_only_one(tmp_path: Path, made: Path) -> None:
    outputs = [TaskOutput("one", made / "one.wav", "audio/wav", {"durationSeconds": 1.5})]
    first = publisher(tmp_path).publish(PHASE, "f" * 64, TaskResult(outputs, {"tool": "1"}))
    other = Publisher(publisher(tmp_path).store, "demo/u/work/1-zzzzzzzz", tmp_path / "work", lambda _count: None)

    second = other.publish(PHASE, "f" * 64, TaskResult(outputs))

    assert second.ref == first.ref
    assert left(tmp_path) == ["manifest.json", "one.wav"]
    assert first.manifest.outputs[0].metadata == {"durationSeconds": 1.5}
    assert first.manifest.metadata == {"tool": "1"}


def test_the_manifest_names_what_was_written_by_sha256_and_by_the_crc32_of_zips(tmp_path: Path, made: Path) -> None:
    published = publisher(tmp_path).publish(PHASE, "f" * 64, TaskResult([TaskOutput("one", made / "one.wav", "a/b")]))

    content = (made / "one.wav").read_bytes()
    (output,) = published.manifest.outputs
    assert (output.sha256, output.crc32) == (sha256(content).hexdigest(), f"{crc32(content):08x}")
