"""Which network addresses may be fetched from. Pure: names are resolved elsewhere."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final

from audiojob_types.outside.networks import AllowedNetwork, Network
from audiojob_types.resources.urlrules import NEVER_NETWORKS

Address = IPv4Address | IPv6Address

# Networks that carry an IPv4 address in their last 32 bits: what is reached is that address. The well-known prefix says
# nothing of its own; the others are private besides.
_NAT64: Final = IPv6Network("64:ff9b::/96")
_LOCAL_NAT64: Final = IPv6Network("64:ff9b:1::/48")
_IPV4_COMPATIBLE: Final = IPv6Network("::/96")

_IPV6_LOOPBACK: Final = IPv6Address("::1")  # the one address below ::/96 that carries none
# For protocols, not for hosts. Python takes some of its addresses for public.
_PROTOCOLS: Final = IPv4Network("192.0.0.0/24")

_NEVER: Final = tuple(ip_network(cidr) for cidr in NEVER_NETWORKS)

# Below 1024, the web alone: a fetcher must not be made to talk to a mail server.
_LOW_PORTS: Final = frozenset({80, 443})


def parse_networks(cidrs: Iterable[str]) -> tuple[AllowedNetwork, ...]:
    """The administrator's exceptions. Raises ``ValueError`` naming the bad one."""
    networks = []
    for cidr in cidrs:
        try:
            networks.append(AllowedNetwork.parse(cidr))
        except ValueError as error:
            raise ValueError(f"'{cidr}' is not a network such as 10.0.0.0/8 or 10.0.0.7/32:8080: {error}") from None
    return tuple(networks)


def networks_at(port: int, exceptions: Iterable[AllowedNetwork]) -> tuple[Network, ...]:
    """The exceptions that hold for a port."""
    return tuple(each.network for each in exceptions if each.opens(port))


def is_allowed(address: str | Address, exceptions: Iterable[Network] = ()) -> bool:
    """Whether to connect: public unicast addresses, and those within ``exceptions``.

    However wide an exception is, link-local addresses and metadata services are none.

    An IPv6 address that stands for an IPv4 address is judged by both. What is no address is refused.
    """
    if isinstance(address, str):
        try:
            # A zone ("fe80::1%eth0") only ever goes with link-local addresses.
            address = ip_address(address.partition("%")[0])
        except ValueError:
            return False
    networks = tuple(exceptions)
    return all(not _is_in(each, _NEVER) and (_is_public(each) or _is_in(each, networks)) for each in _faces(address))


def is_allowed_port(port: int) -> bool:
    """80, 443 and everything from 1024 up."""
    return port in _LOW_PORTS or 1024 <= port <= 65_535


def _faces(address: Address) -> Iterator[Address]:
    """The addresses that one address stands for. Mapped and NAT64 addresses are nothing but their IPv4 address."""
    if isinstance(address, IPv4Address):
        yield address
    elif address.ipv4_mapped is not None:
        yield address.ipv4_mapped
    elif address in _NAT64:
        yield _last_bits(address)
    else:
        yield address
        if address in _LOCAL_NAT64 or (address in _IPV4_COMPATIBLE and address != _IPV6_LOOPBACK):
            yield _last_bits(address)
        if address.sixtofour is not None:
            yield address.sixtofour
        if address.teredo is not None:
            yield from address.teredo


def _last_bits(address: IPv6Address) -> IPv4Address:
    return IPv4Address(int(address) & 0xFFFF_FFFF)


def _is_public(address: Address) -> bool:
    # is_global alone says yes to multicast, and to what IPv6 had for private networks before fc00::/7.
    return address.is_global and not (
        address.is_multicast
        or address.is_reserved
        or address.is_link_local
        or address.is_unspecified
        or address in _PROTOCOLS
        or (isinstance(address, IPv6Address) and address.is_site_local)
    )


def _is_in(address: Address, networks: tuple[Network, ...]) -> bool:
    return any(address.version == network.version and address in network for network in networks)
