"""What goes out: rows W10, W15 to W20, W22 and W23 of the table of bad input."""

from __future__ import annotations

import hashlib
import io
import json
import os
import zipfile
import zlib
from typing import Any

import pytest
from tests.integration.files.conftest import Service

SONG = bytes(range(256)) * 40
SHA = hashlib.sha256(SONG).hexdigest()
KEY = "music/uid/separate/1-abcdefgh/vocals.flac"


@pytest.fixture
def song(files: Service) -> Service:
    path = files.store / KEY
    path.parent.mkdir(parents=True)
    path.write_bytes(SONG)
    path.with_name("vocals.flac.gz").write_bytes(b"another file")
    return files


def read(song: Service, key: str = KEY, **claims: Any) -> str:
    given = {"size": len(SONG), "sha256": SHA, "name": "Lied „über“ (vocals).flac", "type": "audio/flac"}
    return song.ticket("read", key, **(given | claims))


async def test_a_file_is_played_by_browsers_and_named_for_people(song: Service) -> None:
    async with song.call("GET", "/v1/file", read(song), headers={"Accept-Encoding": "gzip"}) as answer:
        assert (answer.status, await answer.read()) == (200, SONG)
        heads = answer.headers
    assert heads["ETag"] == f'"{SHA}"'
    assert heads["Content-Type"] == "audio/flac"
    assert heads["X-Content-Type-Options"] == "nosniff"
    assert heads["Content-Security-Policy"].startswith("sandbox")
    assert heads["Cross-Origin-Resource-Policy"] == "same-origin"
    assert "Content-Encoding" not in heads
    assert heads["Content-Disposition"] == (
        'inline; filename="Lied uber (vocals).flac"; '
        "filename*=UTF-8''Lied%20%E2%80%9E%C3%BCber%E2%80%9C%20%28vocals%29.flac"
    )


RANGES = [
    pytest.param("bytes=0-0", 206, SONG[:1], id="the first byte"),
    pytest.param("bytes=100-199", 206, SONG[100:200], id="a hundred"),
    pytest.param("bytes=-10", 206, SONG[-10:], id="the last ten"),
    pytest.param("bytes=10000-", 206, SONG[10000:], id="the rest"),
    pytest.param("bytes=5-99999", 206, SONG[5:], id="more than there are"),
    pytest.param("bytes=20000-", 416, None, id="W19 beyond the end"),
    pytest.param("bytes=9-3", 416, None, id="W19 inverted"),
    pytest.param("bytes=0-0,2-2", 416, None, id="W19 two ranges"),
    pytest.param("bytes=" + ",".join(f"{n}-{n}" for n in range(1000)), 416, None, id="W19 a thousand ranges"),
    pytest.param("bytes=-0", 416, None, id="W19 the last none"),
    pytest.param("bytes=-", 416, None, id="W19 no numbers"),
    pytest.param("lines=1-2", 416, None, id="W19 another unit"),
    pytest.param("bytes=" + "9" * 30 + "-", 416, None, id="W19 a number without end"),
]


@pytest.mark.parametrize(("asked", "status", "content"), RANGES)
async def test_ranges(song: Service, asked: str, status: int, content: bytes | None) -> None:
    async with song.call("GET", "/v1/file", read(song), headers={"Range": asked}) as answer:
        assert answer.status == status
        if content is not None:
            assert await answer.read() == content
            assert answer.headers["Content-Range"].endswith(f"/{len(SONG)}")
        else:
            assert answer.headers["Content-Range"] == f"bytes */{len(SONG)}"


async def test_what_the_client_has_is_not_sent_again_and_a_changed_file_is_sent_whole(song: Service) -> None:
    async with song.call("GET", "/v1/file", read(song), headers={"If-None-Match": f'W/"{SHA}"'}) as answer:
        assert (answer.status, await answer.read()) == (304, b"")
    old = {"If-Range": '"' + "0" * 64 + '"', "Range": "bytes=5-9"}
    async with song.call("GET", "/v1/file", read(song), headers=old) as answer:
        assert (answer.status, len(await answer.read())) == (200, len(SONG))
    async with song.call("HEAD", "/v1/file", read(song)) as answer:
        assert (answer.status, answer.headers["Content-Length"]) == (200, str(len(SONG)))


@pytest.mark.parametrize(
    ("type_", "name", "sent", "how"),
    [
        pytest.param("text/html", "a.html", "text/html", "attachment", id="W22 a web page"),
        pytest.param("image/svg+xml", "a.svg", "image/svg+xml", "attachment", id="W22 SVG"),
        pytest.param("image/png", "a.png", "image/png", "inline", id="a picture"),
        pytest.param("text/html\r\nX: y", "a", "application/octet-stream", "attachment", id="W15 a type of lines"),
        pytest.param("audio/flac", 'a"\r\nX: y\\.flac', "audio/flac", "inline", id="W15 a name with a line end"),
        pytest.param("audio/flac", "\u202ecod.exe", "audio/flac", "inline", id="W15 right to left"),
    ],
)  # fmt: skip
async def test_nothing_runs_in_a_browser(song: Service, type_: str, name: str, sent: str, how: str) -> None:
    async with song.call("GET", "/v1/file", read(song, type=type_, name=name)) as answer:
        assert answer.status == 200
        assert answer.headers["Content-Type"] == sent
        shown = answer.headers["Content-Disposition"]
        assert shown.startswith(f'{how}; filename="')
        assert shown.count('"') == 2
        assert "X" not in answer.headers


@pytest.mark.parametrize(
    ("place", "make"),
    [
        pytest.param("uid/x/1-abcdefgh/link", lambda at: at.symlink_to("/etc/hostname"), id="W16 a link out"),
        pytest.param("uid/x/link/vocals.flac", None, id="W16 a folder that is a link"),
        pytest.param("uid/x/1-abcdefgh/pipe", os.mkfifo, id="a pipe"),
        pytest.param("uid/x/1-abcdefgh", None, id="a folder"),
        pytest.param("uid/x/1-abcdefgh/none", None, id="nothing"),
        pytest.param("uid/../uid/separate/1-abcdefgh/vocals.flac", None, id="two dots"),
        pytest.param("uid//separate/1-abcdefgh/vocals.flac", None, id="two slashes"),
        pytest.param("uid/x\0y", None, id="NUL"),
        pytest.param("n" * 300, None, id="a long name"),
    ],
)
async def test_what_is_no_file_of_the_store_is_404(
    song: Service, caplog: pytest.LogCaptureFixture, place: str, make: Any
) -> None:
    folder = song.own / "uid/x/1-abcdefgh"
    folder.mkdir(parents=True)
    (folder.parent / "link").symlink_to(song.own / "uid/separate/1-abcdefgh")
    if make:
        make(song.own / place)
    async with song.call("GET", "/v1/file", read(song, f"music/{place}")) as answer:
        assert (answer.status, json.loads(await answer.read())["type"]) == (404, "/problems/no-such-file")
    if "link" in place or make is os.mkfifo:
        assert f"'music/{place}' is no file of the store" in caplog.text


async def test_a_file_that_has_changed_its_size_is_not_served(song: Service) -> None:
    async with song.call("GET", "/v1/file", read(song, size=5)) as answer:
        assert answer.status == 404


async def test_a_ticket_in_an_address_is_none(song: Service) -> None:
    async with song.call("GET", f"/v1/file?ticket={read(song)}", None) as answer:
        assert answer.status == 403


async def test_no_ticket_no_file(song: Service) -> None:
    now = 1_700_000_000
    tickets = {
        "none": None,
        "garbage": "a.b.c",
        "W23 expired": read(song, iat=now, exp=now + 60),
        "for too long": read(song, exp=4_000_000_000),
        "another namespace's service": read(song, aud="audiojob-files/other"),
        "another issuer": read(song, iss="me"),
        "an unknown key": read(song, kid="two"),
        "W23 another verb": song.ticket("log", KEY),
        "another namespace's key": read(song, "other/uid/a"),
        "W1 no algorithm": "eyJhbGciOiJub25lIiwia2lkIjoib25lIn0.e30.",
        "a claim of another form": read(song, sha256="x"),
    }
    found = {}
    for name, ticket in tickets.items():
        async with song.call("GET", "/v1/file", ticket) as answer:
            found[name] = answer.status
    assert found == dict.fromkeys(tickets, 403)


# ---------------------------------------------------------------- zips


def entries(song: Service, *names: str, crc: bool = True) -> bytes:
    given = []
    for number, name in enumerate(names):
        content = SONG[: 100 * (number + 1)]
        path = song.own / f"uid/separate/1-abcdefgh/{number}.bin"
        path.write_bytes(content)
        one = {"key": f"music/uid/separate/1-abcdefgh/{number}.bin", "name": name, "bytes": len(content)}
        one["sha256"] = hashlib.sha256(content).hexdigest()
        given.append(one | ({"crc32": f"{zlib.crc32(content):08x}"} if crc else {}))
    return json.dumps({"entries": given}).encode()


def zipped(song: Service, listed: bytes, name: str = "song.zip") -> str:
    return song.ticket("zip", "music/uid", body=hashlib.sha256(listed).hexdigest(), name=name)


HOSTILE = ("a.flac", "A.flac", "../../etc/passwd", "/abs.flac", "", "CON", "x\ny.mp3", "C:\\w\\song.wav", "日本.flac")
HARMLESS = ["a.flac", "A (2).flac", "passwd", "abs.flac", "file", "_CON", "x y.mp3", "song.wav", "日本.flac"]


@pytest.mark.parametrize("crc", [True, False], ids=["with crc32", "of an earlier runner"])
async def test_a_zip_opens_everywhere_and_no_name_leads_out(song: Service, crc: bool) -> None:
    listed = entries(song, *HOSTILE, crc=crc)
    async with song.call("POST", "/v1/zip", zipped(song, listed), data=listed) as answer:
        assert answer.status == 200, await answer.text()
        content = await answer.read()
        assert answer.headers["Content-Length"] == str(len(content))
        tag = answer.headers["ETag"]
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        assert archive.testzip() is None
        assert archive.namelist() == HARMLESS  # W18
        assert [archive.read(name) for name in archive.namelist()] == [SONG[: 100 * (n + 1)] for n in range(9)]
    for first, last in ((0, 3), (29, 40), (31, 900), (len(content) - 30, len(content) - 1)):
        asked = {"Range": f"bytes={first}-{last}", "If-Range": tag}
        async with song.call("POST", "/v1/zip", zipped(song, listed), data=listed, headers=asked) as answer:
            assert (answer.status, await answer.read()) == (206, content[first : last + 1])


async def test_a_zip_over_four_gigabytes_of_holes_is_whole_to_its_last_byte(song: Service) -> None:
    size = 5 * 1024**3
    with (song.own / "big").open("wb") as file:
        file.truncate(size)
    one = {"key": "music/big", "bytes": size, "sha256": "0" * 64, "crc32": "12345678"}
    listed = json.dumps({"entries": [{**one, "name": "big.wav"}, {**one, "name": "big.wav"}]}).encode()
    async with song.call(
        "POST", "/v1/zip", zipped(song, listed), data=listed, headers={"Range": "bytes=-400"}
    ) as answer:
        end = await answer.read()
        total = int(answer.headers["Content-Range"].rpartition("/")[2])

    class Holes(io.RawIOBase):
        """The zip, of which only the end is there."""

        at = 0

        def seek(self, offset: int, whence: int = 0) -> int:
            self.at = offset + (total if whence == 2 else self.at if whence == 1 else 0)
            return self.at

        def tell(self) -> int:
            return self.at

        def seekable(self) -> bool:
            return True

        def readable(self) -> bool:
            return True

        def read(self, count: int = -1) -> bytes:
            start = self.at - (total - len(end))
            found = end[start : None if count < 0 else start + count]
            self.at += len(found)
            return bytes(found)

    with zipfile.ZipFile(Holes()) as archive:
        assert [(each.filename, each.file_size, each.header_offset) for each in archive.infolist()] == [
            ("big.wav", size, 0), ("big (2).wav", size, size + 30 + 7 + 20),
        ]  # fmt: skip


async def test_a_zip_is_of_the_list_that_the_ticket_is_for(song: Service) -> None:
    listed = entries(song, "a", "b")
    async with song.call("POST", "/v1/zip", zipped(song, listed), data=listed + b" ") as answer:
        assert answer.status == 403
    (song.own / "uid/separate/1-abcdefgh/1.bin").unlink()
    async with song.call("POST", "/v1/zip", zipped(song, listed), data=listed) as answer:
        assert answer.status == 404  # before the first byte


# ---------------------------------------------------------------- logs


async def test_logs_by_piece_and_by_their_last_lines(song: Service) -> None:
    for pod, lines in (("1-aaaaaaaa", ["old"]), ("1-bbbbbbbb", ["one\ntwo\n", "three\n", "four\nfive\n"])):
        folder = song.own / "uid/separate" / pod / "log"
        folder.mkdir(parents=True)
        for number, piece in enumerate(lines):
            (folder / f"{number:04}").write_text(piece)
        os.utime(folder, (1, 1) if pod.endswith("a") else None)
    asked = {
        "": ("one\ntwo\nthree\nfour\nfive\n", "3"),
        "?tail=2": ("four\nfive\n", "3"),
        "?tail=4": ("two\nthree\nfour\nfive\n", "3"),
        "?tail=0": ("", "3"),
        "?from=2": ("four\nfive\n", "3"),
        "?from=3": ("", "3"),
    }
    found = {}
    for query in asked:
        async with song.call("GET", f"/v1/log{query}", song.ticket("log", "music/uid/separate/1-")) as answer:
            found[query] = (await answer.text(), answer.headers["Audiojob-Next-Piece"])
            assert (answer.content_type, answer.headers["X-Content-Type-Options"]) == ("text/plain", "nosniff")
    assert found == asked
    async with song.call("GET", "/v1/log", song.ticket("log", "music/uid/separate/2-")) as answer:
        assert answer.status == 404
    async with song.call("GET", "/v1/log?tail=-1", song.ticket("log", "music/uid/separate/1-")) as answer:
        assert answer.status == 422
