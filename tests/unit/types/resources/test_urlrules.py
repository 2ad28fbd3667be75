"""The networks and the sentences of the rules. What they do is tested on a real API server: crds/test_source.py."""

from __future__ import annotations

from ipaddress import ip_network

import pytest

from audiojob_runner.fetch.egress.addresses import is_allowed, networks_at, parse_networks
from audiojob_types.resources.urlrules import NEVER_NETWORKS, PRIVATE_NETWORKS, URL_RULES


@pytest.mark.parametrize("cidr", [*NEVER_NETWORKS, *PRIVATE_NETWORKS])
def test_what_is_refused_at_creation_the_runner_refuses_too(cidr: str) -> None:
    network = ip_network(cidr)
    middle = network.network_address + network.num_addresses // 2
    for address in (network.network_address, middle, network.broadcast_address):
        assert not is_allowed(address), address


@pytest.mark.parametrize("cidr", PRIVATE_NETWORKS)
def test_what_may_be_allowed_the_runner_fetches_when_it_is(cidr: str) -> None:
    """In the middle; where the last 32 bits stand for an IPv4 address, a public one."""
    network = ip_network(cidr)
    last_bits = 1 if network.num_addresses <= 2**32 else 0x0808_0808
    assert is_allowed(
        network.network_address + network.num_addresses // 2 + last_bits, networks_at(443, parse_networks([cidr]))
    )


@pytest.mark.parametrize("cidr", NEVER_NETWORKS)
def test_what_may_never_be_fetched_no_exception_opens(cidr: str) -> None:
    address = ip_network(cidr).network_address
    assert not is_allowed(address, networks_at(443, parse_networks([cidr, "0.0.0.0/0", "::/0"])))


def test_every_rule_says_what_must_be() -> None:
    assert len({message for _, message in URL_RULES}) == len(URL_RULES)
    assert all(message.startswith("url must ") for _, message in URL_RULES)
