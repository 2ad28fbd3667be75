"""What a phase asks people before its result is used: one sentence, which a pod wrote."""

from __future__ import annotations

from typing import Annotated, Any, Final

from pydantic import BeforeValidator, Field

from audiojob_types.outside.redaction import redact

MAX_QUESTION_CHARACTERS: Final = 200
_NO_REASON: Final = "The phase asks for a review and does not say why."


def _cut(value: Any) -> Any:
    """A question that is too long is still one: losing it would let the job go on unseen."""
    return value[:MAX_QUESTION_CHARACTERS] if isinstance(value, str) else value


Question = Annotated[str, BeforeValidator(_cut), Field(max_length=MAX_QUESTION_CHARACTERS)]


def question(text: str) -> str:
    """The question as one line that may be shown: without secrets and control characters, never empty."""
    printable = "".join(letter if letter.isprintable() else " " for letter in text)
    line = redact(" ".join(printable.split())) or _NO_REASON
    return line if len(line) <= MAX_QUESTION_CHARACTERS else f"{line[: MAX_QUESTION_CHARACTERS - 1]}…"
