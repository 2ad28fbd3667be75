from __future__ import annotations

import pytest

from audiojob_runner.fetch.egress.addresses import is_allowed, is_allowed_port, networks_at, parse_networks

PUBLIC = [
    ("8.8.8.8", "a public IPv4 address"),
    ("2606:4700:4700::1111", "a public IPv6 address"),
    ("::ffff:8.8.8.8", "a public IPv4 address in IPv6 clothing"),
    ("64:ff9b::808:808", "a public IPv4 address behind NAT64"),
]
REFUSED = [
    ("127.0.0.1", "loopback"),
    ("127.8.9.10", "loopback by another number"),
    ("0.0.0.0", "this host"),
    ("10.0.0.1", "a private network"),
    ("172.16.0.1", "a private network of class B"),
    ("192.168.1.1", "a home network"),
    ("100.64.0.1", "carrier-grade NAT"),
    ("169.254.169.254", "the cloud's metadata service"),
    ("168.63.129.16", "a cloud's service at a public address"),
    ("192.0.0.9", "a network for protocols, of which Python takes this for public"),
    ("192.0.0.192", "a metadata service in that network"),
    ("fd00:c1::a9fe:a9fe", "a metadata service in a private network"),
    ("64:ff9b:1::808:808", "a NAT64 of somebody's own"),
    ("192.0.2.1", "a documentation network"),
    ("198.18.0.1", "a benchmark network"),
    ("224.0.0.1", "multicast"),
    ("239.1.2.3", "multicast with global scope"),
    ("240.0.0.1", "a reserved network"),
    ("255.255.255.255", "broadcast"),
    ("::", "this host in IPv6"),
    ("::1", "loopback in IPv6"),
    ("::7f00:1", "loopback as an IPv4-compatible address"),
    ("::ffff:127.0.0.1", "loopback as an IPv4-mapped address"),
    ("::ffff:7f00:1", "loopback as an IPv4-mapped address in hexadecimal"),
    ("::ffff:10.1.2.3", "a private IPv4 address in IPv6 clothing"),
    ("64:ff9b::7f00:1", "loopback behind NAT64"),
    ("64:ff9b::a9fe:a9fe", "the metadata service behind NAT64"),
    ("2002:7f00:1::", "loopback behind 6to4"),
    ("2002:a00:1::1", "a private address behind 6to4"),
    ("fd00:ec2::254", "the cloud's metadata service in IPv6"),
    ("fc00::1", "a unique local address"),
    ("fec0::1", "a site-local address, as private ones were called before"),
    ("fe80::1", "a link-local address"),
    ("fe80::1%eth0", "a link-local address with its zone"),
    ("ff02::1", "IPv6 multicast"),
    ("ff0e::1", "IPv6 multicast with global scope"),
    ("2001:db8::1", "a documentation network in IPv6"),
    ("localhost", "a name, which is no address"),
    ("2130706433", "a number, which is no address"),
    ("", "nothing"),
]


@pytest.mark.parametrize("address", [a for a, _ in PUBLIC], ids=[i for _, i in PUBLIC])
def test_public_addresses_are_allowed(address: str) -> None:
    assert is_allowed(address)


@pytest.mark.parametrize("address", [a for a, _ in REFUSED], ids=[i for _, i in REFUSED])
def test_other_addresses_are_refused(address: str) -> None:
    assert not is_allowed(address)


@pytest.mark.parametrize(
    ("address", "cidr", "want"),
    [
        pytest.param("10.1.2.3", "10.0.0.0/8", True, id="an address in a listed network is allowed"),
        pytest.param("10.1.2.3", "10.1.2.3", True, id="a single address can be listed"),
        pytest.param("10.1.2.3", "10.1.2.9/24", True, id="host bits in a listed network do no harm"),
        pytest.param("11.1.2.3", "10.0.0.0/8", True, id="a public address needs no list"),
        pytest.param("192.168.0.1", "10.0.0.0/8", False, id="a network next to the listed one stays refused"),
        pytest.param("::ffff:10.1.2.3", "10.0.0.0/8", True, id="a mapped address is judged as what it maps"),
        pytest.param("fd00::1", "fd00::/8", True, id="IPv6 networks can be listed"),
        pytest.param("fd00::1", "0.0.0.0/0", False, id="all of IPv4 says nothing about IPv6"),
        pytest.param("169.254.169.254", "0.0.0.0/0", False, id="a wide exception does not open a metadata service"),
        pytest.param("::ffff:a9fe:a9fe", "0.0.0.0/0", False, id="nor where it is written as IPv6"),
        pytest.param("64:ff9b:1::a9fe:a9fe", "64:ff9b:1::/48", False, id="nor behind a NAT64 of one's own"),
        pytest.param("::a9fe:a9fe", "::/96", False, id="nor as an IPv4-compatible address"),
        pytest.param("168.63.129.16", "168.63.129.16", False, id="nor does naming it"),
        pytest.param(
            "64:ff9b:1::a00:1", "64:ff9b:1::/48", False, id="nor does listing one's own NAT64 list what is behind"
        ),
        pytest.param("64:ff9b:1::808:808", "64:ff9b:1::/48", True, id="a public address behind a listed NAT64"),
        pytest.param("::1", "::1/128", True, id="loopback in IPv6 stands for no IPv4 address"),
        pytest.param("64:ff9b::a00:1", "64:ff9b::/96", False, id="listing the NAT does not list what is behind it"),
    ],
)
def test_listed_networks_are_exceptions(address: str, cidr: str, want: bool) -> None:
    assert is_allowed(address, networks_at(443, parse_networks([cidr]))) is want


@pytest.mark.parametrize(
    ("entry", "port", "want"),
    [
        pytest.param("10.0.0.0/8", 80, True, id="a network is open for http"),
        pytest.param("10.0.0.0/8", 443, True, id="and for https"),
        pytest.param("10.0.0.0/8", 8080, False, id="and for no other port"),
        pytest.param("10.1.2.3/32:8080", 8080, True, id="the port that is named"),
        pytest.param("10.1.2.3/32:8080", 10249, False, id="kube-proxy's port beside it"),
        pytest.param("10.1.2.3/32:8080", 80, False, id="a named port is the only one"),
        pytest.param("10.0.0.0/8:*", 9000, True, id="all ports, if they are asked for"),
        pytest.param("fd00::/8", 443, False, id="another network"),
    ],
)
def test_a_network_is_open_on_its_ports(entry: str, port: int, want: bool) -> None:
    assert is_allowed("10.1.2.3", networks_at(port, parse_networks([entry]))) is want


def test_ports_of_ipv6_networks() -> None:
    (network,) = networks_at(8080, parse_networks(["fd00:1::/32", "fd00:2::/32:8080"]))
    assert str(network) == "fd00:2::/32"


@pytest.mark.parametrize(
    "cidr",
    [
        "",
        "10.0.0.0/33",
        "ten",
        "10.0.0.0/8,11.0.0.0/8",
        "10.0.0.0/8:0",
        "10.0.0.0/8:65536",
        "10.0.0.0/8:",
        "10.0.0.1:80",
    ],
)
def test_a_bad_network_is_named(cidr: str) -> None:
    with pytest.raises(ValueError, match="is not a network such as"):
        parse_networks([cidr])


@pytest.mark.parametrize(
    ("port", "want"),
    [
        (80, True),
        (443, True),
        (1024, True),
        (8080, True),
        (65_535, True),
        (22, False),
        (25, False),
        (0, False),
        (65_536, False),
    ],
)
def test_ports(port: int, want: bool) -> None:
    assert is_allowed_port(port) is want
