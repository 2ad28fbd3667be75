"""The text of a key: ``aj_<id>_<secret>``. The id finds it; of the secret the database has the sha256 alone."""

from __future__ import annotations

import hashlib
import re
import secrets
from dataclasses import dataclass
from typing import Final

PREFIX: Final = "aj_"
_TEXT: Final = re.compile(r"aj_([0-9a-z]{12})_([0-9A-Za-z_-]{43})")


@dataclass(frozen=True, slots=True)
class KeyText:
    """A key as its holder has it."""

    id: str
    secret: str

    def __str__(self) -> str:
        return f"{PREFIX}{self.id}_{self.secret}"

    @property
    def sha256(self) -> bytes:
        """What is kept of the secret."""
        return hashlib.sha256(self.secret.encode()).digest()


def new_key() -> KeyText:
    """A key that nobody can guess: 256 bits."""
    return KeyText(secrets.token_hex(6), secrets.token_urlsafe(32))


def parse_key(token: str) -> KeyText | None:
    """None for what is no key of ours."""
    found = _TEXT.fullmatch(token)
    return KeyText(found[1], found[2]) if found else None
