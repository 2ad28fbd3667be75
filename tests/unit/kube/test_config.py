from __future__ import annotations

import asyncio
import datetime as dt
import ssl
from pathlib import Path
from typing import Any

import pytest
import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from audiojob_kube import config
from audiojob_kube.config import ConfigError, RefreshingToken, load_connection


@pytest.fixture(scope="module")
def authority() -> tuple[str, str]:
    """A self-signed certificate and its key, PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "test")])
    now = dt.datetime.now(dt.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now)
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return certificate.public_bytes(pem).decode(), private.decode()


@pytest.fixture(autouse=True)
def outside_any_cluster(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("KUBERNETES_SERVICE_HOST", "KUBERNETES_SERVICE_PORT", "KUBECONFIG"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))


def write_kubeconfig(folder: Path, *, user: dict[str, Any], cluster: dict[str, Any] | None = None) -> Path:
    path = folder / "config.yaml"
    context = {"cluster": "c", "user": "u", "namespace": "music"}
    content = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "here",
        "contexts": [
            {"name": "here", "context": context},
            {"name": "bare", "context": {"cluster": "c", "user": "u"}},
        ],
        "clusters": [{"name": "c", "cluster": cluster or {"server": "http://127.0.0.1:8001/"}}],
        "users": [{"name": "u", "user": user}],
    }
    path.write_text(yaml.safe_dump(content))
    return path


async def test_a_kubeconfig_with_a_token(tmp_path: Path) -> None:
    connection = load_connection(write_kubeconfig(tmp_path, user={"token": "secret"}))
    assert (connection.host, connection.namespace, connection.ssl) == ("http://127.0.0.1:8001", "music", None)
    assert await connection.token.get() == "secret"


async def test_a_context_without_a_namespace_means_default(tmp_path: Path) -> None:
    assert load_connection(write_kubeconfig(tmp_path, user={}), "bare").namespace == "default"


async def test_a_kubeconfig_without_a_token_sends_none(tmp_path: Path) -> None:
    assert await load_connection(write_kubeconfig(tmp_path, user={})).token.get() is None


async def test_certificates_become_a_verifying_tls_context(tmp_path: Path, authority: tuple[str, str]) -> None:
    (tmp_path / "ca.crt").write_text(authority[0])
    (tmp_path / "tls.key").write_text(authority[1])
    cluster = {
        "server": "https://127.0.0.1:6443",
        "certificate-authority": "ca.crt",
        "tls-server-name": "kubernetes.default",
    }
    user = {"client-certificate": "ca.crt", "client-key": "tls.key"}
    connection = load_connection(write_kubeconfig(tmp_path, user=user, cluster=cluster))
    assert connection.ssl is not None
    assert connection.ssl.verify_mode is ssl.CERT_REQUIRED
    assert connection.ssl.check_hostname
    assert len(connection.ssl.get_ca_certs()) == 1
    assert connection.server_hostname == "kubernetes.default"


async def test_verification_is_off_only_where_the_kubeconfig_says_so(tmp_path: Path) -> None:
    cluster = {"server": "https://127.0.0.1:6443", "insecure-skip-tls-verify": True}
    connection = load_connection(write_kubeconfig(tmp_path, user={}, cluster=cluster))
    assert connection.ssl is not None
    assert connection.ssl.verify_mode is ssl.CERT_NONE


async def test_the_environment_names_the_kubeconfig(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBECONFIG", str(write_kubeconfig(tmp_path, user={"token": "from-environment"})))
    assert await load_connection().token.get() == "from-environment"


def test_no_cluster_at_all_names_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no kubeconfig at ~/.kube/config.*\$KUBECONFIG"):
        load_connection()
    with pytest.raises(ConfigError, match=r"missing\.yaml"):
        load_connection(tmp_path / "missing.yaml")


@pytest.mark.parametrize(
    ("content", "context"),
    [("not: [valid", None), ("just text", None), ("", None), ("apiVersion: v1\nkind: Config\n", None), (None, "other")],
    ids=["broken YAML", "not a mapping", "an empty file", "no contexts", "an unknown context"],
)
def test_an_unusable_kubeconfig_is_named(tmp_path: Path, content: str | None, context: str | None) -> None:
    path = write_kubeconfig(tmp_path, user={})
    if content is not None:
        path.write_text(content)
    with pytest.raises(ConfigError, match=r"config\.yaml is not usable: "):
        load_connection(path, context)


def test_missing_certificate_files_are_named(tmp_path: Path) -> None:
    cluster = {"server": "https://127.0.0.1:6443", "certificate-authority": "ca.crt"}
    with pytest.raises(ConfigError, match=r"ca\.crt"):
        load_connection(write_kubeconfig(tmp_path, user={}, cluster=cluster))


async def test_a_rotated_token_file_is_read_after_a_refusal(tmp_path: Path) -> None:
    token_file = tmp_path / "token"
    token_file.write_text("old")
    connection = load_connection(write_kubeconfig(tmp_path, user={"tokenFile": str(token_file)}))
    assert await connection.token.get() == "old"
    token_file.write_text("new")
    connection.token.invalidate()
    assert await connection.token.get() == "new"


@pytest.fixture
def pod(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, authority: tuple[str, str]) -> Path:
    """The files and variables that a pod with a service account has."""
    folder = tmp_path / "serviceaccount"
    folder.mkdir()
    (folder / "token").write_text("pod-token\n")
    (folder / "ca.crt").write_text(authority[0])
    (folder / "namespace").write_text("audiojob-system")
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "fd00::1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", "443")
    monkeypatch.setattr(config, "_SERVICE_ACCOUNT", folder)
    return folder


async def test_inside_a_pod_the_service_account_is_used(pod: Path) -> None:
    connection = load_connection()
    assert (connection.host, connection.namespace) == ("https://[fd00::1]:443", "audiojob-system")
    assert await connection.token.get() == "pod-token"
    (pod / "token").write_text("rotated")
    assert await connection.token.get() == "pod-token", "it is read once a minute, not for each call"
    connection.token.invalidate()
    assert await connection.token.get() == "rotated"


@pytest.mark.usefixtures("pod")
async def test_a_named_kubeconfig_is_used_even_inside_a_pod(tmp_path: Path) -> None:
    assert await load_connection(write_kubeconfig(tmp_path, user={"token": "mine"})).token.get() == "mine"


@pytest.mark.parametrize("name", ["token", "ca.crt"])
async def test_a_pod_without_its_account_says_what_to_mount(pod: Path, name: str) -> None:
    (pod / name).write_text("")
    with pytest.raises(ConfigError, match="is empty"):
        load_connection()
    (pod / name).unlink()
    with pytest.raises(ConfigError, match="automountServiceAccountToken"):
        load_connection()


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


async def test_a_token_is_read_again_after_its_minute() -> None:
    clock, reads = Clock(), iter(["first", "second"])
    token = RefreshingToken(lambda _refused: next(reads), lifetime=60.0, clock=clock)
    assert [await token.get(), await token.get()] == ["first", "first"]
    clock.now = 60.0
    assert await token.get() == "second"


async def test_callers_at_the_same_moment_share_one_read() -> None:
    reads: list[bool] = []

    def read(refused: bool) -> str:
        reads.append(refused)
        return "t"

    token = RefreshingToken(read)
    assert await asyncio.gather(*(token.get() for _ in range(20))) == ["t"] * 20
    assert reads == [False]


async def test_a_token_file_that_is_away_for_a_moment_does_no_harm() -> None:
    clock = Clock()

    def read(_refused: bool) -> str:
        if clock.now > 0:
            raise FileNotFoundError("token")
        return "old"

    token = RefreshingToken(read, lifetime=60.0, clock=clock)
    assert await token.get() == "old"
    clock.now = 61.0
    assert await token.get() == "old"


async def test_a_token_that_was_never_there_is_an_error() -> None:
    def read(_refused: bool) -> str:
        raise ConfigError("no token file")

    with pytest.raises(ConfigError, match="no token file"):
        await RefreshingToken(read).get()
