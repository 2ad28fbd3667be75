"""Weights are read without running anything: real files of torch, honest ones and ones made to do harm."""

from __future__ import annotations

import hashlib
import json
import os
import pickle
import subprocess
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from demucs.demucs import Demucs
from demucs.hdemucs import HDemucs
from demucs.htdemucs import HTDemucs

from audiojob_runner.errors import PhaseError
from audiojob_runner.models.demucs import load_separator
from audiojob_runner.models.volume import LOCK_NAME
from audiojob_runner.models.weights import read_package
from audiojob_types.contract import Device
from audiojob_types.reasons import Reason

SOURCES = ["drums", "bass", "other", "vocals"]
SIGNATURE = "a1b2c3d4"


def package(klass: Any = HDemucs, **kwargs: Any) -> dict[str, Any]:
    """What demucs' own serialize_model makes, with few weights."""
    torch.manual_seed(5)
    given = {"sources": SOURCES, "channels": 4, **kwargs}
    network = klass(**given)
    state = {name: value.half() for name, value in network.state_dict().items()}
    return {"klass": klass, "args": (), "kwargs": given, "state": state, "training_args": {"seed": 42, "tags": ["a"]}}


def store(folder: Path, content: Any, name: str = "htdemucs") -> Path:
    """A model in the volume, with its list and the checksum in its name."""
    path = folder / f"{SIGNATURE}.th"
    torch.save(content, path)
    return publish(folder, path, name)


def publish(folder: Path, path: Path, name: str = "htdemucs") -> Path:
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    (folder / f"{name}.yaml").write_text(f"models: ['{SIGNATURE}']\n", encoding="utf-8")
    return path.rename(folder / f"{SIGNATURE}-{digest[:8]}.th")


def load(folder: Path, name: str = "htdemucs") -> Any:
    return load_separator(name, folder, Device.CPU, seed=0)


def refused(folder: Path) -> PhaseError:
    with pytest.raises(PhaseError) as caught:
        load(folder)
    assert caught.value.exit_code == 64
    assert "'htdemucs'" in caught.value.message
    return caught.value


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(lambda: package(HDemucs), id="HDemucs"),
        pytest.param(lambda: package(Demucs, lstm_layers=0, depth=2), id="Demucs"),
        pytest.param(lambda: package(HTDemucs, dconv_comp=4, t_layers=1, segment=Fraction(39, 5)), id="HTDemucs"),
    ],
)
def test_networks_of_every_class_of_demucs_are_loaded(tmp_path: Path, content: Callable[[], dict[str, Any]]) -> None:
    made = content()
    store(tmp_path, made)
    [network] = load(tmp_path).model.models
    assert type(network) is made["klass"]
    for name, value in network.state_dict().items():
        assert torch.equal(value, made["state"][name].float()), name


def test_a_file_with_all_that_published_ones_hold_can_be_read(tmp_path: Path) -> None:
    """The names in the published htdemucs: the class, a fraction, numbers of numpy, halved tensors, an OrderedDict."""
    made = package(HTDemucs, dconv_comp=4, t_layers=1, segment=Fraction(39, 5), rescale=np.float64(0.1))
    made["metrics"] = {"best": np.float64(0.25), "kept": np.bool_(True), "rows": np.int64(7)}
    path = store(tmp_path, made)
    found = read_package(path)
    assert found["klass"] is HTDemucs
    assert (found["kwargs"]["segment"], found["kwargs"]["rescale"]) == (Fraction(39, 5), 0.1)
    assert load(tmp_path).model.models[0].segment == Fraction(39, 5)


class Harm:
    """Pickles as a call."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.call = function, arguments

    def __reduce__(self) -> tuple[Any, tuple[Any, ...]]:
        return self.call


HARM: dict[str, Callable[[str], Any]] = {
    "a shell command": lambda mark: Harm(os.system, f"touch {mark}"),
    "a process": lambda mark: Harm(subprocess.check_output, ["touch", mark]),
    "code": lambda mark: Harm(eval, f"open({mark!r}, 'w')"),
    "a module of ours": lambda mark: Harm(Path.touch, Path(mark)),
    "torch's own unlimited loading": lambda mark: Harm(torch.hub.load_state_dict_from_url, f"file://{mark}"),
}


@pytest.mark.parametrize("place", ["klass", "args", "kwargs", "state", "training_args", "anything else"])
@pytest.mark.parametrize("harm", HARM.values(), ids=HARM.keys())
def test_a_tampered_file_runs_nothing(tmp_path: Path, harm: Callable[[str], Any], place: str) -> None:
    mark = tmp_path / "mark"
    (tmp_path / "models").mkdir()
    store(tmp_path / "models", package() | {place: harm(str(mark))})
    assert refused(tmp_path / "models").reason is Reason.MODEL_MISSING
    assert not mark.exists()


def test_the_harm_is_real(tmp_path: Path) -> None:
    """What demucs' own loading would have done."""
    mark = tmp_path / "mark"
    path = store(tmp_path, package() | {"klass": HARM["a shell command"](str(mark))})
    torch.load(path, "cpu", weights_only=False)
    assert mark.exists()


def test_a_plain_pickle_runs_nothing(tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    (tmp_path / "models").mkdir()
    path = tmp_path / "models" / f"{SIGNATURE}.th"
    path.write_bytes(pickle.dumps(Harm(os.system, f"touch {mark}")))
    publish(tmp_path / "models", path)
    refused(tmp_path / "models")
    assert not mark.exists()


class NotDemucs(torch.nn.Linear):
    """A class that is none of demucs'."""


STRANGE: dict[str, Callable[[], Any]] = {
    "another class": lambda: package() | {"klass": NotDemucs},
    "another class of demucs": lambda: package() | {"klass": torch.nn.Linear},
    "a class by its name": lambda: package() | {"klass": "demucs.hdemucs.HDemucs"},
    "no class": lambda: {key: value for key, value in package().items() if key != "klass"},
    "no arguments": lambda: package() | {"kwargs": None},
    "arguments that are tensors": lambda: package() | {"args": (torch.zeros(3),)},
    "an argument that the class does not take": lambda: package() | {"args": (1, 2, 3, 4) * 20},
    "no weights": lambda: package() | {"state": {}},
    "weights of another shape": lambda: package() | {"state": {k: v[:0] for k, v in package()["state"].items()}},
    "weights that are numbers": lambda: package() | {"state": {"a": 1}},
    "quantised weights": lambda: package() | {"state": {"__quantized": True}},
    "a list": lambda: [package()],
    "a tensor": lambda: torch.zeros(3),
}


@pytest.mark.parametrize("content", STRANGE.values(), ids=STRANGE.keys())
def test_files_that_make_no_model_are_refused(tmp_path: Path, content: Callable[[], Any]) -> None:
    store(tmp_path, content())
    assert refused(tmp_path).reason is Reason.MODEL_MISSING


@pytest.mark.parametrize(
    "content", [b"", b"PK\x03\x04", b"\x80\x02.", b"no weights"], ids=["empty", "a bare zip", "nothing", "text"]
)
def test_files_that_torch_cannot_read_are_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / f"{SIGNATURE}.th"
    path.write_bytes(content)
    publish(tmp_path, path)
    assert refused(tmp_path).reason is Reason.MODEL_MISSING


def record(folder: Path, name: str, digest: str) -> None:
    entry = {"bytes": 1, "sha256": digest, "recordedTime": "2026-03-01T12:00:00Z"}
    (folder / LOCK_NAME).write_text(json.dumps({"files": {name: entry}}), encoding="utf-8")


def test_F41_a_model_that_is_not_the_recorded_one_is_not_loaded(tmp_path: Path) -> None:  # noqa: N802
    path = store(tmp_path, package())
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    record(tmp_path, path.name, digest)
    assert load(tmp_path)
    # The name fits, as that of a file made for it would; the whole sha256 does not.
    record(tmp_path, path.name, digest[:8] + "0" * 56)
    assert refused(tmp_path).reason is Reason.CHECKSUM_MISMATCH


def test_F41_a_record_that_is_damaged_is_told(tmp_path: Path) -> None:  # noqa: N802
    store(tmp_path, package())
    (tmp_path / LOCK_NAME).write_text("{", encoding="utf-8")
    with pytest.raises(PhaseError) as caught:
        load(tmp_path)
    assert (caught.value.reason, LOCK_NAME in caught.value.message) == (Reason.CHECKSUM_MISMATCH, True)


def test_a_list_that_names_a_path_leads_nowhere(tmp_path: Path) -> None:
    (tmp_path / "models").mkdir()
    store(tmp_path, package())
    (tmp_path / "models/htdemucs.yaml").write_text(f"models: ['../{SIGNATURE}']\n", encoding="utf-8")
    assert refused(tmp_path / "models").reason is Reason.MODEL_MISSING
