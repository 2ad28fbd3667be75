"""Where things lie: caches that are worth keeping, and the state of one running cluster."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from audiojob_dev.errors import DevError

# A Unix socket's path holds 107 bytes; the kubelet adds up to 45 below its folder.
_LONGEST_STATE_PATH = 60


def repository() -> Path:
    """Root of the working tree: the folder that holds `dev/`."""
    return Path(__file__).resolve().parents[2]


@dataclass(frozen=True, slots=True)
class Paths:
    """Folders of one user: `cache` survives `down` and `clean`, `state` belongs to one running cluster."""

    cache: Path
    state: Path

    @property
    def kubeconfig(self) -> Path:
        return self.state / "kubeconfig"

    @property
    def audit_log(self) -> Path:
        return self.state / "audit.log"

    @property
    def logs(self) -> Path:
        return self.state / "logs"

    @property
    def containerd_root(self) -> Path:
        """Images outlive the cluster: unpacking the torch image again would cost minutes."""
        return self.cache / "containerd"


def paths_from_environment(environment: Mapping[str, str] | None = None) -> Paths:
    """Read `AUDIOJOB_CACHE_DIR` and `AUDIOJOB_STATE_DIR`; the defaults follow the XDG folders.

    Raises DevError where the state folder's path is too long for the sockets inside it.
    """
    env = os.environ if environment is None else environment
    home = Path(env.get("HOME") or Path.home())
    cache_home = Path(env.get("XDG_CACHE_HOME") or home / ".cache")
    state_home = Path(env.get("XDG_STATE_HOME") or home / ".local" / "state")
    cache = Path(env.get("AUDIOJOB_CACHE_DIR") or cache_home / "audiojob").expanduser().absolute()
    state = Path(env.get("AUDIOJOB_STATE_DIR") or state_home / "audiojob").expanduser().absolute()
    if len(str(state)) > _LONGEST_STATE_PATH:
        raise DevError(
            f"AUDIOJOB_STATE_DIR: {state} is longer than {_LONGEST_STATE_PATH} characters, "
            "too long for the Unix sockets inside it; name a shorter folder."
        )
    return Paths(cache=cache, state=state)
