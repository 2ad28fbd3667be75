"""What the doctor says of each thing that can be wrong. Each row changes one fact of an installation that is well."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from tests.unit.operator.doctor.facts import NOW, READ, SETTINGS, crd, facts, lease, music, node, pod, todays_crds

from audiojob_operator.doctor.command import examine
from audiojob_operator.doctor.facts import ApiAnswer, Permission, ServerAnswer, Unseen
from audiojob_operator.doctor.findings import Finding, Level
from audiojob_operator.settings import OperatorSettings
from audiojob_types.contract import S3Store

DENIED = Unseen("403 Forbidden: no")


def found(settings: OperatorSettings = SETTINGS, **changes: Any) -> list[Finding]:
    """What is not as it should be."""
    return [each for each in examine(facts(**changes), settings, NOW) if each.level is not Level.OK]


def answered(**changes: Any) -> ServerAnswer:
    values: dict[str, Any] = {"version": "v1.34.4", "date": NOW, "asked": NOW, "answered": NOW} | changes
    return ServerAnswer(**values)


def with_status(**fields: Any) -> dict[str, Any]:
    """Today's CRDs, but AudioJobs have only these fields of status."""
    crds = todays_crds()
    members = crds["audiojobs.audiojobs.dev"]["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]
    return crds | {"audiojobs.audiojobs.dev": crd(members | {"status": {"type": "object", "properties": fields}})}


def newer() -> dict[str, Any]:
    crds = todays_crds()
    members = crds["audioqueues.audiojobs.dev"]["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]
    members["spec"]["properties"]["colour"] = {"type": "string"}
    return crds


def test_an_installation_in_which_all_is_well() -> None:
    assert found() == []


CLUSTER = {
    "the API server does not answer": (
        {"server": Unseen("connection refused")},
        Level.FAULT,
        "API server",
        "cannot be reached (connection refused)",
    ),
    "Kubernetes is too old": ({"server": answered(version="v1.29.1")}, Level.FAULT, "API server", "needs 1.31"),
    "the API server is slow": (
        {"server": answered(answered=NOW + timedelta(seconds=3))},
        Level.WARNING,
        "API server",
        "took 3.0 s",
    ),
    "our clock is ahead": (
        {"server": answered(asked=NOW + timedelta(seconds=40), answered=NOW + timedelta(seconds=40))},
        Level.WARNING,
        "clock",
        "40 s ahead of the API server",
    ),
    "our clock is behind": (
        {"server": answered(asked=NOW - timedelta(seconds=40), answered=NOW - timedelta(seconds=40))},
        Level.WARNING,
        "clock",
        "40 s behind the API server",
    ),
    "the API server tells no time": ({"server": answered(date=None)}, Level.UNSEEN, "clock", "no date"),
    "a CRD is missing": (
        {"crds": todays_crds() | {"audioqueues.audiojobs.dev": None}},
        Level.FAULT,
        "CRDs",
        "audioqueues.audiojobs.dev is not there",
    ),
    "a CRD serves another version": (
        {"crds": todays_crds() | {"audioqueues.audiojobs.dev": {"spec": {"versions": [{"name": "v2"}]}}}},
        Level.FAULT,
        "CRDs",
        "does not serve v1alpha1",
    ),
    "a CRD is of an earlier release": (
        {"crds": with_status(phase={"type": "string"})},
        Level.FAULT,
        "CRDs",
        "it lacks status.",
    ),
    "a CRD is of a later release": ({"crds": newer()}, Level.NOTE, "CRDs", "it has spec.colour, which is harmless"),
    "CRDs may not be read": (
        {"crds": todays_crds() | {"audioqueues.audiojobs.dev": DENIED}},
        Level.UNSEEN,
        "CRDs",
        "may not be read",
    ),
    "the operator lacks a right": (
        {"permissions": (Permission("operator", READ, allowed=False),)},
        Level.FAULT,
        "rights of the operator",
        "list audiojobs.audiojobs.dev in namespace music",
    ),
    "rights may not be asked for": (
        {"permissions": (Permission("runner", READ, DENIED),)},
        Level.UNSEEN,
        "rights of the runner",
        "cannot be asked for",
    ),
    "nobody has ever led": ({"lease": None}, Level.FAULT, "operator", "nobody holds the Lease system/one"),
    "the last leader has gone": ({"lease": lease(holder="")}, Level.FAULT, "operator", "nobody holds"),
    "the leader renews no more": (
        {"lease": lease(age=60)},
        Level.FAULT,
        "operator",
        "last renewed at 2026-11-29T11:59",
    ),
    "the leader's clock is ahead": ({"lease": lease(age=-30)}, Level.WARNING, "operator", "30 s ahead"),
    "the Lease may not be read": ({"lease": DENIED}, Level.UNSEEN, "operator", "may not be read"),
    "no node is Ready": ({"nodes": (node(ready=False),)}, Level.FAULT, "nodes", "none of 1 is Ready"),
    "no node offers a GPU": ({"nodes": (node(),)}, Level.NOTE, "GPUs", "no Ready node offers one"),
    "nodes may not be read": ({"nodes": DENIED}, Level.UNSEEN, "nodes", "may not be read"),
    "the Prometheus operator is missing": ({"monitors": None}, Level.NOTE, "monitoring", "is not installed"),
    "nothing is scraped": ({"monitors": ()}, Level.NOTE, "monitoring", "no PodMonitor"),
    "PodMonitors may not be read": ({"monitors": DENIED}, Level.UNSEEN, "monitoring", "may not be read"),
    "the API does not answer": ({"api": ApiAnswer("http://a", 0, "refused")}, Level.FAULT, "API", "(refused)"),
    "the API is not ready": ({"api": ApiAnswer("http://a", 503, "stale")}, Level.FAULT, "API", "503: stale"),
}
NAMESPACES = {
    "no namespace is named": ({"namespaces": ()}, Level.FAULT, "jobNamespaces", "is empty"),
    "a namespace does not exist": (
        {"namespaces": (music(namespace=None),)},
        Level.FAULT,
        "music",
        "does not exist",
    ),
    "a namespace is not prepared": (
        {"namespaces": (music(account=None),)},
        Level.FAULT,
        "music",
        "ServiceAccount audiojob-runner is missing",
    ),
    "accounts may not be read": ({"namespaces": (music(account=DENIED),)}, Level.UNSEEN, "music", "may not be read"),
    "PodSecurity is not enforced": (
        {"namespaces": (music(namespace={"metadata": {"name": "music"}}),)},
        Level.WARNING,
        "music",
        "PodSecurity enforces none",
    ),
    "the store's claim is missing": (
        {"namespaces": (music(claims={"audiojob-store": None}),)},
        Level.FAULT,
        "music",
        "claim audiojob-store does not exist",
    ),
    "the store's claim is not bound": (
        {"namespaces": (music(claims={"audiojob-store": {"status": {"phase": "Pending"}}}),)},
        Level.WARNING,
        "music",
        "claim audiojob-store is Pending",
    ),
    "claims may not be read": (
        {"namespaces": (music(claims={"audiojob-store": DENIED}),)},
        Level.UNSEEN,
        "music",
        "may not be read",
    ),
    "an image cannot be pulled": (
        {"namespaces": (music(pods=(pod("hub/runner:1", "ImagePullBackOff"),)),)},
        Level.FAULT,
        "images",
        "hub/runner:1 cannot be pulled: not found",
    ),
    "no node has an image": (
        {"nodes": (node(gpus=1, images=("hub/runner:1",)),)},
        Level.NOTE,
        "images",
        "no node has hub/torch:1 yet",
    ),
}


@pytest.mark.parametrize(
    ("changes", "level", "about", "words"), (CLUSTER | NAMESPACES).values(), ids=CLUSTER | NAMESPACES
)
def test_it_is_found(changes: dict[str, Any], level: Level, about: str, words: str) -> None:
    finding = next(iter(found(**changes)))

    assert (finding.level, finding.about) == (level, about)
    assert words in finding.text
    assert finding.way_out or level in (Level.NOTE, Level.UNSEEN) or about.startswith("rights")  # these name it


def test_pods_of_others_are_none_of_its_business() -> None:
    assert found(namespaces=(music(pods=(pod("x:1", "ErrImagePull", ours=False),)),)) == []


def test_nodes_may_name_an_image_by_its_registry() -> None:
    images = ("docker.example/hub/runner:1", "docker.example/hub/torch:1", "docker.example/hub/music:1")

    assert found(nodes=(node(gpus=1, images=images),)) == []


WANTED = {"models": '["htdemucs"]'}


@pytest.mark.parametrize(
    ("models", "level", "words"),
    [
        (None, Level.NOTE, "no model is fetched ahead"),
        (DENIED, Level.UNSEEN, "may not be read"),
        ({"data": WANTED}, Level.NOTE, "fetching the model htdemucs has not begun"),
        ({"data": WANTED | {"htdemucs": '{"state": "Fetching", "percent": 40}'}}, Level.NOTE, "is at 40 %"),
        (
            {"data": WANTED | {"htdemucs": '{"state": "Failed", "message": "404", "suggestion": "Use a mirror."}'}},
            Level.FAULT,
            "htdemucs could not be fetched: 404",
        ),
        ({"data": WANTED | {"htdemucs": '{"state": "Ready", "percent": 100}'}}, Level.OK, "models there: htdemucs"),
    ],
    ids=["none is wanted", "no right", "not begun", "on its way", "failed", "there"],
)
def test_models(models: Any, level: Level, words: str) -> None:
    settings = SETTINGS.model_copy(update={"models_claim": True})

    findings = examine(facts(namespaces=(music(models=models),)), settings, NOW)

    assert [each.level for each in findings if words in each.text] == [level]


def test_the_secret_of_a_bucket_is_not_read_and_that_is_said() -> None:
    settings = SETTINGS.model_copy(update={"store": S3Store(bucket="b")})

    assert ["only pods may read it" in each.text for each in found(settings)] == [True]
