"""An entry of ``fetch.allowedCIDRs``: a network, and the port that may be reached in it. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Final

Network = IPv4Network | IPv6Network

# Without a port, what a web server listens on; services of a node or a cluster listen elsewhere.
DEFAULT_PORTS: Final = frozenset({80, 443})
ANY_PORT: Final = "*"
# The mask tells where the network ends, so that IPv6 needs no brackets.
_WITH_PORT: Final = re.compile(r"(?P<network>[^/]+/[0-9]+):(?P<port>[0-9]{1,5}|\*)")


@dataclass(frozen=True, slots=True)
class AllowedNetwork:
    """A network that may be reached although it is private. ``ports`` None: each port that may be fetched from."""

    network: Network
    ports: frozenset[int] | None = DEFAULT_PORTS

    @classmethod
    def parse(cls, text: str, *, strict: bool = False) -> AllowedNetwork:
        """The entry ``10.20.0.0/16``, ``10.20.0.7/32:8080`` or ``fd00::/8:*``. Raises ``ValueError``.

        ``strict`` refuses a network with host bits.
        """
        text = text.strip()
        found = _WITH_PORT.fullmatch(text)
        network = ip_network(found["network"] if found else text, strict=strict)
        if found is None:
            return cls(network)
        if found["port"] == ANY_PORT:
            return cls(network, None)
        port = int(found["port"])
        if not 1 <= port <= 65_535:
            raise ValueError(f"{port} is not a port")
        return cls(network, frozenset({port}))

    def opens(self, port: int) -> bool:
        """Whether it may be reached on this port."""
        return self.ports is None or port in self.ports

    def __str__(self) -> str:
        if self.ports == DEFAULT_PORTS:
            return str(self.network)
        return f"{self.network}:{ANY_PORT if self.ports is None else min(self.ports)}"
