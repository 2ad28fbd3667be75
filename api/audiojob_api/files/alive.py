"""Whether a files service answers: by a question that every one can answer, and that looks at its store."""

from __future__ import annotations

import asyncio
from typing import Final

from audiojob_api.files.ports import Files
from audiojob_api.files.uploads import stored_bytes
from audiojob_api.problems import Problem

_SECONDS: Final = 2.0
_NO_UPLOAD: Final = "up-" + "0" * 32
_NOBODY: Final = "audiojob:health"


async def trouble(files: Files, namespace: str) -> str:
    """What is wrong with the service of a namespace, for people; "" for nothing."""
    try:
        async with asyncio.timeout(_SECONDS):
            await stored_bytes(files, namespace, _NO_UPLOAD, _NOBODY)
    except TimeoutError:
        return f"The files service has not answered for {_SECONDS:.0f} s; its store may hang."
    except Problem as problem:
        return problem.detail
    return ""
