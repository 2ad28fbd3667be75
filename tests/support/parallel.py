"""Which tests may run beside each other: whole files, but all end-to-end tests share one cluster, one by one."""

from __future__ import annotations

from typing import Final

import pytest
from xdist.scheduler.loadscope import LoadScopeScheduling
from xdist.workermanage import WorkerController

E2E: Final = "tests/e2e"
UNIT: Final = "tests/unit"


def unit_of_work(nodeid: str) -> str:
    """What runs on one worker, in its order: the file of a test; ``tests/e2e`` for all that needs the cluster."""
    path = nodeid.split("::", 1)[0]
    return E2E if path.startswith(f"{E2E}/") else path


def turn(unit: str) -> int:
    """What is handed out first. Unit tests are last: a file takes a second, so that all workers end together."""
    return 0 if unit == E2E else 2 if unit.startswith(f"{UNIT}/") else 1


class FilesBesideEachOther(LoadScopeScheduling):  # type: ignore[misc] # xdist ships no types
    """Hands out the end-to-end tests first, which take longest, then files in the order of collection, unit tests last.

    xdist's own schedulers would either spread the end-to-end tests or put them last.
    """

    def _split_scope(self, nodeid: str) -> str:
        return unit_of_work(nodeid)

    def _assign_work_unit(self, node: WorkerController) -> None:
        self.workqueue.move_to_end(min(self.workqueue, key=turn), last=False)
        super()._assign_work_unit(node)


def scheduler(config: pytest.Config, log: object) -> FilesBesideEachOther:
    """For ``pytest_xdist_make_scheduler``; ``log`` is xdist's own."""
    config.option.loadscopereorder = False
    return FilesBesideEachOther(config, log)
