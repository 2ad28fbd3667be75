"""Groups of what is kept, by what it is looked up by: a group without members is none."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable
from typing import TypeVar

from audiojob_operator.records.objects import Key

K = TypeVar("K", bound=Hashable)


def set_member(members: defaultdict[str, dict[Key, str]], group: str, key: Key, value: str | None) -> bool:
    """Put a member into its group, or take it out (None); a group without members is none. Whether it was there."""
    was_there = key in members.get(group, {})
    if value is not None:
        members[group][key] = value
    elif was_there:
        del members[group][key]
        if not members[group]:
            del members[group]
    return was_there


def list_member(members: defaultdict[K, set[Key]], group: K, key: Key, *, present: bool) -> None:
    """List a member of a group, or strike it off; a group without members is none."""
    if present:
        members[group].add(key)
        return
    members[group].discard(key)
    if not members[group]:
        del members[group]
