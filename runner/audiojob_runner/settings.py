"""What a phase process reads before it does anything: its few environment variables and the phase file."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pydantic import ValidationError

from audiojob_runner.errors import PhaseError
from audiojob_types.base import WireModel
from audiojob_types.contract import (
    CONTROL_ROOT,
    ENV_NODE_NAME,
    ENV_PHASE_FILE,
    ENV_POD_NAME,
    ENV_POD_UID,
    FETCH_CREDENTIALS,
    MAX_PHASE_INPUT_BYTES,
    MODELS_ROOT,
    PHASE_FILE,
    SCRATCH_ROOT,
    STORE_CREDENTIALS,
    TERMINATION_FILE,
    WORK_ROOT,
    ExitCode,
    PhaseInput,
)
from audiojob_types.parameters import InvalidParameters, resolve_parameters
from audiojob_types.reasons import Reason
from audiojob_types.versions import describe_newer
from audiojob_types.workers.order import WORK_FILE

SERVICE_ACCOUNT_ROOT: Final = "/var/run/secrets/kubernetes.io/serviceaccount"
ENV_API_HOST: Final = "KUBERNETES_SERVICE_HOST"
ENV_API_PORT: Final = "KUBERNETES_SERVICE_PORT"

_POD_UID = re.compile(r"[0-9a-zA-Z][-0-9a-zA-Z]{7,62}")
_OPERATOR_SETS_IT: Final = "The operator sets it; look for a webhook or policy that changes pods."


_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Paths:
    """Where the contract's folders and files are. ``under`` moves them all below another root, for a dry run."""

    termination_file: Path
    credentials: Path
    fetch_credentials: Path
    models: Path
    scratch: Path
    service_account: Path
    default_phase_file: Path
    work: Path
    control: Path
    work_order: Path

    @classmethod
    def under(cls, root: Path) -> Paths:
        """The contract's paths below ``root``, which is ``/`` in a pod."""

        def at(path: str) -> Path:
            return root / path.lstrip("/")

        return cls(
            termination_file=at(TERMINATION_FILE),
            credentials=at(STORE_CREDENTIALS),
            fetch_credentials=at(FETCH_CREDENTIALS),
            models=at(MODELS_ROOT),
            scratch=at(SCRATCH_ROOT),
            service_account=at(SERVICE_ACCOUNT_ROOT),
            default_phase_file=at(PHASE_FILE),
            work=at(WORK_ROOT),
            control=at(CONTROL_ROOT),
            work_order=at(WORK_FILE),
        )


@dataclass(frozen=True, slots=True)
class PodIdentity:
    """Who this process is. The first 8 characters of ``uid`` keep two pods of one attempt apart in the store."""

    name: str
    uid: str


def read_pod_identity(environ: Mapping[str, str]) -> PodIdentity:
    """The pod's name and uid. Raises :class:`PhaseError` (64) naming the variable that is missing or malformed."""
    name = environ.get(ENV_POD_NAME, "")
    uid = environ.get(ENV_POD_UID, "")
    for variable, value in ((ENV_POD_NAME, name), (ENV_POD_UID, uid)):
        if not value:
            raise PhaseError(
                ExitCode.USAGE,
                Reason.INVALID_SPEC,
                f"The environment variable {variable} is not set.",
                _OPERATOR_SETS_IT,
            )
    if not _POD_UID.fullmatch(uid):
        raise PhaseError(
            ExitCode.USAGE,
            Reason.INVALID_SPEC,
            f"{ENV_POD_UID} is not a pod uid: {uid[:80]!r}.",
            _OPERATOR_SETS_IT,
        )
    return PodIdentity(name=name, uid=uid)


def node_name(environ: Mapping[str, str]) -> str:
    """The node that the pod runs on; empty in pods of earlier operators, and outside a cluster."""
    return environ.get(ENV_NODE_NAME, "")


def path_of_phase_file(environ: Mapping[str, str], paths: Paths) -> Path:
    """Where the phase file is."""
    return Path(environ.get(ENV_PHASE_FILE) or paths.default_phase_file)


def read_phase_input(environ: Mapping[str, str], paths: Paths) -> PhaseInput:
    """The phase file, checked. Raises :class:`PhaseError` (64): InputMissing without one, else InvalidSpec."""
    return read_phase_file(path_of_phase_file(environ, paths))


def read_phase_file(path: Path) -> PhaseInput:
    """The phase file at that path, checked, as :func:`read_phase_input` does."""
    try:
        with path.open("rb") as file:
            content = file.read(MAX_PHASE_INPUT_BYTES + 1)
    except OSError as error:
        raise PhaseError(
            ExitCode.USAGE,
            Reason.INPUT_MISSING,
            f"The phase file {path} cannot be read: {error.strerror or error}.",
            f"Set {ENV_PHASE_FILE} to a phase file; in a pod the operator mounts it.",
        ) from error
    if len(content) > MAX_PHASE_INPUT_BYTES:
        raise PhaseError(
            ExitCode.USAGE,
            Reason.INVALID_SPEC,
            f"The phase file {path} is larger than {MAX_PHASE_INPUT_BYTES} bytes.",
        )
    try:
        phase_input = PhaseInput.read(content)
    except ValidationError as error:
        raise PhaseError(
            ExitCode.USAGE,
            Reason.INVALID_SPEC,
            f"The phase file {path} is not valid: {first_problem(error)}.",
            "Operator and runner must come from the same release; check the image tags in the Helm values.",
        ) from None
    if (newer := describe_newer(phase_input.contract)) is not None:
        _log.warning(newer)
    return phase_input


def first_problem(error: ValidationError) -> str:
    """The first field of a file that is not valid, and why."""
    first = error.errors(include_url=False)[0]
    where = ".".join(str(part) for part in first["loc"]) or "the file"
    return f"{where}: {first['msg'].removeprefix('Value error, ')}"


def read_parameters(phase_input: PhaseInput) -> WireModel:
    """The task's parameters with defaults filled in. Raises :class:`PhaseError` (64) naming the field.

    The operator has refused what it does not know. What this runner does not know comes from a newer operator.
    """
    try:
        parameters = resolve_parameters(phase_input.task, phase_input.parameters, strict=False)
    except InvalidParameters as error:
        raise PhaseError(ExitCode.USAGE, Reason.INVALID_SPEC, f"{error.field}: {error.message}.") from None
    unknown = sorted(phase_input.parameters.keys() - _field_names(parameters))
    if unknown:
        _log.warning("Unknown parameters are ignored: %s", ", ".join(unknown))
    return parameters


def _field_names(model: WireModel) -> set[str]:
    return {field.serialization_alias or name for name, field in type(model).model_fields.items()}
