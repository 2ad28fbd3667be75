from __future__ import annotations

import pytest
from requests.structures import CaseInsensitiveDict

from audiojob_runner.fetch.partial.resumption import Part, Verdict, Version, judge, part_of, resume_headers, version_of

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
        pytest.param(Version(None, 1_000), 400, {"Range": "bytes=400-"}, id="the rest of a file with a checksum"),
    ],
)
def test_what_is_asked_for(version: Version | None, received: int, headers: dict[str, str]) -> None:
    assert resume_headers(version, received) == headers


REST = {"Content-Range": "bytes 400-999/1000"}
TAG = {"ETag": '"v1"'}
UNTOLD = Version('"v1"', None)
VERIFIED = Version(None, None)  # a file with a published checksum


@pytest.mark.parametrize(
    ("version", "status", "headers", "verdict"),
    [
        pytest.param(TAGGED, 206, REST | {"ETag": '"v1"'}, Verdict.CONTINUES, id="the same tag"),
        pytest.param(TAGGED, 206, REST, Verdict.UNFIT, id="no tag, which must not be left out"),
        pytest.param(TAGGED, 206, REST | {"ETag": 'W/"v1"'}, Verdict.UNFIT, id="a tag that has become weak"),
        pytest.param(DATED, 206, REST, Verdict.CONTINUES, id="no date, but the same size"),
        pytest.param(DATED, 206, REST | {"Last-Modified": OLD}, Verdict.CONTINUES, id="the same date and size"),
        pytest.param(UNTOLD, 206, REST | TAG, Verdict.CONTINUES, id="a tag, and a length that was not told before"),
        pytest.param(
            TAGGED, 206, TAG | {"Content-Range": "bytes 400-999/*"}, Verdict.CONTINUES, id="the size was told before"
        ),
        pytest.param(TAGGED, 206, TAG | {"Content-Range": "bytes 400-1000/*"}, Verdict.UNFIT, id="more than that size"),
        pytest.param(
            UNTOLD, 206, TAG | {"Content-Range": "bytes 400-999/*"}, Verdict.UNFIT, id="no size, now and before"
        ),
        pytest.param(
            TAGGED, 206, TAG | {"Content-Range": "bytes 400-499/1000"}, Verdict.CONTINUES, id="less than was asked for"
        ),
        pytest.param(UNTOLD, 206, TAG | {"Content-Range": "bytes 400-999/999"}, Verdict.UNFIT, id="beyond its own end"),
        pytest.param(TAGGED, 200, {"ETag": '"v2"'}, Verdict.WHOLE, id="the server sends a changed file"),
        pytest.param(TAGGED, 200, {"ETag": '"v1"'}, Verdict.WHOLE, id="the server knows no ranges"),
        pytest.param(TAGGED, 206, REST | {"ETag": '"v2"'}, Verdict.UNFIT, id="the rest of a changed file"),
        pytest.param(DATED, 206, REST | {"Last-Modified": NOW}, Verdict.UNFIT, id="the rest of a newer file"),
        pytest.param(TAGGED, 206, TAG | {"Content-Range": "bytes 400-1999/2000"}, Verdict.UNFIT, id="another size"),
        pytest.param(DATED, 206, {"Content-Range": "bytes 400-999/*"}, Verdict.UNFIT, id="a date without a size"),
        pytest.param(TAGGED, 206, TAG | {"Content-Range": "bytes 300-999/1000"}, Verdict.UNFIT, id="another place"),
        pytest.param(TAGGED, 206, TAG | {"Content-Range": "bytes */1000"}, Verdict.UNFIT, id="no place"),
        pytest.param(TAGGED, 206, TAG, Verdict.UNFIT, id="several parts, or none"),
        pytest.param(TAGGED, 206, REST | TAG | {"Content-Encoding": "gzip"}, Verdict.UNFIT, id="a packed part"),
        pytest.param(TAGGED, 416, {"Content-Range": "bytes */300"}, Verdict.UNFIT, id="a file that has become shorter"),
        pytest.param(TAGGED, 416, {"Content-Range": "bytes */400"}, Verdict.UNFIT, id="a file that ends here"),
        pytest.param(VERIFIED, 206, REST | {"ETag": '"v2"'}, Verdict.CONTINUES, id="a checksum needs no validator"),
        pytest.param(VERIFIED, 206, {"Content-Range": "bytes 400-999/*"}, Verdict.UNFIT, id="but it needs a size"),
        pytest.param(VERIFIED, 206, {"Content-Range": "bytes 5-999/1000"}, Verdict.UNFIT, id="and the right start"),
        pytest.param(VERIFIED, 416, {"Content-Range": "bytes */400"}, Verdict.COMPLETE, id="all of it is here"),
        pytest.param(VERIFIED, 416, {"Content-Range": "bytes */300"}, Verdict.UNFIT, id="more than all of it is here"),
        pytest.param(VERIFIED, 416, {}, Verdict.UNFIT, id="no range, and no size"),
        pytest.param(None, 200, {}, Verdict.WHOLE, id="what was asked for without a range"),
        pytest.param(None, 206, REST, Verdict.UNFIT, id="a part that nobody asked for"),
        pytest.param(None, 206, {"Content-Range": "bytes 0-99/1000"}, Verdict.UNFIT, id="a beginning, unasked"),
        pytest.param(None, 206, {"Content-Range": "bytes 0-99/*"}, Verdict.UNFIT, id="a beginning of who knows what"),
        pytest.param(None, 206, {"Content-Range": "bytes 0-999/1000"}, Verdict.WHOLE, id="all of it as one part"),
        pytest.param(None, 206, {}, Verdict.WHOLE, id="a part that says nothing of a range"),
    ],
)
def test_whether_an_answer_continues_what_is_there(
    version: Version | None, status: int, headers: dict[str, str], verdict: Verdict
) -> None:
    assert judge(version, 400, status, CaseInsensitiveDict(headers)) is verdict


@pytest.mark.parametrize(
    ("version", "headers", "verdict"),
    [
        pytest.param(TAGGED, REST | TAG, Verdict.CONTINUES, id="the same tag"),
        pytest.param(TAGGED, REST | {"ETag": '"v2"'}, Verdict.UNFIT, id="another tag"),
        pytest.param(DATED, REST | {"Last-Modified": OLD}, Verdict.CONTINUES, id="the same date and size"),
        pytest.param(DATED, REST, Verdict.UNFIT, id="no date: a file of that size, perhaps another one"),
        pytest.param(VERIFIED, REST, Verdict.CONTINUES, id="a checksum needs no validator"),
    ],
)
def test_whether_the_answer_from_where_a_redirect_leads_continues_what_is_there(
    version: Version, headers: dict[str, str], verdict: Verdict
) -> None:
    assert judge(version, 400, 206, CaseInsensitiveDict(headers), redirected=True) is verdict


@pytest.mark.parametrize(
    ("told", "part"),
    [
        pytest.param("bytes 400-999/1000", Part(400, 1_000, 1_000), id="the last part"),
        pytest.param("bytes 0-0/*", Part(0, 1, None), id="one byte of an untold number"),
        pytest.param("bytes 5-4/10", None, id="an end before the start"),
        pytest.param("bytes 5-10/10", None, id="an end behind the file"),
        pytest.param("bytes */10", None, id="no part"),
        pytest.param("", None, id="nothing"),
    ],
)
def test_which_part_an_answer_holds(told: str, part: Part | None) -> None:
    assert part_of({"Content-Range": told}) == part
