"""npm's oidc-provider as a process: a real OpenID Connect provider, whose tokens are JWTs."""

from __future__ import annotations

import contextlib
import os
import secrets
import subprocess
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

from audiojob_dev.paths import paths_from_environment
from audiojob_dev.rest import wait_until
from audiojob_dev.tools import npm

CLIENT, AUDIENCE = "my-app", "audiojob"  # as docs/api.md has them


@contextlib.contextmanager
def serving(issuer: str, log: Path) -> Iterator[str]:
    """Serve `issuer` at its own address; yields the secret of the client. Raises DevError without Node.js."""
    folder = npm.ensure(paths_from_environment(), "oidc-provider")
    secret = secrets.token_urlsafe(24)
    address = urlsplit(issuer)
    assert address.hostname
    command = [npm.node(), "provider.mjs", issuer, address.hostname, str(address.port), CLIENT, AUDIENCE]
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, cwd=folder, env={**os.environ, "CLIENT_SECRET": secret}, stdout=output, stderr=output
        )
    try:
        wait_until("the provider", lambda: _answers(issuer), seconds=60)
        yield secret
    finally:
        process.terminate()
        process.wait(30)


def _answers(issuer: str) -> bool:
    try:
        with urllib.request.urlopen(f"{issuer}/.well-known/openid-configuration", timeout=5) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False
