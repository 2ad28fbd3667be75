"""The key of tickets is made once, whoever comes first, and every namespace is told its public half."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest

from audiojob_api.cluster.ticket_key import TicketKey
from audiojob_api.files.tickets import Signer, with_key
from audiojob_kube.errors import Conflict, Forbidden
from audiojob_kube.resources import Resource

Object = dict[str, Any]


class Cluster:
    """A Secret and a ConfigMap that the chart made empty; a write needs the version that was read."""

    def __init__(self) -> None:
        metadata = {"resourceVersion": "1"}
        self.objects: dict[str, Object] = {
            kind: {"metadata": {**metadata, "name": name, "namespace": place}}
            for kind, name, place in (("Secret", "tickets", "system"), ("ConfigMap", "keys", "music"))
        }
        self.before_write: Object | None = None
        self.refuses = ""

    async def get(self, resource: Resource, name: str, namespace: str) -> Object:
        if resource.kind == self.refuses:
            raise Forbidden(403, "Forbidden", "no")
        return copy.deepcopy(self.objects[resource.kind])

    async def patch_merge(self, resource: Resource, name: str, body: Object, namespace: str) -> Object:
        stored = self.objects[resource.kind]
        if self.before_write is not None:
            stored["data"], self.before_write = self.before_write, None
            stored["metadata"]["resourceVersion"] = "2"
        if body["metadata"]["resourceVersion"] != stored["metadata"]["resourceVersion"]:
            raise Conflict(409, "Conflict", "changed")
        stored["data"] = {**stored.get("data", {}), **body["data"]}
        return stored


def keeper(cluster: Cluster) -> TicketKey:
    return TicketKey(cluster, "system", "tickets", "keys", ("music",))  # type: ignore[arg-type] # what it asks is here


async def test_one_makes_it_and_another_takes_it() -> None:
    cluster = Cluster()
    first = await keeper(cluster)._own()
    assert (await keeper(cluster)._own()).kid == first.kid
    assert await keeper(cluster)._tell("music", first)
    told = json.loads(cluster.objects["ConfigMap"]["data"]["keys.json"])["keys"]
    assert told == [dict(first.public)]
    seed = cluster.objects["Secret"]["data"]["seed"]
    assert seed not in json.dumps(cluster.objects["ConfigMap"])


async def test_of_two_that_make_it_at_once_the_second_takes_the_firsts() -> None:
    cluster, other = Cluster(), Cluster()
    theirs = await keeper(other)._own()
    cluster.before_write = other.objects["Secret"]["data"]
    assert (await keeper(cluster)._own()).kid == theirs.kid


@pytest.mark.parametrize("seed", ["", "AAAA", "no base64!", 7], ids=["empty", "short", "not base64", "a number"])
async def test_a_seed_that_is_none_is_replaced(seed: object) -> None:
    cluster = Cluster()
    cluster.objects["Secret"]["data"] = {"seed": seed}
    await keeper(cluster)._own()
    assert len(cluster.objects["Secret"]["data"]["seed"]) == 44


async def test_a_namespace_that_cannot_be_told_is_tried_again_and_keeps_no_other_from_it() -> None:
    cluster = Cluster()
    cluster.refuses = "ConfigMap"
    assert not await keeper(cluster)._tell("music", Signer(bytes(32)))


def test_the_newest_key_is_first_and_old_ones_do_not_pile_up() -> None:
    listed: str | None = None
    signers = [Signer(bytes([number]) * 32) for number in range(5)]
    for signer in signers:
        listed = with_key(listed, signer.public)
    assert [each["kid"] for each in json.loads(listed or "")["keys"]] == [each.kid for each in signers[:1:-1]]
    assert with_key(listed, signers[4].public) is None, "nothing to write"
    assert json.loads(with_key("{nonsense", signers[0].public) or "")["keys"] == [dict(signers[0].public)]
