"""An input that stands for all outputs of a phase: each is there by its own name, and compared."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import BinaryIO

import pytest

from audiojob_runner.errors import PhaseError
from audiojob_runner.phase.inputs import Fetcher, read_inputs
from audiojob_runner.store.folder import open_folder
from audiojob_types.contract import (
    ALL_OUTPUTS,
    MAX_PHASE_INPUTS,
    FolderStore,
    Manifest,
    ManifestOutput,
    ManifestRef,
    PhaseInputFile,
    ReadInput,
)
from audiojob_types.reasons import Reason

FOLDER = "demo/uid/speech/1-abcd1234"


def published(root: Path, *names: str) -> PhaseInputFile:
    folder = root / FOLDER
    folder.mkdir(parents=True)
    outputs = []
    for name in names:
        content = name.encode()
        (folder / f"{name}.wav").write_bytes(content)
        digest = hashlib.sha256(content).hexdigest()
        outputs.append(ManifestOutput(name=name, file=f"{name}.wav", media_type="audio/wav", bytes=len(content),
                                      sha256=digest))  # fmt: skip
    manifest = Manifest.model_validate(
        {"job": "song", "namespace": "demo", "uid": "uid", "phase": "speech", "attempt": 1, "task": "Container",
         "fingerprint": "0" * 64, "outputs": [each.to_wire() for each in outputs],
         "createdTime": "2026-11-29T10:00:00Z"}
    )  # fmt: skip
    raw = manifest.model_dump_json(by_alias=True, exclude_none=True).encode()
    (folder / "manifest.json").write_bytes(raw)
    ref = ManifestRef(key=f"{FOLDER}/manifest.json", sha256=hashlib.sha256(raw).hexdigest(), count=len(names))
    return PhaseInputFile(name="spoken", manifest=ref, output=ALL_OUTPUTS)


def fetcher(root: Path, held: dict[str, BinaryIO] | None = None) -> Fetcher:
    return Fetcher(open_folder(FolderStore(root=str(root))), root.parent / "inputs", None, lambda _: None, held=held)


def test_each_output_is_an_input_of_its_own_name(tmp_path: Path) -> None:
    given = published(tmp_path / "store", "speech-1", "speech-2")
    text = PhaseInputFile(name="scenes", text="{}")
    held: dict[str, BinaryIO] = {}
    fetching = fetcher(tmp_path / "store", held)
    found = [fetching.fetch(number, item) for number, item in enumerate(fetching.expand([text, given]))]
    assert [(each.name, each.path.read_text() if each.path else None) for each in found] == [
        ("scenes", "{}"), ("speech-1", "speech-1"), ("speech-2", "speech-2"),
    ]  # fmt: skip
    assert sorted(held) == ["speech-1", "speech-2"]
    assert given.manifest is not None
    told = ReadInput(name="spoken", sha256=given.manifest.sha256)
    assert read_inputs([text, given], found) == (told,)
    assert fetcher(tmp_path / "store").check(given) == told
    for file in held.values():
        file.close()


def test_an_output_that_was_changed_is_noticed(tmp_path: Path) -> None:
    given = published(tmp_path / "store", "speech-1", "speech-2")
    (tmp_path / "store" / FOLDER / "speech-2.wav").write_bytes(b"speech-3")
    fetching = fetcher(tmp_path / "store")
    with pytest.raises(PhaseError) as caught:
        [fetching.fetch(number, item) for number, item in enumerate(fetching.expand([given]))]
    assert caught.value.reason is Reason.CHECKSUM_MISMATCH
    with pytest.raises(PhaseError, match="speech-2"):
        fetcher(tmp_path / "store").check(given)


@pytest.mark.parametrize(
    ("names", "sentence"),
    [
        (("scenes", "speech-1"), "The phase has two inputs named 'scenes'."),
        (tuple(f"n{number}" for number in range(MAX_PHASE_INPUTS)), "The phase has 251 inputs; at most 250"),
    ],
    ids=["a name twice", "too many"],
)
def test_what_no_task_can_be_given(tmp_path: Path, names: tuple[str, ...], sentence: str) -> None:
    given = published(tmp_path / "store", *names)
    with pytest.raises(PhaseError, match=sentence):
        fetcher(tmp_path / "store").expand([PhaseInputFile(name="scenes", text="{}"), given])
