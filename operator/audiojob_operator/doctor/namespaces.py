"""Checks of each job namespace: prepared by the chart, claims bound, models there, images pulled."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from audiojob_kube.objects import Object
from audiojob_operator.deciding.children.diagnose import IMAGE_REASONS
from audiojob_operator.doctor.facts import Facts, NamespaceFacts, Seen, SeenList, Unseen
from audiojob_operator.doctor.findings import Finding, fault, note, ok, unseen, warning
from audiojob_operator.settings import OperatorSettings
from audiojob_types.constants import LABEL_UID, RUNNER_SERVICE_ACCOUNT, STORE_SECRET
from audiojob_types.contract import S3Store
from audiojob_types.models import ModelBook, ModelState

_ENFORCE: Final = "pod-security.kubernetes.io/enforce"
_BOUND: Final = "Bound"


def check_namespaces(facts: Facts, settings: OperatorSettings) -> Iterator[Finding]:
    """Every job namespace, then the images of phases."""
    if not facts.namespaces:
        yield fault("jobNamespaces", "is empty, so no AudioJob runs.", "Set jobNamespaces of the chart.")
    for each in facts.namespaces:
        yield from check_namespace(each, settings)
    yield from check_images(facts.namespaces, facts.nodes, settings)


def check_namespace(facts: NamespaceFacts, settings: OperatorSettings) -> Iterator[Finding]:
    """One job namespace."""
    name = facts.name
    if facts.namespace is None:
        yield fault(name, "the namespace does not exist.", f"kubectl create namespace {name}, then upgrade.")
        return
    yield from _prepared(facts)
    yield from _secure(name, facts.namespace)
    for claim, seen in facts.claims.items():
        yield from _claim(name, claim, seen)
    if isinstance(settings.store, S3Store):
        yield note(
            name,
            f"Secret {STORE_SECRET} is not looked at: only pods may read it. Without it jobs say VolumeMissing.",
        )
    if settings.models_claim:
        yield from _models(name, facts.models)


def _prepared(facts: NamespaceFacts) -> Iterator[Finding]:
    if isinstance(facts.account, Unseen):
        yield unseen(facts.name, f"ServiceAccount {RUNNER_SERVICE_ACCOUNT} may not be read ({facts.account.why}).")
    elif facts.account is None:
        yield fault(
            facts.name,
            f"is not prepared: ServiceAccount {RUNNER_SERVICE_ACCOUNT} is missing.",
            f"Name {facts.name} in jobNamespaces and upgrade the release.",
        )
    else:
        yield ok(facts.name, "is prepared.")


def _secure(name: str, namespace: Seen) -> Iterator[Finding]:
    if namespace is None or isinstance(namespace, Unseen):
        return
    level = (namespace["metadata"].get("labels") or {}).get(_ENFORCE, "none")
    if level != "restricted":
        yield warning(
            name,
            f"PodSecurity enforces {level}: other people's pods here may do more than audiojob's.",
            f"kubectl label namespace {name} {_ENFORCE}=restricted --overwrite (audiojob's own pods pass it).",
        )


def _claim(name: str, claim: str, seen: Seen) -> Iterator[Finding]:
    if isinstance(seen, Unseen):
        yield unseen(name, f"claim {claim} may not be read ({seen.why}).")
        return
    if seen is None:
        yield fault(
            name,
            f"claim {claim} does not exist: phases that mount it cannot start.",
            "Create it, or let the chart do so (store.folder.create, models.create).",
        )
        return
    phase = (seen.get("status") or {}).get("phase") or "Unknown"
    if phase == _BOUND:
        yield ok(name, f"claim {claim} is bound.")
    else:
        yield warning(
            name,
            f"claim {claim} is {phase}.",
            f"kubectl -n {name} describe pvc {claim} says why. With a storage class that waits for the first consumer, "
            "the first job binds it.",
        )


def _models(name: str, seen: Seen) -> Iterator[Finding]:
    if isinstance(seen, Unseen):
        yield unseen(name, f"the record of models may not be read ({seen.why}).")
        return
    book = ModelBook.read((seen or {}).get("data") or {})
    if not book.wanted:
        yield note(name, "no model is fetched ahead; what lies in the volume is not looked at.")
        return
    for model in sorted(book.unready):
        record = book.records.get(model)
        if record is not None and record.state is ModelState.FAILED:
            yield fault(
                name, f"the model {model} could not be fetched: {record.message}", record.suggestion or "docs/models.md"
            )
        else:
            standing = "has not begun" if record is None else f"is at {record.percent} %"
            yield note(name, f"fetching the model {model} {standing}; jobs that need it wait.")
    if ready := sorted(book.wanted - book.unready):
        yield ok(name, f"models there: {', '.join(ready)}.")


def check_images(
    namespaces: Iterable[NamespaceFacts], nodes: SeenList, settings: OperatorSettings
) -> Iterator[Finding]:
    """Images that a pod of ours waits for in vain; else whether any node has them."""
    failures: dict[str, str] = {}
    for namespace in namespaces:
        if isinstance(namespace.pods, Unseen) or namespace.pods is None:
            continue
        for pod in namespace.pods:
            failures.update(_pull_failures(pod))
    for image, message in sorted(failures.items()):
        yield fault(
            "images",
            f"{image} cannot be pulled: {message}",
            "Check images.* and imagePullSecrets of the chart, and that the nodes reach the registry.",
        )
    if nodes is None or isinstance(nodes, Unseen):
        return
    present = {name for node in nodes for image in _images(node) for name in image.get("names") or ()}
    for family, image in settings.images.references().by_family.items():
        if image in failures:
            continue
        if any(_same(image, name) for name in present):
            yield ok("images", f"{family}: a node has {image}.")
        else:
            yield note("images", f"{family}: no node has {image} yet; the first phase on each node pulls it.")


def _images(node: Object) -> list[Object]:
    return (node.get("status") or {}).get("images") or []


def _same(image: str, name: str) -> bool:
    """Nodes name images with their registry, which a short name leaves out."""
    return name == image or name.endswith(f"/{image}")


def _pull_failures(pod: Object) -> Iterator[tuple[str, str]]:
    if LABEL_UID not in (pod["metadata"].get("labels") or {}):
        return  # not ours
    status = pod.get("status") or {}
    for container in [*(status.get("initContainerStatuses") or ()), *(status.get("containerStatuses") or ())]:
        waiting = (container.get("state") or {}).get("waiting") or {}
        if waiting.get("reason") in IMAGE_REASONS:
            yield container.get("image") or "an image", str(waiting.get("message") or waiting["reason"])
