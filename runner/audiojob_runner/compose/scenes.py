"""Reads the scene list, and says in a sentence, with the scene's number, what is wrong with it. No I/O."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any, Final

from pydantic import ValidationError

from audiojob_runner.errors import PhaseError
from audiojob_types.contract import ExitCode
from audiojob_types.documents.scenes import MAX_SCENES, SceneList
from audiojob_types.reasons import Reason

MAX_BYTES: Final = 1024**2
_MOST_NAMES: Final = 20
_CORRECT: Final = "Correct the input scenes; docs/video.md says what a scene may have."


def read_scenes(raw: bytes) -> SceneList:
    """The list. Raises :class:`PhaseError` (InvalidSpec)."""
    if len(raw) > MAX_BYTES:
        raise bad_scenes(f"The scene list is larger than {MAX_BYTES} bytes.")
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise bad_scenes("The scene list is not text in UTF-8.") from error
    try:
        return SceneList.model_validate_json(text)
    except ValidationError as error:
        raise bad_scenes(_sentence(error)) from error


def bad_scenes(message: str, suggestion: str = _CORRECT) -> PhaseError:
    """The error for a list that no film can be made of."""
    return PhaseError(ExitCode.USAGE, Reason.INVALID_SPEC, message, suggestion)


def _sentence(error: ValidationError) -> str:
    found = error.errors(include_url=False, include_input=False)
    # A list of scenes that are all refused is also said to be too short.
    first, count = found[0], sum(each["type"] != "too_short" or each is found[0] for each in found)
    place, what = _place(first["loc"]), str(first["msg"]).removeprefix("Value error, ")
    if first["type"] == "json_invalid":
        return f"The scene list is not JSON: {what.removeprefix('Invalid JSON: ')}."
    if first["loc"] == ("scenes",) and first["type"] in ("too_short", "missing"):
        return "The scene list has no scenes."
    if first["loc"] == ("scenes",) and first["type"] == "too_long":
        return f"The scene list has more than {MAX_SCENES} scenes."
    more = (
        f" There are {count - 1} more mistakes." if count > 2 else " There is one more mistake." if count == 2 else ""
    )
    return f"{place}{what[:1].lower()}{what[1:]}.{more}"


def _place(location: tuple[int | str, ...]) -> str:
    """Where in the list, with scenes counted from 1 as people count them."""
    parts = list(location)
    start = ""
    if len(parts) > 1 and parts[0] == "scenes" and isinstance(parts[1], int):
        start, parts = f"Scene {parts[1] + 1}: ", parts[2:]
    path = ""
    for part in parts:
        path += f"[{part}]" if isinstance(part, int) else f".{part}" if path else part
    return f"{start}{path}: " if path else start or "The scene list: "


def check_names(scenes: SceneList, known: Collection[str]) -> None:
    """Each medium that the list names is an input of the phase. Raises :class:`PhaseError` (InvalidSpec)."""
    for place, field, name in named_inputs(scenes):
        if name not in known:
            listed = ", ".join(sorted(known)[:_MOST_NAMES]) or "none"
            more = f" and {len(known) - _MOST_NAMES} more" if len(known) > _MOST_NAMES else ""
            raise bad_scenes(
                f"{place}: {field} names the input {name!r}, which the phase does not have; it has {listed}{more}.",
                "Give it under spec.inputs where the pipeline asks for it, or correct the name in the scene list.",
            )


def named_inputs(scenes: SceneList) -> Iterator[tuple[str, str, str]]:
    """Each use of an input: where for people, the field, and the input's name."""
    for number, scene in enumerate(scenes.scenes, 1):
        for field, name in scene.inputs:
            yield f"Scene {number}", field, name
    if scenes.music is not None:
        yield "Music", "input", scenes.music.input


def unused(scenes: SceneList, known: Collection[str]) -> list[str]:
    """Inputs that no scene names, in alphabetical order."""
    used: set[Any] = {name for _, _, name in named_inputs(scenes)}
    return sorted(set(known) - used)
