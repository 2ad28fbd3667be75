"""What nobody completed is removed each hour, behind links each minute, also after the store has failed once."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, cast

import pytest
from aiohttp import web

from audiojob_files import app
from audiojob_files.refusals import Refusal
from audiojob_files.serving.folder import FolderContents
from audiojob_files.settings import FilesSettings
from audiojob_files.stored import Stored


@pytest.mark.parametrize(
    ("failure", "links"),
    [(OSError(5, "Input/output error"), None), (Refusal(503, "store-failed", "No answer."), object())],
    ids=["a folder", "a bucket into which clients put files by links"],
)
async def test_a_store_that_fails_once_is_cleaned_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failure: Exception, links: Any
) -> None:
    monkeypatch.setattr(app, "CLEANING_SECONDS" if links is None else "CLEANING_SECONDS_BEHIND_LINKS", 0)
    loop, again, failures = asyncio.get_running_loop(), asyncio.Event(), [failure]

    class Uploads:
        def remove_unfinished(self, _: datetime, __: timedelta) -> int:
            if failures:
                raise failures.pop()
            loop.call_soon_threadsafe(again.set)
            return 0

    stored = Stored(FolderContents(tmp_path), cast("Any", Uploads()), links)
    cleaning = app.FilesApp(FilesSettings(namespace="music", keys=tmp_path / "keys.json"), stored).clean(
        web.Application()
    )
    await anext(cleaning)
    await asyncio.wait_for(again.wait(), 10)
    with pytest.raises(StopAsyncIteration):
        await anext(cleaning)
