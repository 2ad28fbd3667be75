"""For whom a program with its own account makes a call: the API server's audit log shows it as user agent."""

from __future__ import annotations

from contextvars import ContextVar
from functools import lru_cache
from typing import Final
from urllib.parse import quote

_MOST_CHARACTERS: Final = 512

_purpose: ContextVar[str] = ContextVar("purpose", default="")


def acts_for(verb: str, user: str) -> None:
    """Says, for the calls that the current task makes from now on, what they do and for whom."""
    # A name can hold anything; in a header it must not end a comment or a line.
    _purpose.set(f" ({verb} for {_written(user)})")


@lru_cache(maxsize=256)
def _written(user: str) -> str:
    return quote(user, safe=":@/")[:_MOST_CHARACTERS]


def agent_of(program: str) -> str:
    """The User-Agent of a call that this program makes now."""
    return program + _purpose.get()
