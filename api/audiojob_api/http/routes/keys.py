"""API keys: make, list, revoke. A key's secret is shown once, in the answer that made it."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Query, Request, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel, BeforeValidator, Field

from audiojob_api.access.authorizer import Identity, Role, Scope
from audiojob_api.access.keys.reviewer import account_of, owner_of
from audiojob_api.access.keys.secret import new_key
from audiojob_api.access.keys.store import MOST_KEYS, MOST_LISTED, Key, KeyStore
from audiojob_api.access.rights import Right
from audiojob_api.http.audit import note_act
from audiojob_api.http.bodies import require_json
from audiojob_api.http.deps import AllServices, Services, enter, refuse_unknown_query, security
from audiojob_api.http.errors import responses
from audiojob_api.jobs.request import ONLY_DOCUMENTED_NAMES
from audiojob_api.numbers import whole_numbers
from audiojob_api.problems import Problem, invalid_field
from audiojob_types.base import WireModel
from audiojob_types.constants import VERB_ISSUE_KEYS

router = APIRouter(prefix="/api/v1/keys", tags=["keys"], responses=responses(400, 401, 403, 404, 422, 429, 500, 503))

_DAY = 86_400_000
_ONE_LINE = r"^[^\x00-\x1f\x7f-\x9f]+$"
"""PostgreSQL keeps no NUL, and lists of keys are read in terminals."""


class KeyRequest(WireModel):
    """A key to make."""

    model_config = ONLY_DOCUMENTED_NAMES

    name: Annotated[
        str,
        Field(
            min_length=1,
            max_length=100,
            pattern=_ONE_LINE,
            description="for you: where the key will be used; no control characters.",
        ),
    ]
    scopes: Annotated[tuple[Scope, ...], Field(min_length=1, max_length=len(Scope), description="what it is for.")]
    expires_days: Annotated[
        int, Field(strict=True, ge=1, le=3_650, description="how many days it lasts."), BeforeValidator(whole_numbers)
    ] = 90


class KeyView(BaseModel):
    """A key as it is shown. ``key`` is there once, when it is made."""

    id: str
    name: str
    owner: str
    scopes: Annotated[list[Scope], Field(max_length=len(Scope))]
    created_time: datetime = Field(alias="createdTime")
    expires_time: datetime = Field(alias="expiresTime")
    last_used_time: datetime | None = Field(default=None, alias="lastUsedTime")
    key: str | None = None


class KeyList(BaseModel):
    """Keys that are valid, newest first."""

    items: Annotated[list[KeyView], Field(max_length=MOST_LISTED)]
    truncated: bool = Field(description="Whether older ones are left out.")


async def _caller(request: Request, services: AllServices, _: Annotated[Any, Depends(security)]) -> Identity:
    caller = await enter(request)
    if caller.scopes is not None:
        services.metrics.auth.labels("forbidden").inc()
        raise Problem(403, "forbidden", "An API key neither makes nor shows keys; come with a token of your own.")
    refuse_unknown_query(request)
    return caller


async def _store(services: AllServices) -> KeyStore:
    if services.keys is None:
        raise Problem(404, "no-keys", "This API keeps no keys: its administrator has given it no database.")
    return services.keys


Caller = Annotated[Identity, Depends(_caller)]
Store = Annotated[KeyStore, Depends(_store)]
KeyId = Annotated[str, Path(max_length=64, description="Id of the key: what stands between aj_ and the next _.")]


@router.post(
    "",
    status_code=201,
    response_model=KeyView,
    dependencies=[Depends(require_json)],
    responses=responses(409, 413, 415),
    summary="Make an API key",
)
async def make(request: Request, caller: Caller, store: Store, services: AllServices, body: KeyRequest) -> Response:
    """201 with the key, whose secret is shown this once."""
    note_act(request, caller, "make-key", services.places.default)
    await _require_right_to_make(caller, services)
    most = services.access.most_key_days
    if body.expires_days > most:
        raise invalid_field("expiresDays", f"must be at most {most} here")
    text, now = new_key(), _now()
    key = Key(
        id=text.id,
        sha256=text.sha256,
        name=body.name,
        owner=caller.username,
        account=account_of(caller),
        scopes=frozenset(body.scopes),
        created=now,
        expires=now + body.expires_days * _DAY,
    )
    if not await store.add(key, now):
        raise Problem(409, "too-many-keys", f"You have {MOST_KEYS} keys, which is the most; revoke one.")
    return JSONResponse({**_shown(key), "key": str(text)}, 201, headers={"Cache-Control": "no-store"})


@router.get("", response_model=KeyList, summary="List API keys")
async def list_keys(
    caller: Caller,
    store: Store,
    services: AllServices,
    everybody: Annotated[bool, Query(description="As an admin: all keys that reach a namespace of yours.")] = False,
) -> Response:
    """Your own keys that are valid, without their secrets."""
    if everybody:
        keys, truncated = await store.seen_by(lambda key: _may_see(caller, key, services), _now())
    else:
        keys, truncated = await store.of(caller.username, _now()), False
    return JSONResponse({"items": [_shown(key) for key in keys], "truncated": truncated})


@router.delete("/{id}", status_code=204, summary="Revoke an API key")
async def revoke(request: Request, id: KeyId, caller: Caller, store: Store, services: AllServices) -> Response:  # noqa: A002 - the path's name
    """204, also when repeated; it is refused everywhere within 10 s. 404 for a key that is not yours."""
    note_act(request, caller, "revoke-key", services.places.default)
    key = await store.find(id)
    if key is None or not _may_see(caller, key, services):
        raise Problem(404, "not-found", f"You have no key {id[:16]!r}.")
    await store.revoke(key.id, _now())
    return Response(status_code=204)


async def _require_right_to_make(caller: Identity, services: Services) -> None:
    """Tokens of pods are short-lived; whoever has one must not make a long-lived key of it by itself."""
    if caller.grants is None:
        await services.authenticator.require(caller, services.places.default, [Right(VERB_ISSUE_KEYS)])
    elif not caller.grants:
        raise Problem(403, "no-tenant", "Your account belongs to no tenant of this API; ask an administrator.")


def _may_see(caller: Identity, key: Key, services: Services) -> bool:
    """Whether it is the caller's own, or reaches a namespace of which the caller is an admin."""
    if key.owner == caller.username:
        return True
    admin_of = {grant.namespace for grant in caller.grants or () if grant.role is Role.ADMIN}
    reaches = {grant.namespace for grant in owner_of(key, services.access).grants or ()}
    return bool(admin_of & reaches)


def _shown(key: Key) -> dict[str, Any]:
    shown = {
        "id": key.id,
        "name": key.name,
        "owner": key.owner,
        "scopes": sorted(key.scopes),
        "createdTime": _time(key.created),
        "expiresTime": _time(key.expires),
    }
    return shown if key.used is None else {**shown, "lastUsedTime": _time(key.used)}


def _time(milliseconds: int) -> str:
    return f"{datetime.fromtimestamp(milliseconds // 1_000, UTC):%Y-%m-%dT%H:%M:%SZ}"


def _now() -> int:
    return int(time.time() * 1_000)
