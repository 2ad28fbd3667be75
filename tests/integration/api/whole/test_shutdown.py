"""A process that is told to end brings what is on its way to its end, and takes nothing new."""

from __future__ import annotations

import http.client
import secrets
import signal
import uuid

import pytest
from tests.integration.api.conftest import JOBS, URL, launched, wait_ready
from tests.integration.api.whole.conftest import Whole

from audiojob_dev.rest import wait_until

pytestmark = pytest.mark.integration

SONG = b"fLaC" + secrets.token_bytes(65_536) * 512  # more than all buffers on the way hold


def test_a_download_that_has_begun_ends_whole(whole: Whole) -> None:
    api, name = whole.api, f"stays-{uuid.uuid4().hex[:8]}"
    assert api.create(name=name, pipeline="separate", source=URL)[0] == 201
    whole.publish(name, "separate", {"vocals": SONG})
    with launched(api.server, api.namespace, api.kubeconfig, **whole.files) as (ending, process):
        ending.token = api.token
        wait_ready(ending, process)
        path = f"{JOBS}/{name}/outputs/vocals"
        download = http.client.HTTPConnection("127.0.0.1", ending.port, timeout=60)
        wait_until("the key of tickets", lambda: ending.call("GET", f"{path}?phase=none")[0] == 404, seconds=60)
        download.request("GET", path, headers={"Authorization": f"Bearer {ending.token}"})
        answer = download.getresponse()
        begun = answer.read(1000)
        process.send_signal(signal.SIGTERM)

        def takes_nothing() -> bool:
            try:
                ending.call("GET", "/livez", token="")
            except OSError:
                return True
            return False

        wait_until("no new connection", takes_nothing, seconds=30)
        assert process.poll() is None, "it waits for the download"
        assert begun + answer.read() == SONG
        download.close()
