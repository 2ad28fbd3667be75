"""Writes tags and chapters in ffmpeg's metadata format, which has no length limit, unlike a command line."""

from __future__ import annotations

import base64
import re
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from audiojob_runner.media.containers import TAG_NAMES
from audiojob_runner.media.tags.found import TagValue
from audiojob_runner.media.tags.place import TagForm, value_for

MAX_TAG_CHARACTERS: Final = 10_000
MAX_CHAPTERS: Final = 1_000
# Control characters but for the line feed; and halves of surrogate pairs, which are no text.
_UNWANTED: Final = re.compile(r"[\x00-\x09\x0b-\x1f\x7f\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class Chapter:
    """One chapter, from and to seconds of the whole."""

    start: float
    end: float
    title: str = ""


def ffmetadata(
    tags: Mapping[str, TagValue],
    chapters: Sequence[Chapter] = (),
    cover: bytes | None = None,
    form: TagForm = TagForm.SINGLE,
) -> str:
    """The file's text. ``cover`` is a JPEG that goes among the tags, as Ogg files hold it.

    Several values of a tag are marked for ``form`` (see `tags.place`). Unknown tags raise ValueError; long ones are
    cut, and chapters beyond ``MAX_CHAPTERS`` left out.
    """
    unknown = set(tags) - set(TAG_NAMES)
    if unknown:
        raise ValueError(f"tags that are not known: {sorted(unknown)}")
    lines = [";FFMETADATA1"]
    lines += [f"{name}={_tag(name, tags[name], form)}" for name in TAG_NAMES if tags.get(name)]
    if cover is not None:
        lines.append(f"METADATA_BLOCK_PICTURE={_escape(_picture_block(cover), limit=None)}")
    for chapter in chapters[:MAX_CHAPTERS]:
        start, end = round(chapter.start * 1_000), round(chapter.end * 1_000)
        lines += ["[CHAPTER]", "TIMEBASE=1/1000", f"START={start}", f"END={max(start, end)}"]
        lines.append(f"title={_escape(chapter.title)}")
    return "\n".join(lines) + "\n"


def _tag(name: str, value: TagValue, form: TagForm) -> str:
    if isinstance(value, str):
        return _escape(value)
    clean = tuple(_UNWANTED.sub("", each)[: MAX_TAG_CHARACTERS // len(value)] for each in value)
    return _quote(value_for(form, name, clean))


def _escape(value: str, limit: int | None = MAX_TAG_CHARACTERS) -> str:
    return _quote(_UNWANTED.sub("", value)[:limit])


def _quote(text: str) -> str:
    if text.endswith("\\"):
        text += " "  # ffmpeg 5.1 takes even an escaped backslash before a line's end as its continuation
    return re.sub(r"([=;#\\\n])", r"\\\1", text)


def _picture_block(jpeg: bytes) -> str:
    """FLAC's picture block in base64; sizes are left 0, which readers take for "see the picture"."""
    kind, media_type = 3, b"image/jpeg"  # 3 is the front cover
    head = struct.pack(">II", kind, len(media_type)) + media_type + struct.pack(">I", 0)
    return base64.b64encode(head + bytes(16) + struct.pack(">I", len(jpeg)) + jpeg).decode()
