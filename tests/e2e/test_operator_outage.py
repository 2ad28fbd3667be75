"""The operator away, and the operator misconfigured; last, because the other tests need it."""

from __future__ import annotations

import uuid
from collections.abc import Iterator

import pytest
from tests.e2e.product import Product, assert_explained, long_then_short

from audiojob_dev.demo.install import RELEASE, RELEASE_NAMESPACE
from audiojob_types.constants import LABEL_PHASE
from audiojob_types.resources.job import State

OPERATOR = f"deployment/{RELEASE}-operator"


PIPELINES = [long_then_short("e2e-outage", startTimeoutSeconds=15)]  # for the image that never comes


@pytest.fixture
def restored(product: Product) -> Iterator[None]:
    """Whatever the test did to the operator is undone."""
    yield
    system = ("-n", RELEASE_NAMESPACE)
    product.cluster.kubectl(*system, "rollout", "undo", OPERATOR)
    product.cluster.kubectl(*system, "rollout", "status", OPERATOR, "--timeout=90s")


def test_a_job_that_finishes_while_the_operator_is_down_is_not_lost(product: Product) -> None:
    system = ("-n", RELEASE_NAMESPACE)
    name = product.submit(f"down-{uuid.uuid4().hex[:6]}", {"pipeline": "e2e-outage"})
    product.until(name, lambda job: job.status.state is State.RUNNING, "its start")
    product.cluster.kubectl(*system, "scale", OPERATOR, "--replicas=0")
    product.cluster.kubectl(
        *system, "wait", "--for=delete", "pod", "-l", "app.kubernetes.io/component=operator", "--timeout=60s"
    )

    def first_ended(_: object) -> bool:  # the second one's pod may have begun early: nobody tells it its inputs now
        found = [pod for pod in product.pods(name) if pod["metadata"]["labels"][LABEL_PHASE] == "one"]
        return all(pod["status"].get("phase") == "Succeeded" for pod in found)

    product.until(name, first_ended, "the end of the first phase's pod")
    assert product.job(name).status.phases[0].state == "Running", "nobody is there to say otherwise"
    product.cluster.kubectl(*system, "scale", OPERATOR, "--replicas=1")
    job = product.finished(name)
    assert job.status.state is State.SUCCEEDED
    assert [phase.failures for phase in job.status.phases] == [0, 0]


@pytest.mark.usefixtures("restored")
def test_a_missing_image_is_named(product: Product) -> None:
    system = ("-n", RELEASE_NAMESPACE)
    missing = "docker.io/audiojob/no-such-image:none"
    product.cluster.kubectl(*system, "set", "env", OPERATOR, f"AUDIOJOB_IMAGES__RUNNER={missing}")
    product.cluster.kubectl(*system, "rollout", "status", OPERATOR, "--timeout=90s")
    name = product.submit(f"image-{uuid.uuid4().hex[:6]}", {"pipeline": "e2e-outage"})
    job = product.finished(name)
    assert_explained(job, "ImagePullFailed", "no-such-image")
    product.nothing_runs(name)
