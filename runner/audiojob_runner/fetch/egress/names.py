"""What the spelling of a host tells without asking anybody: it is an address, or a name inside a network. Pure."""

from __future__ import annotations

from typing import Final

# Endings of names that exist only inside a network: another resolver would look them up in its own.
_INSIDE: Final = (
    "localhost", "local", "localdomain", "internal", "intranet", "lan", "corp", "home", "private", "svc", "arpa",
)  # fmt: skip


def is_inside_name(host: str) -> bool:
    """Whether a name exists only inside a network: a single label, or an ending that is not on the internet."""
    labels = host.rstrip(".").lower().split(".")
    if is_spelled_address(host):  # checked as an address
        return False
    return len(labels) < 2 or labels[-1] in _INSIDE


def is_spelled_address(host: str) -> bool:
    """Whether a host is an IP address in any notation (``127.1``, ``0x7f000001``), with or without a final dot."""
    last = host.rstrip(".").rpartition(".")[2].lower()
    return ":" in host or last.isdecimal() or last.startswith("0x")
