"""Tokens: asked for at each request, never shown."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

_SECONDS: Final = 30.0

TokenSource = str | Callable[[], str]
"""A token, or what gives the one that is valid now."""


class Token:
    """The header that a request carries. Its text is shown nowhere, also not in tracebacks that print values."""

    __slots__ = ("_source",)

    def __init__(self, source: TokenSource) -> None:
        self._source = source

    def header(self) -> str:
        """The value of ``Authorization``. Raises ValueError for a token that a header cannot carry."""
        text = (self._source if isinstance(self._source, str) else self._source()).strip()
        if not text or not text.isascii() or not text.isprintable() or " " in text:
            raise ValueError("the token is empty, or has characters that no token has")
        return f"Bearer {text}"

    def __repr__(self) -> str:
        return "Token(…)"

    def __reduce__(self) -> str:
        raise TypeError("a token is not written down")


class TokenFile:
    """A file whose token is replaced from time to time, as Kubernetes does with those that it projects into pods."""

    __slots__ = ("_path", "_read", "_text")

    def __init__(self, path: Path | str) -> None:
        self._path = Path(path)
        self._text = ""
        self._read = float("-inf")

    def __call__(self) -> str:
        """The token, read again after half a minute."""
        now = time.monotonic()
        if now - self._read > _SECONDS:
            self._text = self._path.read_text(encoding="ascii").strip()
            self._read = now
        return self._text

    def __repr__(self) -> str:
        return f"TokenFile({str(self._path)!r})"
