"""What the readers of tags find: texts by their names, and pictures with their kinds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from audiojob_runner.media.tags.text import cut, decode_all

MAX_VALUES: Final = 100
MAX_PICTURES: Final = 4
MAX_PICTURE_BYTES: Final = 16 * 1024**2
# Kinds of pictures, as ID3 numbers them and the others after it.
FRONT_COVER: Final = 3
_ICONS: Final = frozenset({1, 2})

# One value, or several that stay apart.
TagValue = str | tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture in a file. ``kind`` is what the file says it shows."""

    kind: int
    data: bytes = field(repr=False)

    @property
    def rank(self) -> int:
        """The lower, the rather it is the cover: the front, then pictures that do not say, icons last."""
        if self.kind == FRONT_COVER:
            return 0
        return 3 if self.kind in _ICONS else 1 if self.kind == 0 else 2


class Found:
    """Collects what one block of tags holds. Values are text, or bytes where nobody wrote the encoding down."""

    def __init__(self) -> None:
        self._values: dict[str, list[str | bytes]] = {}
        self._pictures: list[Picture] = []

    def add(self, name: str, *values: str | bytes) -> None:
        """Take values of a tag; empty ones are none."""
        kept = self._values.setdefault(name, [])
        for value in values:
            stripped = value.strip(" \0\r\n\t") if isinstance(value, str) else cut(value).strip(b" \0\r\n\t")
            if stripped and stripped not in kept and len(kept) < MAX_VALUES:
                kept.append(stripped)

    def add_picture(self, kind: int, data: bytes) -> None:
        """Take a picture; of more than ``MAX_PICTURES`` the likelier covers stay."""
        if data and len(data) <= MAX_PICTURE_BYTES:
            self._pictures.append(Picture(kind, data))
            self._pictures.sort(key=lambda picture: picture.rank)
            del self._pictures[MAX_PICTURES:]

    @property
    def pictures(self) -> tuple[Picture, ...]:
        """The likeliest cover first."""
        return tuple(self._pictures)

    def tags(self) -> dict[str, TagValue]:
        """All texts, decoded together: what one of them does not tell of its encoding, another may."""
        raws = [value for values in self._values.values() for value in values if isinstance(value, bytes)]
        decoded = dict(zip(raws, decode_all(raws), strict=True))
        found: dict[str, TagValue] = {}
        for name, values in self._values.items():
            given = [decoded[value] if isinstance(value, bytes) else value for value in values]
            texts = tuple(text for text in given if text)  # of a control character nothing is left
            if texts:
                found[name] = texts[0] if len(texts) == 1 else texts
        return found


def joined(value: TagValue, separator: str = ", ") -> str:
    """One text for whoever takes no more."""
    return value if isinstance(value, str) else separator.join(value)


def flat(tags: Mapping[str, TagValue]) -> dict[str, str]:
    """All of them so."""
    return {name: joined(value) for name, value in tags.items()}
