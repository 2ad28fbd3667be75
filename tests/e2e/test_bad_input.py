"""Bad input: each job ends with a clear reason, all of them side by side."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any

import pytest
from tests.e2e.product import Product, assert_explained, simulate_pipeline

from audiojob_dev.demo.tools import ToolError
from audiojob_types.resources.job import State

pytestmark = pytest.mark.beside_others

Spec = dict[str, Any]

UNTRAINED = {"separate": {"model": "demucs_unittest"}}
CASES: dict[str, tuple[Callable[[Product], Spec], str, str]] = {
    # what is sent: (spec, reason, a word of the message)
    "a page that is gone": (lambda p: _separate(p.media.url("gone.mp3")), "SourceUnavailable", "404"),
    "a text file named mp3": (lambda p: _separate(p.media.url("text.mp3")), "NotMedia", ""),
    "a playlist named mp3 that points at another file": (lambda p: _separate(p.media.url("list.mp3")), "NotMedia", ""),
    "an empty file": (lambda p: _separate(p.media.url("empty.mp3")), "NotMedia", "empty"),
    "a file of 0 seconds": (lambda p: _separate(p.media.url("zero.wav")), "EmptyMedia", ""),
    "a playlist that leads to a private address": (
        lambda p: _separate(p.media.url("inside.m3u8")),
        "BlockedAddress",
        "",
    ),
    "a name of a private address": (
        lambda _: _separate("https://kubernetes.default.svc.cluster.local/x.mp3"),
        "SourceUnavailable",
        "no public host named kubernetes.default.svc.cluster.local",
    ),
    "a model that is not there": (
        lambda p: {"pipeline": "separate", "source": {"url": p.media.url("song.mp3")}},
        "ModelMissing",
        "htdemucs",
    ),
    "an upload that is not there": (
        lambda p: {"pipeline": "separate", "source": {"object": {"key": "none.wav"}}, "parameters": UNTRAINED},
        "InputMissing",
        "none.wav",
    ),
    "no source where the pipeline needs one": (lambda p: {"pipeline": "separate"}, "InvalidSpec", "source"),
}


def _separate(url: str) -> Spec:
    return {"pipeline": "separate", "source": {"url": url}, "parameters": UNTRAINED}


@pytest.fixture(scope="module")
def submitted(product: Product) -> dict[str, str]:
    """All cases at once; the tests below only wait."""
    return {case: product.submit(f"bad-{i}", make(product)) for i, (case, (make, _, _)) in enumerate(CASES.items())}


@pytest.mark.parametrize("case", CASES, ids=str)
def test_it_fails_with_a_reason_and_a_suggestion(product: Product, submitted: dict[str, str], case: str) -> None:
    _, reason, word = CASES[case]
    job = product.finished(submitted[case], seconds=240)
    assert_explained(job, reason, word)
    product.nothing_runs(submitted[case])


@pytest.mark.parametrize("case", CASES, ids=str)
def test_nothing_half_written_is_visible(product: Product, submitted: dict[str, str], case: str) -> None:
    job = product.finished(submitted[case], seconds=240)
    files = product.published(job)
    finished = {phase.manifest.key.rsplit("/", 2)[1] for phase in job.status.phases if phase.manifest}
    visible = {path.split("/")[1] for path in files if path.endswith("manifest.json")}
    assert visible == finished
    assert not [path for path in files if path.split("/")[1] not in finished and "/log/" not in path]


def test_the_canary_was_never_asked(product: Product, submitted: dict[str, str]) -> None:
    for name in submitted.values():  # one by one and before the others ended, a test beside them would see nothing
        product.finished(name, seconds=240)
    assert product.media.canary_hits == []


@pytest.mark.parametrize("which", ["a private address", "kube-proxy beside the server that is allowed"])
def test_a_private_address_is_refused_at_creation(product: Product, which: str) -> None:
    node = product.media.base.rpartition(":")[0]
    base = product.media.canary if which == "a private address" else f"{node}:10249"
    with pytest.raises(ToolError, match=r"spec\.source\.url: .*is not a public address"):
        product.submit("bad-private", _separate(f"{base}/x.mp3"))


def test_an_unprepared_namespace_waits_with_the_command_to_run(product: Product) -> None:
    name = product.submit("waits", _separate(product.media.url("song.mp3")), product.unprepared)
    job = product.until(
        name, lambda job: "helm upgrade" in (job.status.message or ""), "the command", namespace=product.unprepared
    )
    assert job.status.state is State.QUEUED
    reasons = {condition.reason for condition in job.status.conditions if condition.status == "False"}
    assert "NamespaceNotPrepared" in reasons


def test_an_unknown_pipeline_waits_and_starts_when_it_appears(product: Product) -> None:
    late = f"e2e-late-{uuid.uuid4().hex[:6]}"  # pipelines outlive a test run
    name = product.submit("early", {"pipeline": late})
    product.until(name, lambda job: late in (job.status.message or ""), "the pipeline's name in the message")
    product.apply(simulate_pipeline(late))
    assert product.finished(name).status.state is State.SUCCEEDED
