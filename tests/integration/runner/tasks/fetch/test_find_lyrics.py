"""FindLyrics against a service of our own that answers in every way: nothing it says fails a job."""

from __future__ import annotations

import gzip
import json
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from tests.integration.runner.tasks.conftest import Bench
from tests.integration.runner.tasks.web import Handler, Web, drip

from audiojob_runner.errors import PhaseError
from audiojob_runner.lookup import service
from audiojob_runner.task import TaskInput, TaskResult
from audiojob_runner.tasks.find_lyrics import NO_NAMES, NOT_SET
from audiojob_types.contract import ExitCode
from audiojob_types.documents.lyrics import Form, Lyrics, Place, Timing
from audiojob_types.tasks import Task

LRC = "[00:01.00]Here be\n[00:02.00]dragons"
RECORD = {"trackName": "Söng", "artistName": "Who", "duration": 200, "syncedLyrics": LRC, "plainLyrics": "Here be"}
SONG = TaskInput("source", metadata={"title": "Söng", "artist": "Who", "album": "LP & more", "durationSeconds": 199.6})


@pytest.fixture(autouse=True)
def asking(bench: Bench, web: Web, loopback: None, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.lyrics_address = f"{web.url}/db/"
    monkeypatch.setattr(service, "PAUSE_SECONDS", 0.01)


def find(bench: Bench, given: TaskInput = SONG, **parameters: Any) -> TaskResult:
    return bench.run_on(Task.FIND_LYRICS, [given], **parameters)


def paths(web: Web) -> list[str]:
    return [path for path, _ in web.asked]


def test_the_words_are_found_and_lyrics_reads_them(bench: Bench, web: Web) -> None:
    asked = list[str]()

    def answer(handler: Handler) -> None:
        asked.append(handler.path)
        handler.answer(200, json.dumps(RECORD).encode(), Content_Type="application/json")

    web.routes["/db/api/get"] = answer
    result = find(bench)
    assert parse_qs(urlsplit(asked[0]).query) == {
        "track_name": ["Söng"], "artist_name": ["Who"], "album_name": ["LP & more"], "duration": ["200"],
    }  # fmt: skip
    assert result.metadata == {"service": "127.0.0.1", "title": "Söng", "artist": "Who", "timed": True}
    (found,) = result.outputs
    assert (found.path.name, found.media_type, found.path.read_text()) == ("found.lrc", "text/x-lrc", LRC)
    given = TaskInput("found", path=found.path, media_type=found.media_type, metadata=found.metadata)
    record = Lyrics.read(bench.run_on(Task.LYRICS, [given]).outputs[0].path.read_bytes())
    assert (record.origin.place, record.origin.form, record.timing) == (Place.SERVICE, Form.LRC, Timing.LINES)
    assert [line.text for line in record.lines] == ["Here be", "dragons"]


@pytest.mark.parametrize(
    ("answers", "reason", "words"),
    [
        pytest.param([None, json.dumps([RECORD])], None, LRC, id="by its name, where the very song is unknown"),
        pytest.param([None, None], "NotFound", None, id="404"),
        pytest.param([None, "[]"], "NotFound", None, id="no song of that name"),
        pytest.param([None, json.dumps([{**RECORD, "artistName": "Them"}])], "NotFound", None, id="another's song"),
        pytest.param(
            [json.dumps({**RECORD, "duration": 300}), "[]"], "NotFound", None, id="a recording of another length"
        ),
        pytest.param(
            [json.dumps({**RECORD, "syncedLyrics": None, "plainLyrics": None, "instrumental": True})],
            "Instrumental",
            None,
            id="an instrumental",
        ),
        pytest.param(
            [json.dumps({**RECORD, "syncedLyrics": None})], None, "Here be", id="words without times are plain text"
        ),
    ],
)
def test_what_the_service_knows(
    bench: Bench, web: Web, answers: list[str | None], reason: str | None, words: str | None
) -> None:
    for path, body in zip(("/db/api/get", "/db/api/search"), answers, strict=False):
        if body is not None:
            web.serve(path, body.encode())
    result = find(bench)
    assert result.metadata.get("reason") == reason
    assert [output.path.read_text() for output in result.outputs] == ([words] if words else [])
    assert "warnings" not in result.metadata
    assert paths(web) == ["/db/api/get", "/db/api/search"][: len(answers)]


@dataclass(frozen=True)
class Bad:
    """An answer without words, after so many requests, and what is said of it."""

    said: str
    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    requests: int = 1


@pytest.mark.parametrize(
    "bad",
    [
        pytest.param(Bad("(status 429)", 429, headers={"Retry_After": "900"}), id="429 that asks for much patience"),
        pytest.param(Bad("(status 429)", 429, requests=3), id="429"),
        pytest.param(Bad("status 503", 503, requests=3), id="5xx"),
        pytest.param(Bad("status 403", 403), id="refused"),
        pytest.param(Bad("it is not JSON", body=b"<html>hello"), id="a page"),
        pytest.param(Bad("it is not JSON", body=b"[" * 1_000_000), id="nested"),
        pytest.param(Bad("it is not about a song", body=b"[1]"), id="wrong types"),
        pytest.param(Bad("larger than 2097152 bytes", body=b'"' + b"x" * 3_000_000), id="huge"),
        pytest.param(
            Bad("larger than", body=gzip.compress(b" " * 60_000_000), headers={"Content_Encoding": "gzip"}), id="packed"
        ),
        pytest.param(Bad("zstd", body=b"{}", headers={"Content_Encoding": "zstd"}), id="packed in another way"),
        pytest.param(Bad("127.0.0.2", 302, headers={"Location": "http://127.0.0.2/"}), id="a way inside"),
    ],
)
def test_no_answer_fails_the_job(bench: Bench, web: Web, bad: Bad) -> None:
    web.serve("/db/api/get", bad.body, bad.status, **bad.headers)
    result = find(bench)
    assert result.outputs == []
    assert result.metadata["reason"] == "Unavailable"
    (warning,) = result.metadata["warnings"]
    assert bad.said in warning
    assert len(paths(web)) == bad.requests
    assert bench.reports[-1] == (100, "No words found")


def test_a_failure_that_passes_is_waited_out(bench: Bench, web: Web) -> None:
    answers = [503, 429, 200]
    web.routes["/db/api/get"] = lambda handler: handler.answer(answers.pop(0), json.dumps(RECORD).encode())
    assert len(find(bench).outputs) == 1
    assert answers == []


def test_a_slow_service_is_given_up(bench: Bench, web: Web) -> None:
    web.routes["/db/api/get"] = lambda handler: drip(handler, 30, "application/json")
    result = find(bench, timeoutSeconds=1)
    assert result.metadata["reason"] == "Unavailable"
    assert "within 1 seconds" in result.metadata["warnings"][0]


def test_nobody_is_asked_where_no_service_is_set_or_the_song_is_not_known(bench: Bench, web: Web) -> None:
    nameless = find(bench, TaskInput("audio", metadata={"durationSeconds": 200}), title="Song")
    bench.lyrics_address = None
    nowhere = find(bench)
    assert [result.outputs for result in (nameless, nowhere)] == [[], []]
    assert nameless.metadata == {"reason": "NoNames", "warnings": [NO_NAMES]}
    assert nowhere.metadata == {"reason": "NotSet", "warnings": [NOT_SET]}
    assert web.asked == []


def test_names_of_any_length_fit_into_an_address(bench: Bench, web: Web) -> None:
    assert find(bench, title="歌" * 300, artist="者" * 300, album="&" * 300).metadata == {"reason": "NotFound"}
    assert len(web.asked) == 2


def test_it_ends_when_it_is_stopped(bench: Bench, web: Web) -> None:
    def answer(handler: Handler) -> None:
        bench.cancelled.set()
        handler.answer(503)

    web.routes["/db/api/get"] = answer
    with pytest.raises(PhaseError) as failed:
        find(bench)
    assert failed.value.exit_code == ExitCode.STOPPED


def test_neither_cookies_nor_the_rest_of_the_address_go_anywhere(bench: Bench, web: Web, tmp_path: Any) -> None:
    folder = tmp_path / "secret"
    folder.mkdir()
    line = "127.0.0.1\tFALSE\t/\tFALSE\t0\tsession\tc00kie"
    (folder / "cookies.txt").write_text(f"# Netscape HTTP Cookie File\n{line}\n")
    bench.fetch_credentials = folder
    bench.lyrics_address = f"{web.url}/k3y-of-the-house"
    result = find(bench)
    assert all("Cookie" not in headers for _, headers in web.asked)
    assert "k3y" not in " ".join([*bench.told, str(result.metadata)])
