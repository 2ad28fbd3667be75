"""Volumes and mounts of a phase pod: scratch, the store's folders that it may see, libraries, models."""

from __future__ import annotations

from copy import deepcopy
from typing import Final

from audiojob_operator.building.inputs import uploads_prefix
from audiojob_operator.building.names import output_prefix
from audiojob_operator.building.request import AttemptRequest
from audiojob_operator.records.libraries import Library, destination_library, source_library
from audiojob_operator.records.objects import Object
from audiojob_operator.records.settings import DecideSettings
from audiojob_types import constants as c
from audiojob_types.constants import STORE_ROOT
from audiojob_types.contract import FETCH_CREDENTIALS, MODELS_ROOT, STORE_CREDENTIALS, S3Store

MODELS_VOLUME: Final[Object] = {
    "name": "models",
    "persistentVolumeClaim": {"claimName": c.MODELS_CLAIM, "readOnly": True},
}
MODELS_MOUNT: Final[Object] = {"name": "models", "mountPath": MODELS_ROOT, "readOnly": True}


def volumes_and_mounts(request: AttemptRequest) -> tuple[list[Object], list[Object]]:
    """What is added to the skeleton's volumes and mounts."""
    volumes: list[Object] = [
        {"name": "scratch", "emptyDir": {"sizeLimit": request.phase.resources.scratch}},
        store_volume(request.settings),
    ]
    mounts = _store_mounts(request)
    for library, writable in used_libraries(request):
        _add_library(request, library, writable, volumes, mounts)
    if request.settings.models_claim and request.phase.task.descriptor.uses_models:
        volumes.append(deepcopy(MODELS_VOLUME))
        mounts.append(deepcopy(MODELS_MOUNT))
    if request.settings.fetch_secret and request.phase.task.descriptor.reaches_out:
        # Files, and never environment or phase file: neither a log nor the API shows them.
        secret = {"secretName": c.FETCH_SECRET, "defaultMode": 0o440}
        volumes.append({"name": "fetch", "secret": secret})
        mounts.append({"name": "fetch", "mountPath": FETCH_CREDENTIALS, "readOnly": True})
    return volumes, mounts


def used_libraries(request: AttemptRequest) -> list[tuple[Library, bool]]:
    """The libraries that the attempt needs, and whether it may write into them: only a task that publishes may.

    Raises ``InvalidSpecError`` for one that the administrator has taken away.
    """
    libraries, spec = request.settings.libraries, request.job.spec
    found: dict[str, tuple[Library, bool]] = {}
    if any(file.library is not None for file in request.inputs):
        source = source_library(libraries, request.namespace, spec)
        if source is not None:
            found[source.name] = (source, False)
    if request.phase.task.descriptor.publishes:
        destination = destination_library(libraries, request.namespace, spec)
        if destination is not None:
            found[destination.name] = (destination, True)
    return list(found.values())


def _add_library(
    request: AttemptRequest, library: Library, writable: bool, volumes: list[Object], mounts: list[Object]
) -> None:
    if library.prefix is not None and isinstance(request.settings.store, S3Store):
        return  # the store's credentials reach it
    mount: Object = {"mountPath": f"{STORE_ROOT}/{library.key(request.namespace)}"}
    if library.prefix is not None:
        mount |= {"name": "store", "subPath": library.prefix}
    else:
        claim: Object = {"claimName": library.claim_name}
        name = f"library-{library.name}"
        volumes.append({"name": name, "persistentVolumeClaim": claim if writable else {**claim, "readOnly": True}})
        mount["name"] = name
    mounts.append(mount if writable else {**mount, "readOnly": True})


def store_volume(settings: DecideSettings) -> Object:
    """The claim of the store, or its credentials."""
    if isinstance(settings.store, S3Store):
        # Readable by the runner's group alone, as the credentials for fetching are.
        return {"name": "store", "secret": {"secretName": c.STORE_SECRET, "defaultMode": 0o440}}
    return {"name": "store", "persistentVolumeClaim": {"claimName": c.STORE_CLAIM}}


def _store_mounts(request: AttemptRequest) -> list[Object]:
    """A pod writes into its own phase's folder, and sees read-only what its inputs lie in: phases, or uploads.

    The kubelet follows links on the way to a ``subPath``. So no pod may write into a folder that another one's mount
    lies in: a link that it leaves there would lead that mount elsewhere. Phases' folders lie side by side in the job's,
    which no pod of a phase mounts; the kubelet makes both.
    """
    if isinstance(request.settings.store, S3Store):
        return [{"name": "store", "mountPath": STORE_CREDENTIALS, "readOnly": True}]
    own = f"{output_prefix(request.namespace, request.uid)}/{request.phase.name}"
    mounts: list[Object] = [{"name": "store", "mountPath": f"{STORE_ROOT}/{own}", "subPath": own}]
    mounts += [
        {"name": "store", "mountPath": f"{STORE_ROOT}/{folder}", "subPath": folder, "readOnly": True}
        for folder in _input_folders(request, own)
    ]
    uploads = uploads_prefix(request.namespace)
    if any(file.key is not None and file.key.startswith(f"{uploads}/") for file in request.inputs):
        mounts.append({"name": "store", "mountPath": f"{STORE_ROOT}/{uploads}", "subPath": uploads, "readOnly": True})
    return mounts


def _input_folders(request: AttemptRequest, own: str) -> list[str]:
    """Folders of phases that inputs come from, of this job or of others: ``<namespace>/<uid>/<phase>``."""
    folders = set()
    for key in (file.manifest.key for file in request.inputs if file.manifest is not None):
        parts = key.split("/")
        # Only the operator writes these keys; a path never rests on one check alone.
        if len(parts) == 5 and parts[0] == request.namespace and not {"", ".", ".."} & set(parts):
            folders.add("/".join(parts[:3]))
    return sorted(folders - {own})
