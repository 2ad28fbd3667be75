"""The sweeper as a process, with its own rights on a real API server, on both kinds of store."""

from __future__ import annotations

import json
import os
import time
import urllib.parse
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from tests.integration.policy.space import JOBS, RBAC
from tests.integration.runner.pods import RUNNER
from tests.integration.runner.stores import StoreFolder
from tests.support import forks

from audiojob_dev.cluster.apiserver import LocalApiServer
from audiojob_dev.rest import MERGE_PATCH
from audiojob_types.constants import API_VERSION, GROUP
from audiojob_types.contract import ExitCode

pytestmark = pytest.mark.integration

ACCOUNT = "audiojob-sweeper"
DAY = 86_400
PAST, AHEAD = "2026-01-01T00:00:00Z", "2100-01-01T00:00:00Z"
LONG_AGO = {"absentSince": "2026-01-01T00:00:00Z"}


@dataclass(frozen=True)
class Ended:
    code: int
    lines: list[dict[str, Any]]

    def said(self, words: str) -> list[str]:
        """Messages of the log with these words."""
        return [line["message"] for line in self.lines if words in line["message"]]


@dataclass
class Sweeper:
    """A namespace with its store, and the pod of the CronJob."""

    server: LocalApiServer
    namespace: str
    store: StoreFolder
    root: Path

    def job(self, name: str, status: dict[str, Any] | None = None, **source: Any) -> str:
        """An AudioJob that exists; its uid."""
        spec = {"pipeline": "p", **({"source": {"object": source}} if source else {})}
        body = {"apiVersion": API_VERSION, "kind": "AudioJob", "metadata": {"name": name}, "spec": spec}
        path = f"{JOBS}/{self.namespace}/audiojobs"
        made = self.server.rest.request("POST", path, body)
        self.server.rest.request("PATCH", f"{path}/{name}/status", {"status": status or {}}, content_type=MERGE_PATCH)
        uid: str = made["metadata"]["uid"]
        return uid

    def fill(
        self, uid: str = "", *, expires: str | None = PAST, age_days: float = 30, size: int = 100, mark: Any = None
    ) -> str:
        """A job's folder with one phase that published; its key."""
        folder = f"{self.namespace}/{uid or uuid.uuid4()}"
        changes = {"expiresTime": expires} if expires else {}
        self.store.put_manifest(f"{folder}/work/1-00000000", {"audio": bytes(size)}, **changes)
        self.store.put(f"{folder}/work/1-00000000/log/0000", b"{}\n")
        if mark is not None:
            self.store.put(f"{folder}/absent-since.json", json.dumps(mark).encode())
        self.age(folder, age_days)
        return folder

    def unfinished(self, folder: str, age_days: float = 2) -> str:
        """An attempt that never published."""
        attempt = f"{folder}/work/2-11111111"
        self.store.put(f"{attempt}/audio.bin", b"half")
        self.age(attempt, age_days)
        return attempt

    def upload(self, digit: str) -> str:
        """An upload through the API, last used days ago."""
        folder = f"{self.namespace}/uploads/up-{digit * 32}"
        for name in ("song.flac", ".upload.json"):
            self.store.put(f"{folder}/{name}", b"{}")
        self.age(folder, 2)
        return folder

    def age(self, folder: str, days: float) -> None:
        """As if it had been written so long ago."""
        moment = time.time() - days * DAY
        for path in (self.store.root / folder).rglob("*"):
            if path.is_file():
                os.utime(path, (moment, moment))

    def there(self, folder: str) -> bool:
        """Whether anything lies below it."""
        keys = self.store.keys()
        return any(key.startswith(f"{folder}/") for key in keys)

    def run(self, *options: str, environ: dict[str, str] | None = None) -> Ended:
        """One pass."""
        parts = urllib.parse.urlsplit(self.server.url)
        arguments = ["sweep", "--namespace", self.namespace, "--store", json.dumps(self.store.config)]
        log = self.root.parent / f"sweep-{uuid.uuid4().hex}.log"
        environ = {
            "PATH": os.environ["PATH"],
            "KUBERNETES_SERVICE_HOST": parts.hostname or "",
            "KUBERNETES_SERVICE_PORT": str(parts.port),
            **(environ or {}),
        }
        code = forks.start(RUNNER, environ, log, [*arguments, "--root", str(self.root), *options]).wait(120)
        return Ended(code, [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()])


@pytest.fixture
def sweeper(apiserver: LocalApiServer, store: StoreFolder, tmp_path: Path) -> Iterator[Sweeper]:
    """A namespace as the chart prepares it for the sweeper."""
    namespace = f"sweep-{uuid.uuid4().hex[:10]}"
    apiserver.create_namespace(namespace)
    apiserver.ensure_service_account(namespace, ACCOUNT)
    role = [{"apiGroups": [GROUP], "resources": ["audiojobs"], "verbs": ["get", "list"]}]
    path = f"{RBAC}/namespaces/{namespace}"
    apiserver.rest.request("POST", f"{path}/roles", {"metadata": {"name": ACCOUNT}, "rules": role})
    binding = {
        "metadata": {"name": ACCOUNT},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": ACCOUNT},
        "subjects": [{"kind": "ServiceAccount", "name": ACCOUNT, "namespace": namespace}],
    }
    apiserver.rest.request("POST", f"{path}/rolebindings", binding)
    account = tmp_path / "sweeper/var/run/secrets/kubernetes.io/serviceaccount"
    account.mkdir(parents=True)
    (account / "token").write_text(apiserver.service_account_token(namespace, ACCOUNT), encoding="ascii")
    (account / "ca.crt").write_bytes(apiserver.authority.read_bytes())
    secrets = tmp_path / "sweeper/etc/audiojob/store"
    secrets.mkdir(parents=True)
    for name, value in store.credentials.items():
        (secrets / name).write_text(value, encoding="utf-8")
    yield Sweeper(apiserver, namespace, store, tmp_path / "sweeper")
    apiserver.rest.request("DELETE", f"{JOBS}/{namespace}/audiojobs")
    apiserver.rest.request("DELETE", f"/api/v1/namespaces/{namespace}")


def test_only_what_expired_and_is_long_absent_goes_and_the_first_sight_of_absence_is_remembered(
    sweeper: Sweeper,
) -> None:
    gone = sweeper.fill(mark=LONG_AGO)
    for_ever = sweeper.fill(expires=None, mark=LONG_AGO)
    later = sweeper.fill(expires=AHEAD, mark=LONG_AGO)
    fresh = sweeper.fill()
    back = sweeper.fill(sweeper.job("back", {"state": "Succeeded"}), mark=LONG_AGO)
    half = sweeper.unfinished(for_ever)
    young = sweeper.unfinished(later, age_days=0.5)
    sweeper.store.put(f"{sweeper.namespace}/uploads/song.flac", b"an upload")
    unused, wanted = (sweeper.upload(digit) for digit in "01")
    sweeper.job("waits", {"state": "Pending"}, key=f"{wanted.rpartition('/')[2]}/song.flac")
    sweeper.store.put("shelf/Artist/Song.flac", b"a library")

    ended = sweeper.run("--max-percent", "90")

    assert ended.code == ExitCode.OK, ended.lines
    assert [sweeper.there(each) for each in (gone, half, unused)] == [False] * 3
    assert [sweeper.there(each) for each in (for_ever, later, fresh, back, young, wanted)] == [True] * 6
    keys = sweeper.store.keys()
    assert f"{fresh}/absent-since.json" in keys
    assert f"{back}/absent-since.json" not in keys
    assert {f"{sweeper.namespace}/uploads/song.flac", "shelf/Artist/Song.flac"} <= set(keys)
    indexed = {key.rpartition("-")[2] for key in keys if key.startswith(f"{sweeper.namespace}/index/")}
    assert indexed == {f"{each.rpartition('/')[2][:8]}.json" for each in (for_ever, later, fresh, back)}
    assert ended.said("removing job"), "what and why is told"
    assert "expired at 2026-01-01" in ended.said("removing job")[0]
    if sweeper.store.kind == "Folder":
        assert not (sweeper.store.root / gone).exists(), "no empty folders stay"


def test_the_index_leads_to_the_folder_after_the_job_is_gone(sweeper: Sweeper) -> None:
    uid = sweeper.job("song", {"state": "Succeeded", "completionTime": PAST})
    folder = sweeper.fill(uid, expires=None)
    assert sweeper.run().code == ExitCode.OK
    path = f"{JOBS}/{sweeper.namespace}/audiojobs/song"
    sweeper.server.rest.request("DELETE", path)
    assert sweeper.run().code == ExitCode.OK

    keys = sweeper.store.keys()
    [key] = [each for each in keys if each.startswith(f"{sweeper.namespace}/index/")]
    record = json.loads(sweeper.store.read(key))
    assert (record["folder"], record["uid"], record["state"], record["pipeline"]) == (folder, uid, "Succeeded", "p")
    assert [each["folder"] for each in record["attempts"]] == [f"{folder}/work/1-00000000"]
    assert [each["name"] for each in record["attempts"][0]["outputs"]] == ["audio"]


def test_intermediate_files_go_and_the_results_stay(sweeper: Sweeper) -> None:
    folder = sweeper.fill(expires=None, mark=LONG_AGO, size=10_000)
    wav = f"{folder}/normalize/1-00000000"
    sweeper.store.put_manifest(wav, {"audio": bytes(100)}, expiresTime=PAST, intermediate=True)
    sweeper.age(folder, 30)

    assert sweeper.run("--dry-run").said("would remove attempt")
    assert sweeper.there(wav)
    assert sweeper.run().code == ExitCode.OK
    assert [sweeper.there(each) for each in (wav, f"{folder}/work/1-00000000")] == [False, True]


def test_a_pass_removes_a_fifth_and_the_next_one_goes_on(sweeper: Sweeper) -> None:
    folders = [sweeper.fill(mark=LONG_AGO) for _ in range(10)]

    passes, left = [], []
    for _ in range(2):
        passes.append(sweeper.run())
        left.append(sum(sweeper.there(each) for each in folders))

    assert [each.code for each in passes] == [ExitCode.OK] * 2
    assert left == [8, 7]
    assert passes[-1].said("held back")


def test_what_existing_jobs_refer_to_stays(sweeper: Sweeper) -> None:
    donor = sweeper.fill(mark=LONG_AGO)
    source = sweeper.fill(mark=LONG_AGO)
    failed = sweeper.unfinished(sweeper.fill(expires=None))
    manifest = {"sha256": "0" * 64, "count": 1}
    sweeper.job(
        "heir",
        {
            "state": "Failed",
            "phases": [{"name": "work", "manifest": {"key": f"{donor}/work/1-00000000/manifest.json", **manifest}}],
            "source": {
                "manifest": {"key": f"{source}/work/1-00000000/manifest.json", **manifest},
                "output": "audio",
            },
            "error": {"reason": "Stalled", "message": "It hung.", "logKey": f"{failed}/log/0000"},
        },
    )
    waiting = sweeper.unfinished(f"{sweeper.namespace}/{sweeper.job('waiting', {'state': 'Running'})}")

    ended = sweeper.run("--max-percent", "100")

    assert ended.code == ExitCode.OK, ended.lines
    assert all(sweeper.there(each) for each in (donor, source, failed, waiting))


def test_a_dry_run_says_what_would_go_and_changes_nothing(sweeper: Sweeper) -> None:
    sweeper.fill(mark=LONG_AGO)
    sweeper.unfinished(sweeper.fill())
    before = sweeper.store.keys()

    ended = sweeper.run("--dry-run", "--max-percent", "100")

    assert ended.code == ExitCode.OK, ended.lines
    assert sweeper.store.keys() == before
    assert len(ended.said("would remove")) == 2


NO_LIST = {
    "the API server is gone": {"KUBERNETES_SERVICE_HOST": "127.0.0.1", "KUBERNETES_SERVICE_PORT": "9"},
    "nobody says where it is": {"KUBERNETES_SERVICE_HOST": ""},
}


@pytest.mark.parametrize("environ", NO_LIST.values(), ids=NO_LIST.keys())
def test_without_the_list_of_jobs_nothing_is_removed(sweeper: Sweeper, environ: dict[str, str]) -> None:
    sweeper.fill(mark=LONG_AGO)
    before = sweeper.store.keys()

    ended = sweeper.run("--max-percent", "100", environ=environ)

    assert ended.code == ExitCode.TEMPORARY, ended.lines
    assert sweeper.store.keys() == before
    assert ended.said("nothing was removed")


def test_without_the_right_to_list_nothing_is_removed(sweeper: Sweeper) -> None:
    sweeper.fill(mark=LONG_AGO)
    sweeper.server.ensure_service_account(sweeper.namespace, "nobody")
    token = sweeper.server.service_account_token(sweeper.namespace, "nobody")
    (sweeper.root / "var/run/secrets/kubernetes.io/serviceaccount/token").write_text(token, encoding="ascii")
    before = sweeper.store.keys()

    ended = sweeper.run("--max-percent", "100")

    assert (ended.code, sweeper.store.keys()) == (ExitCode.CREDENTIALS, before)


@pytest.mark.parametrize("damage", ["manifest", "mark"])
def test_what_cannot_be_read_is_kept(sweeper: Sweeper, damage: str) -> None:
    folder = sweeper.fill(mark=LONG_AGO)
    key = f"{folder}/work/1-00000000/manifest.json" if damage == "manifest" else f"{folder}/absent-since.json"
    sweeper.store.put(key, b"{")
    sweeper.age(folder, 30)

    ended = sweeper.run("--max-percent", "100")

    assert ended.code == ExitCode.OK, ended.lines
    assert sweeper.there(folder)
    assert ended.said("cannot be read")
