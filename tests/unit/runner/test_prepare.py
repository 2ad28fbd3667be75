"""What is loaded ahead: what a task's module offers, and nothing where that fails."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any, NoReturn

import pytest

from audiojob_runner.errors import PhaseError
from audiojob_runner.models.demucs import LoadedModel, load_ahead
from audiojob_runner.prepare import choose, prepare
from audiojob_types.models import UNTRAINED_MODEL
from audiojob_types.parameters import resolve_parameters
from audiojob_types.tasks import Task

PARAMETERS = resolve_parameters(Task.SIMULATE, {})


def raising(error: BaseException) -> Callable[..., NoReturn]:
    def hook(*_: Any) -> NoReturn:
        raise error

    return hook


HOOKS: dict[str, tuple[Callable[..., Any] | None, object | None]] = {
    "what the task's hook makes is handed on": (lambda parameters, root: (parameters, root), (PARAMETERS, Path("/m"))),
    "a task without a hook loads nothing": (None, None),
    "a failure is none of the phase": (raising(PhaseError(64, "InvalidSpec", "No model.")), None),  # type: ignore[arg-type]
    "nor is a library that would end the process": (raising(SystemExit(1)), None),
}


@pytest.mark.parametrize(("hook", "found"), HOOKS.values(), ids=HOOKS.keys())
def test_before_the_inputs_are_there(
    monkeypatch: pytest.MonkeyPatch, hook: Callable[..., Any] | None, found: object | None
) -> None:
    module = ModuleType("audiojob_runner.tasks.simulate")
    if hook is not None:
        module.prepare = hook  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, module.__name__, module)
    assert prepare(Task.SIMULATE, PARAMETERS, Path("/m")) == found


def test_a_task_that_this_image_cannot_load_is_not_loaded_ahead(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "audiojob_runner.tasks.simulate", None)
    assert prepare(Task.SIMULATE, PARAMETERS, Path("/m")) is None


def test_a_model_that_is_not_there_cannot_be_loaded_ahead(tmp_path: Path) -> None:
    with pytest.raises(PhaseError, match=r"mdx\.yaml is not in"):
        load_ahead("mdx", tmp_path, 0)


def test_a_loaded_model_fits_until_its_files_change(tmp_path: Path) -> None:
    listing, weights = tmp_path / "mdx.yaml", tmp_path / "aaaa-0123.th"
    listing.write_text("models: ['aaaa']")
    weights.write_bytes(b"one")
    files = tuple(
        (path.name, path.stat().st_ino, path.stat().st_size, path.stat().st_mtime_ns) for path in (listing, weights)
    )
    loaded = LoadedModel("mdx", 0, files, None)
    assert loaded.fits("mdx", tmp_path, 0)
    assert loaded.fits("mdx", tmp_path, 7), "published weights depend on no seed"
    assert not loaded.fits("mdx_q", tmp_path, 0)
    weights.write_bytes(b"another")
    assert not loaded.fits("mdx", tmp_path, 0)
    weights.unlink()
    assert not loaded.fits("mdx", tmp_path, 0)


def test_an_untrained_model_fits_its_seed_alone(tmp_path: Path) -> None:
    loaded = LoadedModel(UNTRAINED_MODEL, 3, (), None)
    assert loaded.fits(UNTRAINED_MODEL, tmp_path, 3)
    assert not loaded.fits(UNTRAINED_MODEL, tmp_path, 4)


def test_of_what_was_made_the_first_is_chosen_that_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    module = ModuleType("audiojob_runner.tasks.simulate")
    monkeypatch.setitem(sys.modules, module.__name__, module)
    assert choose(Task.SIMULATE, [1, 2, 3], PARAMETERS, Path("/m")) == 1
    module.fits = lambda made, _parameters, _root: made > 1  # type: ignore[attr-defined]
    assert choose(Task.SIMULATE, [1, 2, 3], PARAMETERS, Path("/m")) == 2
    assert choose(Task.SIMULATE, [1], PARAMETERS, Path("/m")) is None
