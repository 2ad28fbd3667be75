"""Whether addresses can be reached from this pod: ``reach.py open HOST:PORT closed HOST:PORT …``.

Each is tried for a while, since policies and Services need a moment to get to a new pod. 1 if one is not as asked.
"""

import socket
import sys
import time

_PATIENCE = 45.0
_PAUSE = 1.0
_CONNECT = 3.0


def can_connect(address: str) -> bool:
    """Whether somebody takes a connection there."""
    host, _, port = address.rpartition(":")
    try:
        with socket.create_connection((host.strip("[]"), int(port)), timeout=_CONNECT):
            return True
    except OSError:
        return False


def is_so(address: str, *, wanted: bool, patience: float) -> bool:
    """Whether the address can be reached or not, as wanted, within so many seconds."""
    until = time.monotonic() + patience
    while can_connect(address) is not wanted:
        if time.monotonic() >= until:
            return False
        time.sleep(_PAUSE)
    return True


def main(arguments: list[str], patience: float = _PATIENCE) -> int:
    """Look at all of them and say what is wrong."""
    wrong = 0
    for word, address in zip(arguments[::2], arguments[1::2], strict=True):
        if is_so(address, wanted=word == "open", patience=patience):
            print(f"as it should be: {address} is {word}")
            continue
        wrong = 1
        if word == "closed":
            print(f"{address} can be reached, though a NetworkPolicy forbids it: the CNI ignores NetworkPolicy.")
        else:
            print(f"{address} cannot be reached, though it must be: look at networkPolicy in the values.")
    return wrong


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
