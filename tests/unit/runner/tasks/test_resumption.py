from __future__ import annotations

import pytest
from requests.structures import CaseInsensitiveDict

from audiojob_runner.resumption import Verdict, Version, judge, resume_headers, version_of

TAGGED = Version('"v1"', 1_000)
OLD = "Sun, 01 Mar 2026 10:00:00 GMT"
NOW = "Sun, 01 Mar 2026 12:00:00 GMT"
DATED = Version(OLD, 1_000)


@pytest.mark.parametrize(
    ("headers", "length", "version"),
    [
        pytest.param({"ETag": '"v1"'}, 1_000, TAGGED, id="a strong tag"),
        pytest.param({"ETag": '"v1"'}, None, Version('"v1"', None), id="a strong tag without a length"),
        pytest.param({"ETag": '"v1"', "Last-Modified": OLD, "Date": NOW}, 1_000, TAGGED, id="a tag wins over a date"),
        pytest.param({"ETag": 'W/"v1"'}, 1_000, None, id="a weak tag"),
        pytest.param({"ETag": 'W/"v1"', "Last-Modified": OLD, "Date": NOW}, 1_000, DATED, id="a weak tag and a date"),
        pytest.param({"Last-Modified": OLD, "Date": NOW}, 1_000, DATED, id="a date with a length"),
        pytest.param({"Last-Modified": OLD, "Date": NOW}, None, None, id="a date without a length"),
        pytest.param({"Last-Modified": OLD}, 1_000, None, id="a date that nobody knows the age of"),
        pytest.param({"Last-Modified": NOW, "Date": NOW}, 1_000, None, id="a date of this very second"),
        pytest.param({"Last-Modified": "yesterday", "Date": NOW}, 1_000, None, id="a date that is none"),
        pytest.param({"ETag": '"v1"', "Content-Encoding": "gzip"}, None, None, id="a packed answer"),
        pytest.param({"ETag": f'"{"x" * 300}"'}, 1_000, None, id="a tag without end"),
        pytest.param({"ETag": '"\u00fc"'}, 1_000, None, id="a tag that no header may hold"),
        pytest.param({}, 1_000, None, id="nothing"),
    ],
)
def test_what_names_a_content(headers: dict[str, str], length: int | None, version: Version | None) -> None:
    assert version_of(CaseInsensitiveDict(headers), length) == version


@pytest.mark.parametrize(
    ("version", "received", "headers"),
    [
        pytest.param(TAGGED, 400, {"Range": "bytes=400-", "If-Range": '"v1"'}, id="the rest of this content"),
        pytest.param(TAGGED, 0, {}, id="nothing is there"),
        pytest.param(None, 400, {}, id="nothing names the content"),
    ],
)
def test_what_is_asked_for(version: Version | None, received: int, headers: dict[str, str]) -> None:
    assert resume_headers(version, received) == headers


REST = {"Content-Range": "bytes 400-999/1000"}


@pytest.mark.parametrize(
    ("version", "status", "headers", "verdict"),
    [
        pytest.param(TAGGED, 206, REST | {"ETag": '"v1"'}, Verdict.CONTINUES, id="the same tag"),
        pytest.param(TAGGED, 206, REST, Verdict.CONTINUES, id="no tag, as it may be left out"),
        pytest.param(DATED, 206, REST | {"Last-Modified": OLD}, Verdict.CONTINUES, id="the same date and size"),
        pytest.param(
            Version('"v1"', None), 206, REST, Verdict.CONTINUES, id="a tag, and a length that was not told before"
        ),
        pytest.param(TAGGED, 206, {"Content-Range": "bytes 400-999/*"}, Verdict.CONTINUES, id="a tag without a size"),
        pytest.param(TAGGED, 200, {"ETag": '"v2"'}, Verdict.WHOLE, id="the server sends a changed file"),
        pytest.param(TAGGED, 200, {"ETag": '"v1"'}, Verdict.WHOLE, id="the server knows no ranges"),
        pytest.param(TAGGED, 206, REST | {"ETag": '"v2"'}, Verdict.UNFIT, id="the rest of a changed file"),
        pytest.param(DATED, 206, REST | {"Last-Modified": NOW}, Verdict.UNFIT, id="the rest of a newer file"),
        pytest.param(TAGGED, 206, {"Content-Range": "bytes 400-1999/2000"}, Verdict.UNFIT, id="another size"),
        pytest.param(DATED, 206, {"Content-Range": "bytes 400-999/*"}, Verdict.UNFIT, id="a date without a size"),
        pytest.param(TAGGED, 206, {"Content-Range": "bytes 300-999/1000"}, Verdict.UNFIT, id="another place"),
        pytest.param(TAGGED, 206, {"Content-Range": "bytes */1000"}, Verdict.UNFIT, id="no place"),
        pytest.param(TAGGED, 206, {}, Verdict.UNFIT, id="several parts, or none"),
        pytest.param(TAGGED, 206, REST | {"Content-Encoding": "gzip"}, Verdict.UNFIT, id="a packed part"),
        pytest.param(TAGGED, 416, {"Content-Range": "bytes */300"}, Verdict.UNFIT, id="a file that has become shorter"),
        pytest.param(None, 206, REST, Verdict.WHOLE, id="what was asked for without a range"),
    ],
)
def test_whether_an_answer_continues_what_is_there(
    version: Version | None, status: int, headers: dict[str, str], verdict: Verdict
) -> None:
    assert judge(version, 400, status, CaseInsensitiveDict(headers)) is verdict
