"""Cookies and a proxy from the administrator's Secret, for phases that fetch. Read from files and never logged."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from http.cookiejar import LoadError, MozillaCookieJar
from pathlib import Path
from typing import Final

from requests.cookies import RequestsCookieJar

from audiojob_runner.errors import PhaseError
from audiojob_runner.fetch.egress.upstream import Upstream, parse_upstream
from audiojob_types.contract import ExitCode
from audiojob_types.outside.redaction import SECRETS
from audiojob_types.reasons import Reason

COOKIES: Final = "cookies.txt"
UPSTREAM_PROXY: Final = "upstreamProxy"
MAX_FILE_BYTES: Final = 1024**2


@dataclass(frozen=True, slots=True)
class FetchSecrets:
    """``cookies`` is the text of a cookies.txt, empty where there is none. Never printed."""

    cookies: str = ""
    upstream: Upstream | None = None

    def __repr__(self) -> str:
        return f"FetchSecrets(cookies={bool(self.cookies)}, upstream={self.upstream is not None})"


NO_SECRETS: Final = FetchSecrets()


def read_secrets(folder: Path | None) -> FetchSecrets:
    """What is in the mounted folder, if it is there. Raises :class:`PhaseError`: CredentialsRefused."""
    if folder is None or not folder.is_dir():
        return NO_SECRETS
    cookies, proxy = _read(folder / COOKIES), _read(folder / UPSTREAM_PROXY)
    SECRETS.learn_url(proxy.strip())
    SECRETS.learn(*(line.rpartition("\t")[2].strip() for line in cookies.splitlines()))
    try:
        return FetchSecrets(cookies, parse_upstream(proxy) if proxy.strip() else None)
    except ValueError as error:
        raise _unusable(UPSTREAM_PROXY, str(error)) from None


def write_cookies(secrets: FetchSecrets, folder: Path) -> Path | None:
    """A copy for yt-dlp, which rewrites the file that it is given; None where there are no cookies."""
    if not secrets.cookies.strip():
        return None
    path = folder / COOKIES
    path.touch(mode=0o600)
    path.write_text(secrets.cookies, encoding="utf-8")
    return path


def load_cookies(secrets: FetchSecrets) -> RequestsCookieJar:
    """The cookies, each of which goes to its own site alone. Raises :class:`PhaseError`: CredentialsRefused."""
    jar = MozillaCookieJar()
    found = RequestsCookieJar()
    try:
        # The loader of the standard library takes a name alone, and checks the first line.
        with tempfile.NamedTemporaryFile("w", suffix=".txt", encoding="utf-8") as copy:
            copy.write(secrets.cookies)
            copy.flush()
            jar.load(copy.name, ignore_discard=True, ignore_expires=False)
    except (LoadError, OSError, ValueError):
        raise _unusable(COOKIES, "it is not a cookies.txt in Netscape's format") from None
    found.update(jar)
    return found


def _read(path: Path) -> str:
    try:
        with path.open("rb") as file:
            content = file.read(MAX_FILE_BYTES + 1)
        if len(content) > MAX_FILE_BYTES:
            raise _unusable(path.name, f"it is larger than {MAX_FILE_BYTES} bytes")
        return content.decode("utf-8")
    except FileNotFoundError:
        return ""
    except (OSError, UnicodeDecodeError):
        raise _unusable(path.name, "it cannot be read as text") from None


def _unusable(name: str, why: str) -> PhaseError:
    return PhaseError(
        ExitCode.CREDENTIALS,
        Reason.CREDENTIALS_REFUSED,
        f"The key {name} of the administrator's Secret for fetching cannot be used: {why}.",
        "Ask the administrator to correct the Secret audiojob-fetch.",
    )
