"""What a kubeconfig says, as the `kubernetes` package reads it (certificates, tokens, exec plugins); nothing else of it
is used.
"""

from __future__ import annotations

import os
import ssl
from pathlib import Path

from kubernetes.client import Configuration
from kubernetes.config import ConfigException, kube_config, load_kube_config

from audiojob_kube.config import Certificates, Connection, RefreshingToken, StaticToken, TokenProvider, ssl_context
from audiojob_kube.errors import ConfigError

_BEARER = "bearer "


def from_kubeconfig(kubeconfig: Path | None, context: str | None) -> Connection:
    """The connection that a context describes. Raises ConfigError."""
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
        ssl=_ssl_of(configuration),
        token=token,
        namespace=namespace,
        server_hostname=configuration.tls_server_name or None,
        proxy=configuration.proxy or None,
    )


def _ssl_of(configuration: Configuration) -> ssl.SSLContext | None:
    if not configuration.host.startswith("https"):
        return None
    files = Certificates(
        configuration.ssl_ca_cert or None, configuration.cert_file, configuration.key_file, configuration.verify_ssl
    )
    return ssl_context(files, configuration.host)
