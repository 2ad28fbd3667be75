"""What the operator's Lease tells."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any, cast

import pytest

from audiojob_api.cluster import operator
from audiojob_api.cluster.operator import KubeOperator
from audiojob_kube.errors import Forbidden, NotFound, TransportError
from audiojob_kube.resources import LEASES

NOW = 1_800_000_000.0


def lease(silent: float, **changes: Any) -> dict[str, Any]:
    renewed = f"{datetime.fromtimestamp(NOW - silent, UTC):%Y-%m-%dT%H:%M:%S.%fZ}"
    return {"spec": {"holderIdentity": "uid", "leaseDurationSeconds": 15, "renewTime": renewed, **changes}}


class Cluster:
    """Has one Lease, or fails."""

    def __init__(self, found: Any) -> None:
        self.found, self.asked = found, 0

    async def get(self, resource: Any, name: str, namespace: str) -> Any:
        assert (resource, name, namespace) == (LEASES, "audiojob-operator", "audiojob-system")
        self.asked += 1
        if isinstance(self.found, Exception):
            raise self.found
        return await asyncio.Event().wait() if self.found is None else self.found


@pytest.mark.parametrize(
    ("found", "words"),
    [
        pytest.param(lease(3), "", id="it was renewed a moment ago"),
        pytest.param(lease(-20), "", id="the holder's clock is ahead"),
        pytest.param(lease(44), "", id="its clock may be behind by half a minute"),
        pytest.param(lease(46), "last renewed 46 s ago", id="it was not renewed in time"),
        pytest.param(lease(1, holderIdentity=""), "has given up its Lease", id="it was given back"),
        pytest.param(lease(1, renewTime="soon"), "does not say when", id="somebody wrote into it"),
        pytest.param({}, "has given up its Lease", id="it is empty"),
        pytest.param(NotFound(404, "NotFound", "x"), "there is no Lease", id="there is none"),
        pytest.param(Forbidden(403, "Forbidden", "secret words"), "cannot be read", id="the API may not read it"),
        pytest.param(TransportError("refused"), "cannot be read", id="the API server is away"),
        pytest.param(None, "cannot be read", id="the API server does not answer"),
    ],
)
async def test_whether_an_operator_is_at_work(found: Any, words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(operator, "_CALL_SECONDS", 0.01)
    cluster = Cluster(found)
    asked = KubeOperator(cast("Any", cluster), "audiojob-system/audiojob-operator", lambda: NOW)
    said = await asked.trouble()
    assert words in said if words else said == ""
    assert "secret" not in said
    assert (await asked.trouble(), cluster.asked) == (said, 1), "as it was a moment ago"
