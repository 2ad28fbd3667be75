"""What phases can run: one module for each task, which holds its descriptor, ``TASK``, and its parameters.

Modules are found, not listed: a new one here, with the runner's module of the same name, is a new task everywhere. This
folder has as many modules as there are tasks, more than other folders may have: nothing but tasks lives in it, a module
is found by its task's name, and none imports another. They may import the base models and the words of descriptors.
"""

from __future__ import annotations

import importlib
import pkgutil
from enum import EnumType, StrEnum
from typing import TYPE_CHECKING, Final

from audiojob_types.descriptor import TaskDescriptor


def _find() -> dict[str, TaskDescriptor]:
    """Descriptors by the names of their tasks, in alphabetical order."""
    found: dict[str, TaskDescriptor] = {}
    for module in sorted(info.name for info in pkgutil.iter_modules(__path__)):
        descriptor: TaskDescriptor = importlib.import_module(f"{__name__}.{module}").TASK
        if descriptor.module != module:
            raise ImportError(f"{__name__}.{module} describes {descriptor.name}; call it {descriptor.module}.py")
        found[descriptor.name] = descriptor
    return found


_DESCRIPTORS: Final = _find()


class _TaskType(EnumType):
    """Tells type checkers that members exist that no source spells out."""

    if TYPE_CHECKING:

        def __getattr__(cls, name: str) -> Task: ...


class Task(StrEnum, metaclass=_TaskType):
    """The code that a phase runs. Members are named after the modules of this package: ``Task.DOWNLOAD``."""

    locals().update({descriptor.module.upper(): name for name, descriptor in _DESCRIPTORS.items()})

    descriptor: TaskDescriptor
    parameter_key: str  # the member of ``spec.parameters`` that holds the task's parameters

    def __init__(self, name: str) -> None:
        self.descriptor = _DESCRIPTORS[name]
        self.parameter_key = self.descriptor.parameter_key
