"""Which AudioJobs exist, and what they refer to, asked of the API server with the pod's own token."""

from __future__ import annotations

import http.client
import json
import ssl
import urllib.parse
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from audiojob_runner.errors import PhaseError
from audiojob_runner.settings import ENV_API_HOST, ENV_API_PORT
from audiojob_runner.sweep.index import SeenJob
from audiojob_runner.sweep.plan import LiveJobs
from audiojob_runner.sweep.uploads import UploadUses
from audiojob_types.constants import GROUP, MANAGER_RUNNER, VERSION
from audiojob_types.contract import ExitCode
from audiojob_types.reasons import Reason
from audiojob_types.resources.job import FINISHED_STATES

PAGE: Final = 500
CALL_SECONDS: Final = 60.0
MAX_ANSWER_BYTES: Final = 64 * 1024 * 1024
_RELISTS: Final = 3


def live_jobs(environ: Mapping[str, str], service_account: Path, namespace: str) -> LiveJobs:
    """All AudioJobs of the namespace. Raises :class:`PhaseError`: without the whole list nothing may be removed."""
    for attempt in range(_RELISTS):
        try:
            return read_jobs(_pages(environ, service_account, namespace))
        except _ListExpiredError as error:
            if attempt == _RELISTS - 1:
                raise _failed(f"the list ended early {_RELISTS} times") from error
    raise AssertionError("unreachable")


def read_jobs(items: Iterator[Mapping[str, Any]]) -> LiveJobs:
    """What the sweeper must know of them. A status that cannot be read keeps its job unfinished."""
    uids: set[str] = set()
    references: set[str] = set()
    unfinished: set[str] = set()
    seen: dict[str, SeenJob] = {}
    uploads = UploadUses()
    for item in items:
        uid = item["metadata"]["uid"]
        uids.add(uid)
        status = item.get("status") or {}
        seen[uid] = _seen(item.get("spec") or {}, status)
        if status.get("state") not in FINISHED_STATES:
            unfinished.add(uid)
        references.update(_keys(status))
        uploads.add(item.get("spec") or {}, status)
    return LiveJobs(frozenset(uids), frozenset(references), frozenset(unfinished), seen, uploads)


def _seen(spec: Mapping[str, Any], status: Mapping[str, Any]) -> SeenJob:
    """What the index tells of the job. Odd values are cut or left out: they are for people."""
    try:
        completed = datetime.fromisoformat(str(status.get("completionTime")))
    except ValueError:
        completed = None
    return SeenJob(str(spec.get("pipeline", ""))[:63], str(status.get("state", ""))[:63], completed)


def _keys(node: Any) -> Iterator[str]:
    """Every key of the store that a status names, now or in versions to come: ``key`` and ``…Key``, at any depth."""
    if isinstance(node, Mapping):
        for name, value in node.items():
            if isinstance(value, str) and (name == "key" or name.endswith("Key")):
                yield value
            else:
                yield from _keys(value)
    elif isinstance(node, list):
        for value in node:
            yield from _keys(value)


class _ListExpiredError(Exception):
    """The list was compacted away between two pages: begin again."""


def _pages(environ: Mapping[str, str], service_account: Path, namespace: str) -> Iterator[Mapping[str, Any]]:
    host, port = environ.get(ENV_API_HOST, ""), environ.get(ENV_API_PORT, "")
    if not host or not port.isdecimal():
        raise _failed(f"{ENV_API_HOST} and {ENV_API_PORT} are not set")
    following = ""
    try:
        token = (service_account / "token").read_text(encoding="ascii").strip()
        context = ssl.create_default_context(cafile=str(service_account / "ca.crt"))
        connection = http.client.HTTPSConnection(host, int(port), timeout=CALL_SECONDS, context=context)
        while True:
            query = urllib.parse.urlencode({"limit": PAGE, **({"continue": following} if following else {})})
            path = f"/apis/{GROUP}/{VERSION}/namespaces/{urllib.parse.quote(namespace, safe='')}/audiojobs?{query}"
            answer = _get(connection, path, token)
            yield from answer["items"]
            following = answer.get("metadata", {}).get("continue") or ""
            if not following:
                connection.close()
                return
    except (OSError, ValueError, KeyError, TypeError, http.client.HTTPException) as error:
        raise _failed(f"{type(error).__name__}: {error}") from error


def _get(connection: http.client.HTTPSConnection, path: str, token: str) -> dict[str, Any]:
    headers = {"Accept": "application/json", "Authorization": f"Bearer {token}", "User-Agent": MANAGER_RUNNER}
    connection.request("GET", path, headers=headers)
    response = connection.getresponse()
    content = response.read(MAX_ANSWER_BYTES + 1)
    if len(content) > MAX_ANSWER_BYTES:
        raise _failed("an answer is too large")
    if response.status == http.HTTPStatus.GONE:
        raise _ListExpiredError
    if response.status in (http.HTTPStatus.UNAUTHORIZED, http.HTTPStatus.FORBIDDEN):
        raise PhaseError(
            ExitCode.CREDENTIALS,
            Reason.CREDENTIALS_REFUSED,
            f"The API server does not let the sweeper list AudioJobs ({response.status}).",
            "Check the Role audiojob-sweeper of this namespace, which the chart makes.",
        )
    if response.status != http.HTTPStatus.OK:
        raise _failed(f"it answered {response.status}: {content[:200].decode('utf-8', 'replace')}")
    answer = json.loads(content)
    if not isinstance(answer, dict) or not isinstance(answer.get("items"), list):
        raise _failed("its answer is no list")
    return answer


def _failed(why: str) -> PhaseError:
    return PhaseError(
        ExitCode.TEMPORARY,
        Reason.TEMPORARY_FAILURE,
        f"The AudioJobs could not be listed, so nothing was removed: {why}",
        "The next run of the sweeper tries again.",
    )
