"""Forms, in whatever pieces they come."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from audiojob_api.files.multipart import Part, Parts, boundary_of
from audiojob_api.problems import Problem

JOB = Part("job", None, "application/json")
SONG = Part("file", 'Ein "Lied".flac', None)
BODY = (
    b'--b\r\nContent-Disposition: form-data; name="job"\r\nContent-Type: application/json\r\n\r\n{}\r\n'
    b'--b\r\ncontent-disposition: form-data; name="file"; filename="Ein %22Lied%22.flac"\r\n\r\n'
    b"\r\n--\r\n--c\r\n-b--\r\n\r\n--b--\r\n"
)
CONTENT = b"\r\n--\r\n--c\r\n-b--\r\n"


async def pieces(body: bytes, size: int) -> AsyncIterator[bytes]:
    for start in range(0, len(body), size):
        yield body[start : start + size]


async def read(body: bytes, size: int = 10**6) -> list[tuple[Part, bytes]]:
    """Every part with its content."""
    parts, found = Parts(pieces(body, size), b"b"), []
    while (head := await parts.head()) is not None:
        found.append((head, b"".join([each async for each in parts.content()])))
    return found


def test_parts_are_the_same_however_they_come() -> None:
    for size in range(1, len(BODY) + 1):
        assert asyncio.run(read(BODY, size)) == [(JOB, b"{}"), (SONG, CONTENT)], size


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"x--b\r\n", id="something before it"),
        pytest.param(b"--b\n\n--b--", id="line ends that are none"),
        pytest.param(b"--b x\r\n", id="something behind a boundary"),
        pytest.param(BODY[:-12], id="cut within a part"),
        pytest.param(BODY[:60], id="cut within headers"),
        pytest.param(b"--b\r\n" + b"a: b\r\n" * 2000 + b"\r\n--b--", id="thousands of headers"),
        pytest.param(b"--b\r\nContent-Type: a/b\r\n\r\n--b--", id="no name"),
        pytest.param(b'--b\r\nContent-Disposition: attachment; name="a"\r\n\r\n\r\n--b--', id="no form data"),
        pytest.param(
            b'--b\r\nContent-Disposition: form-data; name="a"\r\n'
            b'Content-Disposition: form-data; name="b"\r\n\r\n\r\n--b--',
            id="two names",
        ),
        pytest.param(b'--b\r\nContent-Disposition: form-data; name="\xff"\r\n\r\n\r\n--b--', id="not UTF-8"),
        pytest.param(
            b'--b\r\nContent-Disposition: form-data; name="a"\r\nContent-Transfer-Encoding: base64\r\n\r\n\r\n--b--',
            id="encoded",
        ),
    ],
)
def test_what_is_no_form_is_refused(body: bytes) -> None:
    with pytest.raises(Problem) as refused:
        asyncio.run(read(body))
    assert (refused.value.status, refused.value.kind) == (400, "invalid-multipart")


@pytest.mark.parametrize(
    ("content_type", "boundary"),
    [
        pytest.param("multipart/form-data; boundary=----x", b"----x", id="plain"),
        pytest.param('Multipart/Form-Data;boundary="a b"', b"a b", id="quoted"),
        pytest.param("multipart/form-data", None, id="none"),
        pytest.param("multipart/form-data; boundary=" + "x" * 71, None, id="long"),
        pytest.param("multipart/form-data; boundary=a; boundary=b", None, id="two"),
        pytest.param('multipart/form-data; boundary="a\r\nb"', None, id="line end"),
    ],
)
def test_the_boundary(content_type: str, boundary: bytes | None) -> None:
    if boundary is not None:
        assert boundary_of(content_type) == boundary
        return
    with pytest.raises(Problem):
        boundary_of(content_type)
