"""The pod of a Container phase: fetch, then the administrator's program, then publish, with a reporter beside them.

The program's container shares one folder with ours and nothing else: it has no token, no store and no credentials.
Only the reporter has the token, only fetch and publish have the store, so that none of ours could lose both.
"""

from __future__ import annotations

import hashlib
import json
from copy import deepcopy
from typing import Final

from audiojob_operator.building.request import AttemptRequest
from audiojob_operator.records.invalid import InvalidSpecError
from audiojob_operator.records.objects import Object
from audiojob_types import constants as c
from audiojob_types.contract import (
    CONTROL_ROOT,
    ENV_WORK,
    STORE_CREDENTIALS,
    TERMINATION_FILE,
    WORK_ROOT,
    PhaseProgram,
)
from audiojob_types.resources.pipeline import Phase

_INPUTS: Final = {"name": "work", "mountPath": f"{WORK_ROOT}/inputs", "subPath": "inputs"}
_WORK: Final = {"name": "work", "mountPath": WORK_ROOT, "subPath": "work"}
_CONTROL: Final = {"name": "work", "mountPath": CONTROL_ROOT, "subPath": "control"}
_TEMPORARY: Final = f"{WORK_ROOT}/scratch"
PROGRAM_MOUNTS: Final = (_WORK, {**_INPUTS, "readOnly": True})
WORK_PLACES: Final = {mount["subPath"]: mount["mountPath"] for mount in (_WORK, _INPUTS, _CONTROL)}
# The last words of our containers' commands: what each does.
COMMANDS: Final = {c.CONTAINER_FETCH: "fetch", c.CONTAINER_REPORT: "watch"}
# Of our own containers. They only move files; the pod's request is the largest of all, so this adds next to nothing.
_OWN_SCRATCH: Final = "64Mi"
_MOVER: Final = {"cpu": "100m", "memory": "256Mi", "ephemeral-storage": "256Mi"}
_REPORTER: Final = {"cpu": "10m", "memory": "128Mi", "ephemeral-storage": "64Mi"}


def program_of(phase: Phase) -> PhaseProgram | None:
    """What a Container phase runs; None for all others. Raises :class:`InvalidSpecError` without an image."""
    if not phase.task.descriptor.runs_program:
        return None
    if phase.image is None:
        raise InvalidSpecError(f"pipeline.phases[{phase.name}].image", "a phase with task Container needs an image")
    wire = phase.to_wire()
    given = {name: wire.get(name) for name in ("image", "command", "args", "env")}
    digest = hashlib.sha256(json.dumps(given, sort_keys=True, ensure_ascii=False).encode()).hexdigest()
    return PhaseProgram(image=phase.image, sha256=digest)


def split_pod(pod: Object, request: AttemptRequest) -> None:
    """Turn the pod of one container, filled for the phase, into that of a program. ``pod`` is changed."""
    publish: Object = pod["containers"][0]
    program = _program(publish, request)
    phase, token, scratch = (_mount(publish, name) for name in ("phase", "token", "scratch"))
    # Fetch reads wherever inputs lie: uploads, other jobs' phases, libraries. Publish needs the job's own folder only.
    sources = [mount for mount in publish["volumeMounts"] if mount not in (phase, token, scratch)]
    own = [mount for mount in sources if not mount.get("readOnly") or mount["mountPath"] == STORE_CREDENTIALS]
    fetch = _own(publish, c.CONTAINER_FETCH, _MOVER)
    fetch["volumeMounts"] = [phase, scratch, *sources, _WORK, _INPUTS]
    report = _own(publish, c.CONTAINER_REPORT, _REPORTER)
    # A native sidecar: Kubernetes starts it before the program and ends it after the last container.
    report |= {"restartPolicy": "Always", "volumeMounts": [phase, token, _read_only(_WORK), _read_only(_CONTROL)]}
    publish["resources"] = _bounded(_MOVER)
    publish["volumeMounts"] = [phase, scratch, *own, _read_only(_WORK), _CONTROL]
    pod["initContainers"] = [fetch, report, program]
    for volume in pod["volumes"]:
        if volume["name"] == "scratch":
            volume["emptyDir"] = {"sizeLimit": _OWN_SCRATCH}
    pod["volumes"].append({"name": "work", "emptyDir": {"sizeLimit": request.phase.resources.scratch}})


def _program(like: Object, request: AttemptRequest) -> Object:
    """The administrator's container, with what the phase asks for; of ours it keeps how little it may do."""
    phase = request.phase
    own = [{"name": name, "value": _TEMPORARY} for name in ("HOME", "TMPDIR")]
    own.append({"name": ENV_WORK, "value": WORK_ROOT})
    devices = [variable for variable in like["env"] if variable["name"] == "NVIDIA_VISIBLE_DEVICES"]
    wire = phase.to_wire()
    given = {variable["name"]: variable for variable in [*own, *wire.get("env", []), *devices]}
    container: Object = {
        "name": c.CONTAINER_PROGRAM,
        "image": phase.image,
        "imagePullPolicy": like["imagePullPolicy"],
        "env": list(given.values()),
        "resources": like["resources"],
        "securityContext": deepcopy(like["securityContext"]),
        "terminationMessagePath": TERMINATION_FILE,
        # Its last lines, where it leaves no message of its own.
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "volumeMounts": deepcopy(list(PROGRAM_MOUNTS)),
    }
    return container | {name: wire[name] for name in ("command", "args") if name in wire}


def _mount(container: Object, name: str) -> Object:
    found: Object = next(mount for mount in container["volumeMounts"] if mount["name"] == name)
    return found


def _own(like: Object, name: str, resources: dict[str, str]) -> Object:
    container = deepcopy(like)
    container |= {"name": name, "resources": _bounded(resources)}
    container["command"] = [*container["command"][:-1], COMMANDS[name]]
    return container


def _bounded(resources: dict[str, str]) -> Object:
    limits = {name: amount for name, amount in resources.items() if name != "cpu"}
    return {"requests": dict(resources), "limits": limits}


def _read_only(mount: Object) -> Object:
    return {**mount, "readOnly": True}
