"""The prefetch Job on a kubelet: its image, its volume, its token. Published weights cannot be had here, so a file that
is none is served, and what must become of it is that it is refused and that a waiting job says so."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator

import pytest
from tests.chart.helm import CHART, KUBERNETES
from tests.e2e.product import Object, Product

from audiojob_dev.demo.install import RELEASE, RELEASE_NAMESPACE, only
from audiojob_dev.demo.tools import wait_until
from audiojob_dev.images.build import image_value
from audiojob_types.constants import MODELS_CLAIM, MODELS_CONFIGMAP
from audiojob_types.models import KNOWN_MODELS, ModelBook, ModelState
from audiojob_types.reasons import Reason
from audiojob_types.resources.job import State

pytestmark = pytest.mark.in_turn

PART = "templates/models-prefetch.yaml"
CLAIM: Object = {
    "apiVersion": "v1",
    "kind": "PersistentVolumeClaim",
    "metadata": {"name": MODELS_CLAIM},
    "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "100Mi"}}},
}


def prefetch_objects(product: Product, base_url: str, cidr: str) -> str:
    """What the chart makes for prefetch in the tests' namespace, as YAML: the release itself stays as it is."""
    values: Object = {
        "jobNamespaces": [product.namespace],
        "images": {"runner": image_value(product.images["runner"])},
        "models": {
            "enabled": True,
            "prefetch": {"enabled": True, "models": ["htdemucs"], "baseURL": base_url, "allowedCIDRs": [cidr]},
        },
    }
    flags = [flag for key, value in values.items() for flag in ("--set-json", f"{key}={json.dumps(value)}")]
    flags += ["-n", RELEASE_NAMESPACE, "--kube-version", KUBERNETES, "--show-only", PART]
    return product.cluster.helm("template", RELEASE, str(CHART), *flags)


@pytest.fixture
def prefetched(product: Product) -> Iterator[None]:
    """The Job at work on a server whose file is not the published one."""
    folder = product.media.folder / "weights"
    for path in KNOWN_MODELS["htdemucs"].files:
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(b"no weights" * 100_000)
    objects = prefetch_objects(product, product.media.url("weights"), only(product.media.base))
    where = ("-n", product.namespace)
    product.apply(CLAIM)
    product.cluster.kubectl("apply", "-f", "-", stdin=objects)
    yield
    selector = "app.kubernetes.io/component=prefetch"
    product.cluster.kubectl(*where, "delete", "job,configmap,serviceaccount,role,rolebinding", "-l", selector)
    product.cluster.kubectl(*where, "delete", "pvc", MODELS_CLAIM, "--wait=false")


@pytest.mark.usefixtures("prefetched")
def test_a_wrong_file_is_refused_and_the_job_that_waits_for_it_says_so(product: Product) -> None:
    def book() -> ModelBook:
        found = product.cluster.get("-n", product.namespace, "configmap", MODELS_CONFIGMAP)
        return ModelBook.read(found["data"])

    def failed() -> bool:
        record = book().records.get("htdemucs")
        return record is not None and record.state is ModelState.FAILED

    wait_until("the record of the failure", 120, failed)
    assert "not the published file" in book().records["htdemucs"].message
    name = product.submit(
        f"model-{uuid.uuid4().hex[:6]}", {"pipeline": "separate", "source": {"url": product.media.url("song.mp3")}}
    )
    job = product.until(
        name, lambda job: "prefetch failed" in (job.status.message or ""), "the reason to wait", seconds=120
    )
    assert job.status.state is State.QUEUED
    assert [phase.state for phase in job.status.phases] == ["Succeeded", "Succeeded", "Waiting"]
    progressing = next(condition for condition in job.status.conditions if condition.type == "Progressing")
    assert progressing.reason == Reason.MODEL_MISSING
    product.patch(name, {"cancel": True})
    assert product.finished(name).status.state is State.CANCELLED
