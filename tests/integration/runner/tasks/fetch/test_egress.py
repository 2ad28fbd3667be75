"""Nothing bypasses the egress proxy: neither yt-dlp's clients, nor the JavaScript runtime that it starts."""

from __future__ import annotations

import json
import logging
import os
import socket
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yt_dlp
from tests.integration.runner.tasks.web import Web
from yt_dlp.extractor.youtube.jsc._builtin.deno import DenoJCP
from yt_dlp.networking.common import Request
from yt_dlp.networking.exceptions import RequestError
from yt_dlp.networking.impersonate import ImpersonateTarget

from audiojob_runner.fetch.common import FetchLimits, FetchTools
from audiojob_runner.fetch.egress import proxy
from audiojob_runner.fetch.egress.proxy import EgressProxy, ProxyRules
from audiojob_runner.fetch.egress.refusals import Refusal
from audiojob_runner.fetch.ytdlp import session as ytdlp

pytestmark = pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")


@pytest.fixture
def egress() -> Iterator[EgressProxy]:
    with EgressProxy(ProxyRules((), 10**6), logging.getLogger("test")) as proxy:
        yield proxy


def tools(egress: EgressProxy, folder: Path) -> FetchTools:
    return FetchTools(
        folder=folder,
        proxy_url=egress.url,
        refusals=egress.refusals,
        limits=FetchLimits(max_bytes=10**6, max_duration_seconds=60, max_seconds=60),
        progress=lambda percent, message: None,
        cancelled=threading.Event(),
    )


@pytest.mark.parametrize(
    "extensions",
    [
        pytest.param({}, id="as itself"),
        pytest.param({"impersonate": ImpersonateTarget("chrome")}, id="as a browser, by curl-cffi"),
    ],
)
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_yt_dlp_asks_nobody_but_the_proxy(
    egress: EgressProxy, canary: Web, tmp_path: Path, extensions: dict[str, Any], scheme: str
) -> None:
    url = f"{scheme}://127.0.0.2:{canary.server_address[1]}/secret.mp3"
    with yt_dlp.YoutubeDL(ytdlp.options(tmp_path, tools(egress, tmp_path))) as downloader:
        try:
            answer = downloader.urlopen(Request(url, extensions=extensions))
        except RequestError:
            pass
        else:
            assert answer.status == 403
            answer.close()
    assert [refused.refusal for refused in egress.refusals] == [Refusal.BLOCKED]


REACH = """
const found = [];
for (const [what, attempt] of [
  ["net", () => fetch(URL_OF_THE_CANARY)],
  ["tcp", () => Deno.connect({hostname: "127.0.0.2", port: PORT_OF_THE_CANARY})],
  ["file", () => Deno.readTextFile("/etc/passwd")],
  ["program", () => new Deno.Command("true").output()],
]) {
  try { await attempt(); found.push(what); } catch (error) { if (error.name !== "NotCapable") found.push(error.name); }
}
console.log(JSON.stringify(found));
"""


def test_the_javascript_runtime_reaches_neither_network_nor_files_nor_programs(
    egress: EgressProxy, canary: Web, tmp_path: Path
) -> None:
    deno = ytdlp.options(tmp_path, tools(egress, tmp_path))["js_runtimes"]["deno"]["path"]
    script = REACH.replace("URL_OF_THE_CANARY", json.dumps(f"{canary.url}/secret.mp3"))
    script = script.replace("PORT_OF_THE_CANARY", str(canary.server_address[1]))
    # The very options with which yt-dlp starts it.
    done = subprocess.run(
        [deno, "run", *DenoJCP._DENO_BASE_OPTIONS, "--no-npm", "-"],
        input=script,
        capture_output=True,
        text=True,
        timeout=60,
        env={"PATH": os.environ["PATH"], "HOME": str(tmp_path), "DENO_DIR": str(tmp_path)},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == [], "whatever it was refused for anything but a missing permission, or got"


@pytest.mark.parametrize(
    ("sent", "detail"),
    [
        pytest.param(b"GET http://example.com/ HTTP/1.1\r\n", b"did not arrive in time", id="half a head"),
        pytest.param(b"G" * 70_000, b"too long", id="a head without an end"),
        pytest.param(
            b"POST http://example.com/ HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
            b"gives its length twice",
            id="two kinds of length",
        ),
    ],
)
def test_a_bad_head_is_answered_and_reaches_nobody(
    egress: EgressProxy, monkeypatch: pytest.MonkeyPatch, sent: bytes, detail: bytes
) -> None:
    monkeypatch.setattr(proxy, "HEAD_SECONDS", 0.2 if b"in time" in detail else 60)
    port = int(egress.url.rpartition(":")[2])
    with socket.create_connection(("127.0.0.1", port), timeout=10) as client:
        client.sendall(sent)
        answer = client.recv(1_000)
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert detail in answer
    assert [refused.refusal for refused in egress.refusals] == [Refusal.BAD_REQUEST]
