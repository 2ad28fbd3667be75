"""The policy for addresses in force on a test's API server."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from tests.integration.crds.resources import Answer, Resources

from audiojob_dev.cluster.apiserver import LocalApiServer
from audiojob_dev.rest import wait_until
from audiojob_types.generate.address_policy import NAME, policy
from audiojob_types.generate.admission_policy import bind

# Private, in none of the networks that a test allows, and taken by the CRD.
PROBE = "http://10.9.9.9/"


def create(resources: Resources, address: str) -> Answer:
    """What creating a job with this address would answer."""
    return resources.try_job({"pipeline": "download", "source": {"url": address}})


@contextmanager
def enforced(server: LocalApiServer, allowed: Sequence[str]) -> Iterator[Resources]:
    """The policy with these networks, from when it is seen to refuse until it is seen to be gone."""
    resources = Resources(server, "default")
    server.kubectl.apply(policy(allowed), bind(NAME))
    try:
        wait_until("the policy", lambda: NAME in create(resources, PROBE).message, seconds=30)
        yield resources
    finally:
        server.kubectl("delete", "validatingadmissionpolicybinding,validatingadmissionpolicy", NAME)
        wait_until("the policy's end", lambda: create(resources, PROBE).status == 200, seconds=30)
