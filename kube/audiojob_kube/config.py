"""How to reach the API server: the pod's service account, else a kubeconfig file.

A kubeconfig is read by :mod:`audiojob_kube.kubeconfig`.
"""

from __future__ import annotations

import asyncio
import logging
import os
import ssl
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol
from urllib.request import getproxies, proxy_bypass

from audiojob_kube.errors import ConfigError

__all__ = [
    "ConfigError",
    "Connection",
    "RefreshingToken",
    "StaticToken",
    "TokenProvider",
    "load_connection",
]

_log = logging.getLogger(__name__)

_SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
_IN_CLUSTER_VARIABLE = "KUBERNETES_SERVICE_HOST"
TOKEN_LIFETIME_SECONDS = 60.0


class TokenProvider(Protocol):
    """Where the bearer token of each request comes from."""

    async def get(self) -> str | None:
        """The token without its "Bearer " prefix; None if the connection needs none."""

    def invalidate(self) -> None:
        """The server refused the last token: fetch a new one at the next `get`."""


class StaticToken:
    """A token that never changes, or None."""

    def __init__(self, token: str | None = None) -> None:
        self._token = token

    async def get(self) -> str | None:
        return self._token

    def invalidate(self) -> None:
        """Nothing to fetch again."""


class RefreshingToken:
    """A token that is read again once a minute, and at once after the server refused it.

    `read(refused)` runs in a worker thread, since an exec plugin may take seconds. Safe to share between
    event loops of several threads.
    """

    def __init__(
        self,
        read: Callable[[bool], str | None],
        *,
        lifetime: float = TOKEN_LIFETIME_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._read = read
        self._lifetime = lifetime
        self._clock = clock
        self._lock = threading.Lock()
        self._token: str | None = None
        self._fresh_until: float | None = None
        self._refused = False

    async def get(self) -> str | None:
        if self._is_fresh():
            return self._token
        return await asyncio.to_thread(self._refresh)

    def invalidate(self) -> None:
        self._refused = True

    def _is_fresh(self) -> bool:
        return not self._refused and self._fresh_until is not None and self._clock() < self._fresh_until

    def _refresh(self) -> str | None:
        with self._lock:
            if self._is_fresh():
                return self._token
            refused, self._refused = self._refused, False
            try:
                self._token = self._read(refused)
            except (ConfigError, OSError) as error:
                # A token being rotated may be unreadable for a moment; the old one is still good then.
                if self._fresh_until is None:
                    raise
                _log.warning("cannot read the token again, using the last one: %s", error)
            self._fresh_until = self._clock() + self._lifetime
            return self._token


@dataclass(frozen=True, slots=True)
class Connection:
    """One API server and the identity to talk to it with.

    `host` is a URL without a trailing slash; `ssl` is None for plain HTTP; `namespace` is the pod's own
    or the kubeconfig context's; `server_hostname` overrides the name checked in the server's certificate.
    """

    host: str
    ssl: ssl.SSLContext | None = None
    token: TokenProvider = field(default_factory=StaticToken)
    namespace: str = "default"
    server_hostname: str | None = None
    proxy: str | None = None


def load_connection(kubeconfig: Path | None = None, context: str | None = None) -> Connection:
    """The connection of this pod's service account, else of a kubeconfig.

    A given `kubeconfig` or `context` is used even inside a pod. Without `kubeconfig` the file is
    `$KUBECONFIG`, else `~/.kube/config`. Raises ConfigError.
    """
    if kubeconfig is None and context is None and os.environ.get(_IN_CLUSTER_VARIABLE):
        return _in_cluster()
    # Here alone: the `kubernetes` package takes 9 MB, and pods have no kubeconfig.
    from audiojob_kube.kubeconfig import from_kubeconfig  # noqa: PLC0415

    return from_kubeconfig(kubeconfig, context)


def _in_cluster() -> Connection:
    host, port = os.environ[_IN_CLUSTER_VARIABLE], os.environ.get("KUBERNETES_SERVICE_PORT") or "443"
    _account_file("token")
    authority = _SERVICE_ACCOUNT / "ca.crt"
    _account_file(authority.name)
    namespace = _SERVICE_ACCOUNT / "namespace"
    return Connection(
        host=f"https://[{host}]:{port}" if ":" in host else f"https://{host}:{port}",
        ssl=ssl_context(Certificates(str(authority)), host),
        token=RefreshingToken(lambda _refused: _account_file("token")),
        namespace=namespace.read_text().strip() if namespace.exists() else "default",
        proxy=_proxy(host),
    )


def _proxy(host: str) -> str | None:
    """What the environment says, as it does for a kubeconfig."""
    proxies = getproxies()
    return None if proxy_bypass(host) else proxies.get("https") or proxies.get("all")


def _account_file(name: str) -> str:
    """What the file says. Raises ConfigError."""
    try:
        found = (_SERVICE_ACCOUNT / name).read_text().strip()
    except OSError as error:
        found, cause = "", str(error)
    else:
        cause = f"{_SERVICE_ACCOUNT / name} is empty."
    if not found:
        raise ConfigError(
            f"${_IN_CLUSTER_VARIABLE} is set, but the pod's service account is not usable: {cause} "
            "Mount the service account token (automountServiceAccountToken: true), or name a kubeconfig."
        )
    return found


@dataclass(frozen=True, slots=True)
class Certificates:
    """Files: of the authority, None for the system's; of the client, if it has one. ``verify``: ask for any at all."""

    authority: str | None
    client: str | None = None
    key: str | None = None
    verify: bool = True


def ssl_context(files: Certificates, host: str) -> ssl.SSLContext:
    """How to trust the API server. Raises ConfigError."""
    try:
        context = ssl.create_default_context(cafile=files.authority)
        if files.client:
            context.load_cert_chain(files.client, files.key)
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(
            f"The certificates for {host} cannot be loaded: {error} (CA {files.authority}, client {files.client})"
        ) from error
    # Python 3.13 began to demand extensions that many clusters' own CAs lack; kubectl does not ask for them.
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    if not files.verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context
