"""The small trained model that comes with the tests: in the models volume, and loaded by a pool of one worker."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

from audiojob_dev.demo.store import folder_of, restricted_pod
from audiojob_dev.demo.tools import Cluster, wait_until
from audiojob_dev.paths import repository
from audiojob_types.constants import MODELS_CLAIM

MODEL = "audiojob_proof"
CHART_VALUES = {"models.enabled": True, "models.size": "100Mi"}
POOL = "demo"
_USE = {"name": POOL, "fallbackSeconds": 60}
# The worker stays, and does for all jobs what needs no network.
WORKER_VALUES: Final[dict[str, Any]] = {
    "workerPools": [
        {
            "name": POOL,
            "tasks": ["Normalize", "Separate"],
            # Normalize decodes what was downloaded. Nobody but the demo has files in its namespace (docs/workers.md).
            "trust": "AnyInput",
            "preload": {"models": [MODEL]},
            # As much memory as a pod of Separate; less CPU is asked for, since it is there beside Download's.
            "resources": {"cpu": "500m", "memory": "4Gi", "scratch": "8Gi"},
            "minWorkers": 1,
        }
    ],
    "pipelines.workerPools": {"normalize": _USE, "separate": _USE},
}
_FILLER = "audiojob-model-filler"
_FILES = repository() / "tests" / "data" / "models"


def fill(cluster: Cluster, namespace: str, image: str) -> None:
    """Put the model's files into the claim, as an administrator would, unless they are there."""
    if cluster.embedded and _is_filled(folder_of(cluster, namespace, MODELS_CLAIM)):
        return
    pod = restricted_pod(_FILLER, image, ["sleep", "600"], {"/models": MODELS_CLAIM}, read_only=False)
    # One of a demo that was cut short may have ended since, and would never run again.
    cluster.kubectl("-n", namespace, "delete", "pod", _FILLER, "--ignore-not-found", "--grace-period=0")
    cluster.kubectl("-n", namespace, "apply", "-f", "-", stdin=json.dumps(pod))

    def running() -> bool:
        return bool(cluster.get("-n", namespace, "pod", _FILLER)["status"].get("phase") == "Running")

    wait_until("the start of the pod that fills the models volume", 180, running)
    # The list of files last: without it the model is not there.
    for file in sorted(_FILES.iterdir(), key=lambda each: each.suffix == ".yaml"):
        cluster.kubectl("-n", namespace, "cp", "--no-preserve", str(file), f"{_FILLER}:/models/{file.name}")
    cluster.kubectl("-n", namespace, "delete", "pod", _FILLER, "--wait=false", "--grace-period=0")


def _is_filled(folder: Path | None) -> bool:
    """Whether every file is there in its full size."""
    return folder is not None and all(
        (folder / file.name).is_file() and (folder / file.name).stat().st_size == file.stat().st_size
        for file in _FILES.iterdir()
    )
