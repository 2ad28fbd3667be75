"""Faults of pods, stores and users while jobs run: nothing hangs, nothing is lost, nothing runs twice."""

from __future__ import annotations

import uuid

import pytest
from tests.e2e.product import Product, assert_explained, long_then_short, simulate_pipeline

from audiojob_types.resources.job import State

pytestmark = pytest.mark.beside_others

PIPELINES = [
    simulate_pipeline("e2e-simulate", phases=2),
    long_then_short("e2e-long"),
    simulate_pipeline("e2e-small", memory="64Mi"),
    simulate_pipeline("e2e-stall", stallSeconds=3),
    simulate_pipeline("e2e-claim", startTimeoutSeconds=15),
]


def unique(base: str) -> str:
    return f"{base}-{uuid.uuid4().hex[:6]}"


def simulate(milliseconds: int = 0, **parameters: object) -> dict[str, object]:
    return {
        "pipeline": "e2e-simulate",
        "parameters": {"simulate": {"durationMilliseconds": milliseconds, **parameters}},
    }


def running_pod(product: Product, name: str) -> str:
    """The name of the first phase's pod, once it runs."""

    def running() -> list[str]:
        pods = product.phase_pods(name, "one")
        return [str(pod["metadata"]["name"]) for pod in pods if pod["status"].get("phase") == "Running"]

    product.until(name, lambda _: bool(running()), "a running pod")
    return running()[-1]


def test_two_simulated_phases_succeed(product: Product) -> None:
    job = product.finished(product.submit(unique("two"), simulate()))
    assert job.status.state is State.SUCCEEDED
    assert [phase.state for phase in job.status.phases] == ["Succeeded", "Succeeded"]


def test_a_killed_pod_is_tried_again(product: Product) -> None:
    name = product.submit(unique("killed"), {"pipeline": "e2e-long"})
    pod = running_pod(product, name)
    product.cluster.kubectl("-n", product.namespace, "delete", "pod", pod, "--grace-period=0", "--force")
    job = product.finished(name)
    assert job.status.state is State.SUCCEEDED
    assert job.status.phases[0].attempt == 2


def test_F28_a_pod_that_runs_out_of_memory_says_so(product: Product) -> None:  # noqa: N802
    spec = {"pipeline": "e2e-small", "parameters": {"simulate": {"memoryMebibytes": 300}}, "retry": {"limit": 1}}
    job = product.finished(product.submit(unique("oom"), spec))
    assert_explained(job, "OutOfMemory")


def test_a_phase_without_progress_is_ended(product: Product) -> None:
    parameters = {"simulate": {"durationMilliseconds": 1_000, "stallAfterPercent": 50}}
    spec = {"pipeline": "e2e-stall", "parameters": parameters, "retry": {"limit": 1}}
    job = product.finished(product.submit(unique("stall"), spec))
    assert_explained(job, "Stalled")


def test_a_crash_between_publishing_and_exit_publishes_once(product: Product) -> None:
    job = product.finished(product.submit(unique("crash"), simulate(exitAfterPublishing=True)))
    assert job.status.state is State.SUCCEEDED
    assert job.status.phases[0].attempt == 2
    manifests = [path for path in product.published(job) if path.startswith("one/") and path.endswith("manifest.json")]
    assert len(manifests) == 1, manifests


@pytest.mark.parametrize(
    ("exit_code", "attempts", "reason"),
    [
        pytest.param(75, 3, "TemporaryFailure", id="temporary failures are tried three times"),
        pytest.param(65, 1, "NotMedia", id="bad media is not tried again"),
    ],
)
def test_exit_codes_decide_about_retries(product: Product, exit_code: int, attempts: int, reason: str) -> None:
    job = product.finished(product.submit(unique("code"), simulate(exitCode=exit_code)))
    assert_explained(job, reason)
    assert job.status.phases[0].attempt == attempts
    product.nothing_runs(job.metadata.name)


def test_a_missing_store_claim_is_named(product: Product) -> None:
    name = product.submit(unique("claim"), {"pipeline": "e2e-claim"}, product.without_claim)
    job = product.finished(name, namespace=product.without_claim)
    assert_explained(job, "VolumeMissing", "audiojob-store")
    product.nothing_runs(name, namespace=product.without_claim)


def test_cancel_ends_the_pod_and_the_job(product: Product) -> None:
    name = product.submit(unique("cancel"), simulate(60_000))
    running_pod(product, name)
    product.patch(name, {"cancel": True})
    assert product.finished(name).status.state is State.CANCELLED
    product.nothing_runs(name)


def test_suspend_stops_and_resume_goes_on(product: Product) -> None:
    name = product.submit(unique("suspend"), {"pipeline": "e2e-long"})
    running_pod(product, name)
    product.patch(name, {"suspend": True})
    product.until(name, lambda job: job.status.state is State.SUSPENDED, "suspension")
    product.nothing_runs(name)
    product.patch(name, {"suspend": False})
    job = product.finished(name)
    assert job.status.state is State.SUCCEEDED
    assert job.status.phases[0].failures == 0


def test_a_deleted_job_leaves_nothing_and_its_name_works_again_at_once(product: Product) -> None:
    name = product.submit(unique("again"), simulate(60_000))
    running_pod(product, name)
    first = product.job(name)
    product.cluster.kubectl("-n", product.namespace, "delete", "audiojob", name, "--wait=false")
    product.submit(name, simulate())
    job = product.finished(name)
    assert job.metadata.uid != first.metadata.uid
    assert job.status.state is State.SUCCEEDED
    product.nothing_left(name, first.metadata.uid)


def test_a_name_of_63_characters_works(product: Product) -> None:
    name = "n" * 57 + uuid.uuid4().hex[:6]
    job = product.finished(product.submit(name, simulate()))
    assert job.status.state is State.SUCCEEDED
