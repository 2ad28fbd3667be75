"""Resolves a host to the addresses that may be fetched from."""

from __future__ import annotations

import socket
from typing import Final

from audiojob_runner.fetch.egress.addresses import Network, is_allowed, is_allowed_port
from audiojob_runner.fetch.egress.refusals import Refusal, RefusedError, bad_request

# Any other error of the resolver means that it could not find out.
_NO_SUCH_HOST: Final = frozenset({socket.EAI_NONAME, socket.EAI_NODATA})


def resolve(host: str, port: int, exceptions: tuple[Network, ...], *, every: bool = False) -> list[str]:
    """The allowed addresses of a host, in the resolver's order; with ``every``, none unless all are allowed.

    Raises :class:`RefusedError`.
    """
    if not is_allowed_port(port):
        raise RefusedError(Refusal.BLOCKED, host, f"Port {port} may not be fetched from")
    try:
        answers = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except UnicodeError as error:
        raise bad_request("The host is not a valid name") from error
    except socket.gaierror as error:
        if error.errno in _NO_SUCH_HOST:
            raise RefusedError(Refusal.NO_SUCH_HOST, host, f"There is no host named {host.rstrip('.')}") from error
        raise RefusedError(Refusal.UNRESOLVED, host, f"The name {host} cannot be resolved now") from error
    found = list(dict.fromkeys(str(answer[4][0]) for answer in answers))
    allowed = [address for address in found if is_allowed(address, exceptions)]
    if not allowed or (every and len(allowed) < len(found)):
        raise RefusedError(Refusal.BLOCKED, host, f"{host} is a private or local address")
    return allowed
