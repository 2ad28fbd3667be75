"""Resolves a host to the addresses that may be fetched from."""

from __future__ import annotations

import socket
from typing import Final

from audiojob_runner.fetch.egress.addresses import is_allowed, is_allowed_port, networks_at
from audiojob_runner.fetch.egress.names import is_inside_name, is_spelled_address
from audiojob_runner.fetch.egress.refusals import Refusal, RefusedError, UnknownHostError, bad_request, not_public
from audiojob_types.outside.networks import AllowedNetwork

# Any other error of the resolver means that it could not find out.
_NO_SUCH_HOST: Final = frozenset({socket.EAI_NONAME, socket.EAI_NODATA})


def resolve(host: str, port: int, exceptions: tuple[AllowedNetwork, ...], *, every: bool = False) -> list[str]:
    """The allowed addresses of a host, in the resolver's order; with ``every``, none unless all are allowed.

    A name that leads to a private address is refused in the words for a name that does not exist.
    Raises :class:`RefusedError`.
    """
    if not is_allowed_port(port):
        raise RefusedError(Refusal.BLOCKED, host, f"Port {port} may not be fetched from")
    networks = networks_at(port, exceptions)
    if not networks and is_inside_name(host):
        raise not_public(host)  # whatever it leads to may not be reached, so nobody is asked
    try:
        answers = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except UnicodeError as error:
        raise bad_request("The host is not a valid name") from error
    except socket.gaierror as error:
        if error.errno in _NO_SUCH_HOST:
            raise UnknownHostError(host) from error
        raise RefusedError(Refusal.UNRESOLVED, host, f"The name {host} cannot be resolved now") from error
    found = list(dict.fromkeys(str(answer[4][0]) for answer in answers))
    allowed = [address for address in found if is_allowed(address, networks)]
    if not allowed or (every and len(allowed) < len(found)):
        raise _private(host)
    return allowed


def _private(host: str) -> RefusedError:
    if is_spelled_address(host):  # its owner wrote the address, so this tells nothing new
        return RefusedError(Refusal.BLOCKED, host, f"{host} is a private or local address")
    return not_public(host)
