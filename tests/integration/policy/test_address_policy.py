"""Addresses that are not public: refused at creation, unless the administrator allows their network (rows B13, B14)."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.integration.crds.resources import Resources
from tests.integration.policy.addresses import create, enforced

from audiojob_dev.cluster.apiserver import LocalApiServer

pytestmark = pytest.mark.integration

# One of them is no network to the API server, though the schema of the values admits it: it must allow nothing.
ALLOWED = ("10.20.0.0/16", "10.21.0.7/32:8080", "127.0.0.1/32:*", "fd00:1::/32", "fd00:2::/32:9000", "1::2::3/64")


def test_a_job_from_before_the_policy_still_changes(apiserver: LocalApiServer) -> None:
    # The first of the file: the fixture below keeps its policy in force.
    before = Resources(apiserver, "default")
    name = before.create_job({"pipeline": "download", "source": {"url": "http://10.1.2.3/a.mp3"}})
    try:
        with enforced(apiserver, ()) as resources:
            assert create(resources, "http://10.1.2.3/a.mp3").status == 422
            assert resources.patch_status(name, {"state": "Running", "percent": 5}).status == 200
            assert resources.patch_spec(name, {"cancel": True}).status == 200
    finally:
        before.delete_jobs()


@pytest.fixture(scope="module", params=[(), ALLOWED], ids=["nothing is allowed", "some networks are allowed"])
def either(apiserver: LocalApiServer, request: pytest.FixtureRequest) -> Iterator[Resources]:
    """The policy, with and without allowed networks."""
    with enforced(apiserver, request.param) as resources:
        yield resources


PUBLIC = {
    "a name": "https://media.example.org/song.flac",
    "a name that leads inside, which only the runner sees": "http://minio.storage.svc:9000/song.flac",
    "a public address": "https://93.184.215.14/song.flac",
    "a public IPv6 address": "https://[2606:2800:21f:cb07::1]:8443/song.flac",
    "an address in the path": "https://example.org/10.9.9.9",
    "an address in the query": "https://example.org/?of=http://10.9.9.9/",
    "a public address through NAT64": "https://[64:ff9b::5db8:d70e]/song.flac",
}
PRIVATE = {
    "a private address": "10.9.9.9",
    "a private address with a port": "192.168.1.20:8080",
    "the last of a network": "172.31.255.255",
    "an address between carriers": "100.64.0.1",
    "an address for protocols": "192.0.0.170",
    "an address of this machine": "127.0.0.2",
    "another spelling of IPv6": "[0:0:0:0:0:0:0:1]:8080",
    "a private IPv6 address": "[FD12:3456::1]",
    "an IPv4 address in IPv6": "[::10.20.0.1]",
    "an address of documentation": "[2001:db8::1]",
    "another port of an allowed network, such as kube-proxy's": "10.20.3.4:10249",
    "another port of an address that is allowed with one": "10.21.0.7:10249",
    "the default port of an address that is allowed with another": "10.21.0.7",
    "another port of an allowed IPv6 network": "[fd00:2::7]",
}
IN_ALLOWED = {
    "an allowed private address": "10.20.3.4",
    "its port for https": "10.20.3.4:443",
    "an allowed address with its port": "10.21.0.7:8080",
    "an allowed loopback address": "127.0.0.1:8080",
    "an allowed IPv6 address": "[fd00:1::7]",
    "an allowed IPv6 address with its port": "[fd00:2::7]:9000",
}


@pytest.mark.parametrize("address", PUBLIC.values(), ids=PUBLIC.keys())
def test_what_is_public_is_taken(either: Resources, address: str) -> None:
    answer = create(either, address)
    assert answer.status == 200, answer.message


def test_a_job_without_a_source_and_one_with_another_are_taken(either: Resources) -> None:
    assert either.try_job({"pipeline": "download"}).status == 200
    assert either.try_job({"pipeline": "download", "source": {"object": {"key": "10.9.9.9"}}}).status == 200


@pytest.mark.parametrize("place", PRIVATE.values(), ids=PRIVATE.keys())
def test_B13_B14_what_is_not_public_is_refused(either: Resources, place: str) -> None:  # noqa: N802
    answer = create(either, f"http://{place}/song.flac")
    assert answer.status == 422
    for word in ("spec.source.url: ", "is not a public address", "fetch.allowedCIDRs"):
        assert word in answer.message


@pytest.mark.parametrize("place", IN_ALLOWED.values(), ids=IN_ALLOWED.keys())
def test_what_is_allowed_depends_on_the_values(either: Resources, place: str, request: pytest.FixtureRequest) -> None:
    answer = create(either, f"http://{place}/song.flac")
    assert answer.status == (200 if "some networks" in request.node.callspec.id else 422), answer.message
