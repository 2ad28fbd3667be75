"""The API beside a real OpenID Connect provider: discovery, keys, a login by code, and what its tokens reach."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import urllib.error
import urllib.parse
import urllib.request
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.integration.api.conftest import JOBS, URL, Api, launched, wait_ready

from audiojob_api.jobs.create import user_label
from audiojob_dev.cluster.apiserver import LocalApiServer
from audiojob_dev.rest import wait_until
from audiojob_dev.tools import processes
from audiojob_types.constants import LABEL_USER

pytestmark = pytest.mark.integration

CLIENT, BACK = "audiojob", "http://127.0.0.1:1/back"
USERS = {
    "ann": {"sub": "ann", "groups": ["band"]},
    "fan": {"sub": "fan", "groups": ["fans"]},
    "eve": {"sub": "eve", "groups": ["others"]},
}


class _Stay(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: object, **__: object) -> None:
        return None


class Provider:
    """The provider's process."""

    def __init__(self, folder: Path) -> None:
        port = processes.free_port()
        self.issuer = f"http://127.0.0.1:{port}"
        users = [word for user in USERS.values() for word in ("--user-claims", json.dumps(user))]
        command = [sys.executable, "-W", "ignore", "-m", "oidc_provider_mock", "--port", str(port), *users]
        with (folder / "provider.log").open("wb") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log)
        try:
            wait_until("the provider", self._answers, seconds=110)
        except BaseException:
            self.end()
            raise

    def end(self) -> None:
        self.process.terminate()
        self.process.wait(30)

    def _answers(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.issuer}/.well-known/openid-configuration", timeout=5) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False

    def token(self, user: str, client: str = CLIENT) -> str:
        """The ID token of a user who logs in: authorization code, as a browser and its program do it."""
        asked = {"client_id": client, "redirect_uri": BACK, "response_type": "code", "scope": "openid"}
        form = urllib.parse.urlencode({"sub": user}).encode()
        address = f"{self.issuer}/oauth2/authorize?{urllib.parse.urlencode(asked)}"
        with pytest.raises(urllib.error.HTTPError) as answer:
            urllib.request.build_opener(_Stay()).open(urllib.request.Request(address, form), timeout=10)
        location = answer.value.headers["Location"]
        answer.value.close()
        (code,) = re.findall(r"[?&]code=([^&]+)", location)
        given = {"grant_type": "authorization_code", "code": code, "redirect_uri": BACK, "client_id": client}
        body = urllib.parse.urlencode({**given, "client_secret": "any"}).encode()
        with urllib.request.urlopen(f"{self.issuer}/oauth2/token", body, timeout=10) as taken:
            token: str = json.load(taken)["id_token"]
        return token


@pytest.fixture(scope="module")
def provider(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Provider]:
    started = Provider(tmp_path_factory.mktemp("provider"))
    yield started
    started.end()


@pytest.fixture
def served(api: Api, apiserver: LocalApiServer, provider: Provider, tmp_path: Path) -> Iterator[Api]:
    """A second API of the same namespace, which takes the provider's tokens."""
    rule = {"claim": "groups", "tenant": "band", "namespace": api.namespace}
    access = {
        "providers": [{"name": "corp", "issuer": provider.issuer, "audiences": [CLIENT], "allowHttp": True}],
        "rules": [
            {**rule, "values": ["band"], "role": "submitter"},
            {**rule, "values": ["fans"], "role": "viewer"},
        ],
    }
    file = tmp_path / "access.json"
    file.write_text(json.dumps(access), encoding="utf-8")
    kubeconfig = tmp_path / "kubeconfig"
    kubeconfig.write_bytes(api.kubeconfig.read_bytes())
    with launched(apiserver, api.namespace, kubeconfig, AUDIOJOB_ACCESS_FILE=str(file)) as (running, process):
        wait_ready(running, process)
        yield running


def test_a_person_logs_in_and_works(served: Api, provider: Provider) -> None:
    ann, fan = provider.token("ann"), provider.token("fan")
    name = f"song-{uuid.uuid4().hex[:8]}"
    body = {"pipeline": "download", "source": URL, "name": name}
    assert served.call("POST", JOBS, body, token=fan)[0] == 403
    status, made = served.call("POST", JOBS, body, token=ann)
    assert (status, made["name"]) == (201, name)
    assert served.stored(name)["metadata"]["labels"] == {LABEL_USER: user_label("oidc:corp:ann")}
    assert served.call("GET", f"{JOBS}/{name}", token=fan)[0] == 200
    assert served.call("POST", f"{JOBS}/{name}/cancel", token=fan)[0] == 403
    assert served.call("POST", f"{JOBS}/{name}/cancel", token=ann)[0] == 202
    assert served.stored(name)["spec"]["cancel"] is True
    # Kubernetes tokens go on as before, and may change it too.
    assert served.call("GET", f"{JOBS}/{name}")[0] == 200

    refused = {
        "of no tenant": served.call("GET", JOBS, token=provider.token("eve"))[0],
        "for another client": served.call("GET", JOBS, token=provider.token("ann", "other"))[0],
        "with a changed signature": served.call(
            "GET", JOBS, token=ann[:-4] + ("AAAA" if ann[-4:] != "AAAA" else "BBBB")
        )[0],
        "in another namespace": served.call("GET", f"{JOBS}?namespace=default", token=ann)[0],
    }
    assert refused == {
        "of no tenant": 403, "for another client": 401, "with a changed signature": 401, "in another namespace": 404,
    }  # fmt: skip
    provider.end()
    assert served.call("GET", JOBS, token=ann)[0] == 200, "keys are kept"
    log = served.log.read_text()
    assert "oidc:corp:ann" in log
    assert not any(part in log for token in (ann, fan) for part in token.split(".")[1:])
