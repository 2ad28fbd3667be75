"""Somebody else who writes in the same folder, between two system calls of the code under test."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

CALLS = ("open", "scandir", "listdir", "unlink", "link", "rmdir", "rename", "stat", "mkdir", "chmod")


@contextmanager
def attack_before_call(monkeypatch: pytest.MonkeyPatch, number: int, attack: Callable[[], None]) -> Iterator[list[str]]:
    """Between two system calls of the code under test, before the one of that number, somebody else acts."""
    seen: list[str] = []

    def watched(name: str) -> Callable[..., object]:
        real = getattr(os, name)

        def call(*args: object, **kwargs: object) -> object:
            seen.append(name)
            if len(seen) == number:
                with monkeypatch.context() as unwatched:
                    for each, function in originals.items():
                        unwatched.setattr(os, each, function)
                    attack()
            return real(*args, **kwargs)

        return call

    originals = {name: getattr(os, name) for name in CALLS}
    with monkeypatch.context() as patch:
        for name in CALLS:
            patch.setattr(os, name, watched(name))
        yield seen


def swap(path: Path, target: Path | str) -> Callable[[], None]:
    """The folder moves away and a link takes its name."""

    def act() -> None:
        with suppress(OSError):
            path.rename(path.with_name("away"))
        with suppress(OSError):
            path.symlink_to(target)

    return act
