"""Which tests may run beside each other: whole files on several workers; end-to-end tests, which share one cluster, in
threads of one worker where they are marked."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from functools import partial
from itertools import takewhile
from queue import PriorityQueue
from typing import Any, Final

import pytest
from _pytest.runner import runtestprotocol
from xdist.scheduler.loadscope import LoadScopeScheduling
from xdist.workermanage import WorkerController

E2E: Final = "tests/e2e"
UNIT: Final = "tests/unit"
SHORT_SECONDS: Final = 0.05
GIVES_WAY: Final = 5  # a third of the processor time, where there is not enough


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


def tell_shortly(item: pytest.Item, nextitem: pytest.Item | None) -> bool:
    """Run the test as pytest does, but report no set-up or teardown that passed, said nothing and took no time.

    Each report costs worker and controller as much as one of our shortest tests, and nobody sees two thirds of them.
    """
    item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
    for report in runtestprotocol(item, nextitem=nextitem, log=False):
        if report.when == "call" or not report.passed or report.sections or report.duration > SHORT_SECONDS:
            item.ihook.pytest_runtest_logreport(report=report)
    item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
    return True


def give_way() -> None:
    """This worker, and what it starts from now on, leaves processors to end-to-end tests: theirs is the longest way.

    All pods together have the weight of one process.
    """
    os.nice(GIVES_WAY)


def take_precedence() -> None:
    """Undoes it, for the worker that has the end-to-end tests: it is root's."""
    os.nice(-GIVES_WAY)


def scheduler(config: pytest.Config, log: object) -> FilesBesideEachOther:
    """For ``pytest_xdist_make_scheduler``; ``log`` is xdist's own."""
    config.option.loadscopereorder = False
    return FilesBesideEachOther(config, log)


class SideBySide:
    """Runs marked tests beside each other, a few at a time: most of what they do is to wait for pods.

    ``beside_others``: begins as soon as there is room, before its turn, where all its fixtures are those of the session
    or a package, or of the module that has its turn. ``in_turn``: in its order, while others are at work. A test
    without a mark is alone. Whenever a test began, it is reported at its turn, with its own result.
    """

    def __init__(self, most: int) -> None:
        self._threads = [threading.Thread(target=self._work, daemon=True) for _ in range(most)]
        self._waiting: PriorityQueue[tuple[int, Future[None], Callable[[], None]]] = PriorityQueue()
        self._begun: dict[str, Future[None]] = {}

    def call(self, item: pytest.Function) -> bool:
        """Wait for the test if it began before, and raise what it raised; False if it is to be called now."""
        for place, each in self._may_begin(item):
            self._begin(place, each, item._request)
        if item.nodeid not in self._begun:
            return False
        self._begun[item.nodeid].result()
        return True

    def _may_begin(self, item: pytest.Function) -> Iterator[tuple[int, pytest.Function]]:
        """This test and those after it, until one that is to be alone, but for those that wait for their turn."""
        items = item.session.items
        for place, each in takewhile(lambda pair: _in_company(pair[1]), list(enumerate(items))[items.index(item) :]):
            if isinstance(each, pytest.Function) and each.nodeid not in self._begun and _begins_early(each, item):
                yield place, each

    def _begin(self, place: int, item: pytest.Function, now: pytest.FixtureRequest) -> None:
        """With what it needs, by the request of the test that has its turn; one that cannot have that says so later."""
        parameters = _parameters(item)
        with contextlib.suppress(Exception, pytest.fail.Exception, pytest.skip.Exception):
            made = {name: now.getfixturevalue(name) for name in _fixtures(item)}
            arguments = {name: {**made, **parameters}[name] for name in item._fixtureinfo.argnames}
            result: Future[None] = Future()
            self._begun[item.nodeid] = result
            self._waiting.put((place, result, partial(item.obj, **arguments)))
            for thread in self._threads:
                if not thread.ident:
                    thread.start()

    def _work(self) -> None:
        """One of the threads: whatever has its turn first."""
        while True:
            _, result, call = self._waiting.get()
            try:
                result.set_result(call())
            except BaseException as error:  # noqa: BLE001 - also pytest's own, all are raised where the result is asked for
                result.set_exception(error)


def alone_last(items: list[pytest.Item]) -> None:
    """Those that run beside each other first: whatever is to be alone would divide them."""
    places = [place for place, item in enumerate(items) if item.nodeid.startswith(f"{E2E}/")]
    ordered = sorted((items[place] for place in places), key=lambda item: not _in_company(item))
    for place, item in zip(places, ordered, strict=True):
        items[place] = item


def _in_company(item: pytest.Item) -> bool:
    return any(item.get_closest_marker(name) for name in ("beside_others", "in_turn"))


def _begins_early(item: pytest.Function, now: pytest.Function) -> bool:
    """Whether it needs nothing that is made for it alone, or for the tests of a module that has not its turn."""
    scopes = {"session", "package"} | ({"module"} if item.module is now.module else set())
    return item.get_closest_marker("beside_others") is not None and scopes.issuperset(_fixtures(item).values())


def _fixtures(item: pytest.Function) -> dict[str, str]:
    """The scopes of its fixtures by name, without those that stand for its parameters."""
    found = item._fixtureinfo.name2fixturedefs
    names = [name for name in item._fixtureinfo.names_closure if name in found and name not in _parameters(item)]
    return {name: found[name][-1].scope for name in names}


def _parameters(item: pytest.Function) -> dict[str, Any]:
    return item.callspec.params if hasattr(item, "callspec") else {}
