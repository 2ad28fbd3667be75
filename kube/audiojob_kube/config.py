"""How to reach the API server: the pod's service account, else a kubeconfig file.

The `kubernetes` package reads both (certificates, tokens, exec plugins); nothing else of it is used.
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

from kubernetes.client import Configuration
from kubernetes.config import ConfigException, kube_config, load_incluster_config, load_kube_config

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

_NAMESPACE_FILE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")
_IN_CLUSTER_VARIABLE = "KUBERNETES_SERVICE_HOST"
_BEARER = "bearer "
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
    return _from_kubeconfig(kubeconfig, context)


def _in_cluster() -> Connection:
    def read(_refused: bool) -> str | None:
        return _bearer_token(_in_cluster_configuration())

    configuration = _in_cluster_configuration()
    namespace = _NAMESPACE_FILE.read_text().strip() if _NAMESPACE_FILE.exists() else "default"
    return _connection(configuration, RefreshingToken(read), namespace)


def _in_cluster_configuration() -> Configuration:
    configuration = Configuration()
    try:
        load_incluster_config(client_configuration=configuration)  # type: ignore[no-untyped-call]
    except ConfigException as error:
        raise ConfigError(
            f"${_IN_CLUSTER_VARIABLE} is set, but the pod's service account is not usable: {error} "
            "Mount the service account token (automountServiceAccountToken: true), or name a kubeconfig."
        ) from error
    return configuration


def _from_kubeconfig(kubeconfig: Path | None, context: str | None) -> Connection:
    path = str(kubeconfig) if kubeconfig else os.environ.get("KUBECONFIG") or "~/.kube/config"
    paths = [Path(part).expanduser() for part in path.split(os.pathsep) if part]
    if not any(part.is_file() for part in paths):
        raise ConfigError(
            f"No cluster to talk to: not inside a pod, and there is no kubeconfig at {path}. "
            "Name one by $KUBECONFIG or the kubeconfig option."
        )
    path = os.pathsep.join(str(part) for part in paths)
    configuration = _kubeconfig_configuration(path, context)
    namespace = _context_namespace(path, context)
    if _bearer_token(configuration) is None:
        return _connection(configuration, StaticToken(), namespace)

    def read(refused: bool) -> str | None:
        nonlocal configuration
        # Reading all of it again finds a rotated token file; it would also run an exec plugin, which
        # the hook behind _bearer_token does only when its answer has expired.
        if refused:
            configuration = _kubeconfig_configuration(path, context)
        return _bearer_token(configuration)

    return _connection(configuration, RefreshingToken(read), namespace)


def _kubeconfig_configuration(path: str, context: str | None) -> Configuration:
    configuration = Configuration()
    try:
        load_kube_config(  # type: ignore[no-untyped-call]
            config_file=path, context=context, client_configuration=configuration, persist_config=False
        )
    except ConfigException as error:
        raise ConfigError(f"The kubeconfig {path} is not usable: {error}") from error
    except Exception as error:
        # The package lets YAML errors, bad base64 and missing keys escape as they are.
        raise ConfigError(f"The kubeconfig {path} is not usable: {type(error).__name__}: {error}") from error
    return configuration


def _context_namespace(path: str, context: str | None) -> str:
    contexts, active = kube_config.list_kube_config_contexts(config_file=path)  # type: ignore[no-untyped-call]
    chosen = next((entry for entry in contexts if entry["name"] == context), active)
    namespace: str | None = chosen["context"].get("namespace")
    return namespace or "default"


def _bearer_token(configuration: Configuration) -> str | None:
    header: str | None = configuration.get_api_key_with_prefix("BearerToken")
    if not header:
        return None
    token = header[len(_BEARER) :] if header.lower().startswith(_BEARER) else header
    return token.strip()


def _connection(configuration: Configuration, token: TokenProvider, namespace: str) -> Connection:
    return Connection(
        host=configuration.host.rstrip("/"),
        ssl=_ssl_context(configuration),
        token=token,
        namespace=namespace,
        server_hostname=configuration.tls_server_name or None,
        proxy=configuration.proxy or None,
    )


def _ssl_context(configuration: Configuration) -> ssl.SSLContext | None:
    if not configuration.host.startswith("https"):
        return None
    try:
        context = ssl.create_default_context(cafile=configuration.ssl_ca_cert or None)
        if configuration.cert_file:
            context.load_cert_chain(configuration.cert_file, configuration.key_file)
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(
            f"The certificates for {configuration.host} cannot be loaded: {error} "
            f"(CA {configuration.ssl_ca_cert}, client {configuration.cert_file})"
        ) from error
    # Python 3.13 began to demand extensions that many clusters' own CAs lack; kubectl does not ask for them.
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    if not configuration.verify_ssl:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context
