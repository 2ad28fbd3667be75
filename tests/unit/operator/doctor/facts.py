"""The facts of an installation in which all is well, to be changed by each test."""

from __future__ import annotations

import copy
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

from audiojob_kube.objects import Object
from audiojob_kube.resources import AUDIOJOBS
from audiojob_operator.doctor.facts import ApiAnswer, Facts, NamespaceFacts, Permission, ServerAnswer
from audiojob_operator.doctor.schema import MODELS
from audiojob_operator.settings import ImageSettings, OperatorSettings
from audiojob_operator.settings_groups import LeaseSettings
from audiojob_operator.watching.preflight import Access
from audiojob_types.constants import LABEL_UID, VERSION
from audiojob_types.generate.crd import structural

NOW = datetime(2026, 11, 29, 12, 0, 0, tzinfo=UTC)
IMAGES = ("hub/runner:1", "hub/torch:1", "hub/music:1")
SETTINGS = OperatorSettings(
    images=ImageSettings(runner=IMAGES[0], runner_torch=IMAGES[1], runner_music=IMAGES[2]),
    job_namespaces=("music",),
    lease=LeaseSettings(namespace="system", name="one"),
)
READ = Access("list", AUDIOJOBS, namespace="music")


def crd(model_schemas: dict[str, Any]) -> Object:
    """A CRD that serves our version with these schemas of spec and status."""
    schema = {"type": "object", "properties": model_schemas}
    return {"spec": {"versions": [{"name": VERSION, "served": True, "schema": {"openAPIV3Schema": schema}}]}}


def todays_crds() -> dict[str, Object]:
    """Those of this version."""
    return copy.deepcopy(_todays_crds())


@cache
def _todays_crds() -> dict[str, Object]:
    return {name: crd({part: structural(model) for part, model in parts.items()}) for name, parts in MODELS.items()}


def node(*, ready: bool = True, gpus: int = 0, images: tuple[str, ...] = IMAGES) -> Object:
    return {
        "metadata": {"name": "n"},
        "status": {
            "conditions": [{"type": "Ready", "status": str(ready)}],
            "allocatable": {"nvidia.com/gpu": str(gpus)},
            "images": [{"names": [name]} for name in images],
        },
    }


def pod(image: str, waiting: str, *, ours: bool = True) -> Object:
    return {
        "metadata": {"name": "p", "labels": {LABEL_UID: "u"} if ours else {}},
        "status": {
            "containerStatuses": [{"image": image, "state": {"waiting": {"reason": waiting, "message": "not found"}}}]
        },
    }


def lease(holder: str = "me", age: float = 2.0) -> Object:
    renewed = (NOW - timedelta(seconds=age)).isoformat().replace("+00:00", "Z")
    return {"spec": {"holderIdentity": holder, "renewTime": renewed, "leaseDurationSeconds": 15}}


def music(**others: Any) -> NamespaceFacts:
    """The one job namespace."""
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    bound: dict[str, Any] = {"audiojob-store": {"status": {"phase": "Bound"}}}
    values: dict[str, Any] = {
        "name": "music",
        "namespace": {"metadata": {"name": "music", "labels": labels}},
        "account": {"metadata": {"name": "audiojob-runner"}},
        "claims": bound,
        "models": None,
        "pods": (),
    }
    return NamespaceFacts(**{**values, **others})


def facts(**others: Any) -> Facts:
    """An installation in which all is well, but for what is given."""
    values: dict[str, Any] = {
        "server": ServerAnswer("v1.34.4", NOW, NOW, NOW + timedelta(milliseconds=5)),
        "crds": todays_crds(),
        "lease": lease(),
        "permissions": (Permission("operator", READ, allowed=True),),
        "namespaces": (music(),),
        "nodes": (node(gpus=1),),
        "monitors": ({"metadata": {"name": "audiojob-operator"}},),
        "api": ApiAnswer("http://api/readyz", 200, ""),
    }
    return Facts(**{**values, **others})
