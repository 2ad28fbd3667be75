"""API keys in the database. Calls raise DatabaseUnavailable."""

from __future__ import annotations

import hmac
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import and_, func, insert, or_, select, update
from sqlalchemy.engine import Row

from audiojob_api.access.authorizer import Scope
from audiojob_api.access.keys.secret import KeyText
from audiojob_api.access.limits.turns import take_turns
from audiojob_api.sql.database import Database
from audiojob_api.sql.tables.access import KEYS

MOST_KEYS: Final = 50
MOST_LISTED: Final = 1_000
_MOST_PAGES: Final = 50
_MINUTE: Final = 60_000
_K = KEYS.c


@dataclass(frozen=True, slots=True)
class Key:
    """A key without its secret. Times are milliseconds since 1970."""

    id: str
    sha256: bytes
    name: str
    owner: str
    account: Mapping[str, Any]
    scopes: frozenset[Scope]
    created: int
    expires: int
    used: int | None = None
    revoked: int | None = None


class KeyStore:
    """All keys."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, key: Key, now: int) -> bool:
        """Keep it; false where its owner has as many as one may have."""
        live = (_K.owner == key.owner) & (_K.revoked.is_(None)) & (_K.expires > now)
        async with self._database.write() as connection:
            if not self._database.is_sqlite:  # there one transaction writes at a time anyway
                await take_turns(connection, [f"keys:{key.owner}"], now)
            if (await connection.scalar(select(func.count()).where(live)) or 0) >= MOST_KEYS:
                return False
            values = {**_columns(key), "account": json.dumps(key.account), "scopes": " ".join(sorted(key.scopes))}
            await connection.execute(insert(KEYS).values(values))
        return True

    async def find(self, id_: str) -> Key | None:
        """The key of this id."""
        async with self._database.read() as connection:
            row = (await connection.execute(select(KEYS).where(_K.id == id_))).first()
        return None if row is None else _key(row)

    async def of(self, owner: str, now: int) -> list[Key]:
        """Keys of one owner that are valid, newest first."""
        return await self._page(_K.owner == owner, now)

    async def seen_by(self, sees: Callable[[Key], bool], now: int) -> tuple[list[Key], bool]:
        """The newest of all keys that are valid and that ``sees`` lets pass, and whether there may be more.

        Read in pages: whom a key reaches follows from rules that the database does not know.
        """
        found: list[Key] = []
        after: Any = _K.expires > now  # as all of them are: the first page begins anywhere
        for _ in range(_MOST_PAGES):
            page = await self._page(after, now)
            found += filter(sees, page)
            if len(page) < MOST_LISTED or len(found) > MOST_LISTED:
                return found[:MOST_LISTED], len(found) > MOST_LISTED
            last = page[-1]
            after = or_(_K.created < last.created, and_(_K.created == last.created, _K.id > last.id))
        return found[:MOST_LISTED], True

    async def _page(self, where: Any, now: int) -> list[Key]:
        query = select(KEYS).where(_K.revoked.is_(None), _K.expires > now, where)
        async with self._database.read() as connection:
            rows = await connection.execute(query.order_by(_K.created.desc(), _K.id).limit(MOST_LISTED))
            return [_key(row) for row in rows]

    async def revoke(self, id_: str, now: int) -> None:
        """End it for good. What is revoked stays so."""
        async with self._database.write() as connection:
            await connection.execute(update(KEYS).where(_K.id == id_, _K.revoked.is_(None)).values(revoked=now))

    async def touch(self, id_: str, now: int) -> None:
        """Write down that it was used, at most once a minute whatever the number of replicas."""
        old = or_(_K.used.is_(None), _K.used <= now - _MINUTE)
        async with self._database.write() as connection:
            await connection.execute(update(KEYS).where(_K.id == id_, old).values(used=now))


def is_due(key: Key, now: int) -> bool:
    """Whether its use should be written down again."""
    return key.used is None or key.used <= now - _MINUTE


def is_valid(key: Key, text: KeyText, now: int) -> bool:
    """Whether this is the key's secret, and its time."""
    return hmac.compare_digest(key.sha256, text.sha256) and key.revoked is None and now < key.expires


def _columns(key: Key) -> dict[str, Any]:
    return {column.name: getattr(key, column.name) for column in KEYS.columns}


def _key(row: Row[Any]) -> Key:
    values = dict(row._mapping)  # noqa: SLF001 - its documented name
    known = {each.value for each in Scope}
    scopes = frozenset(Scope(each) for each in values.pop("scopes").split() if each in known)
    return Key(**{**values, "account": json.loads(values["account"]), "scopes": scopes})
