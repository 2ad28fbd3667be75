"""The workers of a pool on a real API server: made, told, replaced and taken away; the test plays their pods."""

from __future__ import annotations

import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.integration.operator.conftest import Space, make_pipeline, make_space
from tests.integration.operator.workers.pools import Pool, live
from tests.support.faults.proxy import FaultProxy, Strike, Write
from tests.support.operator_process import OperatorProcess

from audiojob_dev.cluster.apiserver import LocalApiServer
from audiojob_types.constants import LABEL_POOL


@pytest.fixture
def operator(space: Space, kubeconfig: Path, tmp_path: Path) -> Iterator[OperatorProcess]:
    lease = {"AUDIOJOB_LEASE__NAME": space.namespace}
    with OperatorProcess(kubeconfig, [space.namespace], tmp_path / "log", **lease) as running:
        yield running


@pytest.mark.usefixtures("operator")
def test_the_life_of_a_pool(space: Space) -> None:
    pool = Pool(space, minWorkers=1, maxWorkers=2)
    pool.until(lambda: len(space.pods()) == 1, "a worker stays without work")
    pool.until(lambda: pool.status().get("starting") == 1, "its status says so")
    assert pool.status()["nextNumber"] == 1
    assert pool.orders()[0]["idleSeconds"] is None
    first = pool.jobs()[0]["metadata"]["name"]
    pool.start_pods()
    pool.until(lambda: pool.status().get("idle") == 1, "it waits for work")

    pool.edit_order("no order")
    pool.until(pool.readable, "an order that somebody broke is written anew")

    pool.patch(resources={"memory": "256Mi"})
    pool.until(lambda: pool.numbers() == [0, 1], "another one is made of the pool as it is now")
    pool.until(lambda: [order["drain"] for order in pool.orders()].count(True) == 1, "the old one ends")
    pool.patch(minWorkers=0, maxWorkers=0)
    pool.until(lambda: all(order["drain"] for order in pool.orders()), "a closed pool keeps none")
    pool.until(lambda: pool.status().get("desired") == 0, "and wants none")
    assert pool.status()["message"].startswith("The pool is closed")

    pool.until(lambda: len(pool.pods()) == 1, "the one that has not started is taken away")
    pool.play()
    why = "The pool, an image or a setting of the operator has changed."
    pool.until(
        lambda: f"Worker {first} ended after 0 phases: {why}" in pool.told(), "an event tells why the first one went"
    )
    assert f"Started worker {first}: minWorkers is 1." in pool.told(), "and why it came"


def _kind(write: Write) -> str:
    parts = write.path.split("?")[0].split("/")
    return f"{write.method} {next(each for each in ('status', 'jobs', 'pods', 'events') if each in parts)}"


class Mortal:
    """An operator that is killed after its first write, before it has the answer, the next one after its second, and so
    on in turn. After each first one it would never get to a Job: the number of that is written first, and given once.
    """

    def __init__(self, space: Space, proxy: FaultProxy, folder: Path) -> None:
        self._space, self._proxy = space, proxy
        lease = {"AUDIOJOB_LEASE__NAME": space.namespace}
        config = proxy.write_kubeconfig(folder / "config")
        self.operator = OperatorProcess(config, [space.namespace], folder / "log", **lease)
        self.created = Counter[str]()
        self.lives = 0
        self.after: set[str] = set()  # kinds of writes that were a life's last
        self._arm()

    def _arm(self) -> None:
        number = 1 + self.lives % 2
        self._proxy.begin(Strike(self._space.namespace, number, answered=False, act=self._kill))

    def _kill(self) -> None:
        self.operator.send(signal.SIGKILL)

    def until(self, check: Callable[[], bool], what: str, pool: Pool) -> None:
        """Live until it is so."""
        deadline = time.monotonic() + 60
        while not check():
            assert time.monotonic() < deadline, f"{what}: {pool.status()} {pool.numbers()}{self.operator.story()}"
            pool.play()
            try:
                assert self.operator.wait(0.05) == -signal.SIGKILL, self.operator.story()
            except subprocess.TimeoutExpired:
                continue
            writes = self._proxy.record.writes_to(self._space.namespace)
            self.created += Counter(each.name for each in writes if each.status == 201 and _kind(each) == "POST jobs")
            self.after |= {_kind(each) for each in writes[-1:]}
            self.lives += 1
            self._arm()
            self.operator.start()


def test_a_pool_lives_with_an_operator_that_is_killed_again_and_again_after_a_write(
    space: Space, proxy: FaultProxy, tmp_path: Path
) -> None:
    pool = Pool(space, minWorkers=1, maxWorkers=0)
    mortal = Mortal(space, proxy, tmp_path)
    most = 0

    def up(*, numbers: int) -> bool:
        nonlocal most
        most = max(most, live(pool.jobs()))
        return len(pool.numbers()) == 1 and pool.numbers()[0] >= numbers and pool.status().get("idle") == 1

    with mortal.operator:
        mortal.until(lambda: bool(pool.status().get("message")), "it is closed", pool)
        assert pool.numbers() == []
        assert pool.scale(2)["spec"]["replicas"] == 2
        mortal.until(lambda: up(numbers=0), "an autoscaler opens it", pool)
        assert pool.scale()["status"] == {"replicas": 1, "selector": f"{LABEL_POOL}=warm"}
        assert len(pool.pods()) == 1
        first = pool.numbers()[0]
        pool.patch(resources={"memory": "256Mi"})
        mortal.until(lambda: up(numbers=first + 1), "another one in the first one's place, which is gone", pool)
        pool.scale(0)
        mortal.until(lambda: pool.jobs() == [] and not pool.status().get("workers"), "it is closed again", pool)
    assert set(mortal.created.values()) == {1}, "no worker is made twice"
    assert len(mortal.created) == 2, "nor one too many: a number whose Job was not made yet stays unused"
    assert most <= 2
    assert mortal.after >= {"PATCH status", "POST jobs"}, "it was killed with a number taken, and with a Job made"


def test_two_pools_share_a_gpu_and_none_has_it_for_itself(
    controllers: LocalApiServer, kubeconfig: Path, tmp_path: Path
) -> None:
    space = make_space(controllers, device="GPU", workerPool={"name": "second"})
    more = {"AUDIOJOB_LEASE__NAME": space.namespace, "AUDIOJOB_CAPACITY__GPUS": "1"}
    pools = [Pool(space, name, device="GPU", minWorkers=number) for number, name in ((1, "first"), (0, "second"))]
    most = 0

    def at_work(name: str) -> bool:
        nonlocal most
        for pool in pools:
            pool.play()
        alive = [job for pool in pools for job in pool.jobs() if live([job])]
        most = max(most, len(alive))
        return any(job["metadata"]["labels"][LABEL_POOL] == name for job in alive)

    with OperatorProcess(kubeconfig, [space.namespace], tmp_path / "log", **more) as operator:
        pools[0].until(lambda: at_work("first") and pools[0].status().get("idle") == 1, "one stays without work")
        space.submit("song")
        space.until("song", lambda status: "waits for a worker" in str(status), "it waits", story=operator.story)
        pools[1].until(lambda: at_work("second"), "the idle one goes for the other pool, though it would stay")
    assert most == 1, "never two workers for one GPU"


def test_a_pool_at_work_gives_its_gpu_to_who_goes_before_and_has_it_back_in_its_turn(
    controllers: LocalApiServer, kubeconfig: Path, tmp_path: Path
) -> None:
    space = make_space(controllers, device="GPU", workerPool={"name": "warm"})
    own = f"{space.namespace}-own"
    make_pipeline(controllers, own, device="GPU")
    more = {"AUDIOJOB_LEASE__NAME": space.namespace, "AUDIOJOB_CAPACITY__GPUS": "1"}
    pool = Pool(space, device="GPU", maxWorkers=1)

    def has_job() -> bool:
        pool.play()
        return any(LABEL_POOL not in job["metadata"]["labels"] for job in space.batch_jobs())

    def has_worker(number: int) -> bool:
        pool.play()
        return pool.numbers() == [number] and live(pool.jobs()) == 1

    with OperatorProcess(kubeconfig, [space.namespace], tmp_path / "log", **more):
        space.submit("first")
        pool.until(lambda: has_worker(0) and pool.status().get("busy") == 1, "it has a phase")
        space.submit("urgent", priority=9, pipeline=own)
        space.submit("later", priority=5, pipeline=own)
        space.submit("second", priority=7)
        pool.until(lambda: pool.orders()[0]["drain"], "its worker takes no phase after this one")
        why = "wait for a GPU and go before those of the pool"
        pool.until(lambda: why in pool.status().get("message", ""), "its status says why")
        space.patch("first", {"cancel": True})
        pool.until(has_job, "the urgent one has the GPU")
        assert live(pool.jobs()) == 0
        space.patch("urgent", {"cancel": True})
        pool.until(lambda: has_worker(1), "then the pool has it: its AudioJob goes before the last one")
        assert space.job("later")["status"]["state"] == "Queued"
