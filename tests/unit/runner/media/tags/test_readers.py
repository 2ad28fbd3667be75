"""Tags as files store them: all values, in the encodings that people used, within limits, whatever the bytes are."""

from __future__ import annotations

import base64
import io
import struct
import zlib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audiojob_runner.media.tags.found import Found, TagValue
from audiojob_runner.media.tags.id3 import read_id3
from audiojob_runner.media.tags.read import read

JPEG = b"\xff\xd8\xff\xe0" + bytes(50)
PNG = b"\x89PNG\r\n\x1a\n" + bytes(50)


def safe(size: int) -> bytes:
    return bytes(size >> shift & 0x7F for shift in (21, 14, 7, 0))


def frame(name: bytes, body: bytes, version: int = 3, flags: int = 0) -> bytes:
    if version == 2:
        return name + len(body).to_bytes(3, "big") + body
    length = safe(len(body)) if version == 4 else len(body).to_bytes(4, "big")
    return name + length + flags.to_bytes(2, "big") + body


def id3(*frames: bytes, version: int = 3, flags: int = 0, padding: int = 20) -> bytes:
    body = b"".join(frames) + bytes(padding)
    return b"ID3" + bytes([version, 0, flags]) + safe(len(body)) + body


def tags_of(path: Path, demuxer: str, content: bytes) -> dict[str, TagValue]:
    path.write_bytes(content)
    return read(path, demuxer)[0]


@pytest.mark.parametrize(
    ("tag", "want"),
    [
        pytest.param(
            id3(frame(b"TPE1", b"\0Alice\0Bob\0Carol\0", 4), version=4), {"artist": ("Alice", "Bob", "Carol")},
            id="values of 2.4 in Latin-1",
        ),
        pytest.param(
            id3(frame(b"TCON", b"\x03Jazz\0Bebop", 4), version=4), {"genre": ("Jazz", "Bebop")}, id="UTF-8"
        ),
        pytest.param(
            id3(frame(b"TPE1", b"\x01" + "\ufeffÀ\0\ufeffÉ\0".encode("utf-16-le"))), {"artist": ("À", "É")},
            id="values of 2.3, each with a mark",
        ),
        pytest.param(
            id3(frame(b"TPE1", b"\x01" + "\ufeffÀ\0É\0".encode("utf-16-le"))), {"artist": ("À", "É")},
            id="a mark before the first alone",
        ),
        pytest.param(
            id3(frame(b"TIT2", b"\x01" + "Für Élise".encode("utf-16-le"))), {"title": "Für Élise"}, id="no mark at all"
        ),
        pytest.param(
            id3(frame(b"TIT2", b"\x02" + "Für Élise".encode("utf-16-le"))), {"title": "Für Élise"},
            id="the order that the encoding does not allow",
        ),
        pytest.param(id3(frame(b"TIT2", b"\0" + "Björk".encode("latin-1"))), {"title": "Björk"}, id="Latin-1"),
        pytest.param(id3(frame(b"TIT2", b"\0" + "Björk".encode())), {"title": "Björk"}, id="UTF-8 that says Latin-1"),
        pytest.param(
            id3(frame(b"TIT2", b"\0" + "Группа крови".encode("cp1251"))), {"title": "Группа крови"}, id="Cyrillic"
        ),
        pytest.param(
            id3(frame(b"TPE1", b"\x03" + "Björk".encode("latin-1"), 4), version=4), {"artist": "Björk"},
            id="Latin-1 that says UTF-8",
        ),
        pytest.param(id3(frame(b"TT2", b"\0Old", 2), version=2), {"title": "Old"}, id="2.2"),
        pytest.param(
            id3(
                frame(b"COMM", b"\0engiTunNORM\0 0000"), frame(b"COMM", b"\0eng\0Nice"), frame(b"TIT2", b"\0T")
            ), {"comment": "Nice", "title": "T"}, id="the comment that people see",
        ),
        pytest.param(id3(frame(b"TXXX", b"\0comment\0Nice")), {"comment": "Nice"}, id="a comment as ffmpeg writes it"),
        pytest.param(
            id3(frame(b"TIT2", b"\0\xff\0\xfeX".replace(b"\xff\0", b"\xff\0")), flags=0x80), {"title": "ÿþX"},
            id="unsynchronised",
        ),
        pytest.param(
            id3(frame(b"TIT2", struct.pack(">I", 6) + zlib.compress(b"\0Zipped"), 3, 0x80)), {"title": "Zipped"},
            id="compressed",
        ),
        pytest.param(
            id3(frame(b"TIT2", b"\0secret", 3, 0x40), frame(b"TPE1", b"\0A")), {"artist": "A"}, id="encrypted"
        ),
        pytest.param(
            id3(frame(b"TIT2", b"\0" + b"x" * 200, 3), frame(b"TPE1", b"\0A", 4), version=4),
            {"title": "x" * 200, "artist": "A"}, id="plain sizes in 2.4",
        ),
        pytest.param(
            id3(frame(b"COMM", b"\0eng\0" + b"y" * 5_000_000), frame(b"TIT2", b"\0T")),
            {"comment": "y" * (65_536 - 5), "title": "T"}, id="a comment of 5 MB",
        ),
        pytest.param(id3(frame(b"TCON", b"\0(17)")), {}, id="a genre by number is ffmpeg's to name"),
    ],
)  # fmt: skip
def test_id3(tmp_path: Path, tag: bytes, want: dict[str, TagValue]) -> None:
    assert tags_of(tmp_path / "a.mp3", "mp3", tag + b"\xff\xfb\x90\x64") == want


def test_of_three_tags_the_most_telling_wins(tmp_path: Path) -> None:
    ape = b"".join(
        struct.pack("<II", len(value), 0) + name + b"\0" + value
        for name, value in ((b"Artist", b"Alice\0Bob"), (b"Title", b"from APE"), (b"Year", b"1999"))
    )
    footer = struct.pack("<8sIIII8x", b"APETAGEX", 2000, len(ape) + 32, 3, 0)
    old = b"TAG" + b"Title 1".ljust(30) + "Björk".encode("latin-1").ljust(30, b"\0") + b"Homogenic".ljust(30, b"\0")
    content = id3(frame(b"TIT2", b"\0from ID3")) + bytes(500) + ape + footer + old + b"1997" + bytes(31)
    assert tags_of(tmp_path / "a.mp3", "mp3", content) == {
        "title": "from ID3",
        "artist": ("Alice", "Bob"),
        "date": "1999",
        "album": "Homogenic",
    }


def comments(*texts: bytes) -> bytes:
    body = struct.pack("<I", 1) + b"v" + struct.pack("<I", len(texts))
    return body + b"".join(struct.pack("<I", len(text)) + text for text in texts)


def flac_picture(kind: int, data: bytes, mime: bytes = b"image/gif") -> bytes:
    head = struct.pack(">II", kind, len(mime)) + mime + struct.pack(">I", 0) + bytes(16)
    return head + struct.pack(">I", len(data)) + data


def flac(*blocks: tuple[int, bytes]) -> bytes:
    last = len(blocks) - 1
    return b"fLaC" + b"".join(
        bytes([kind | (0x80 if number == last else 0)]) + len(body).to_bytes(3, "big") + body
        for number, (kind, body) in enumerate(blocks)
    )


def ogg(*packets: bytes) -> bytes:
    pages = b""
    for number, packet in enumerate(packets):
        for at in range(0, max(1, len(packet)), 255 * 200):
            part = packet[at : at + 255 * 200]
            lacing = [255] * (len(part) // 255) + ([len(part) % 255] if at + 255 * 200 > len(packet) else [])
            pages += b"OggS\0\0" + bytes(8) + b"abcd" + bytes([number, 0, 0, 0]) + bytes(4)
            pages += bytes([len(lacing), *lacing]) + part
    return pages


SEVERAL = (b"ARTIST=Alice", b"artist=Bob", b"GENRE=Jazz", "title=Élise".encode(), b"TRACKNUMBER=3", b"DESCRIPTION=D")
READ = {"artist": ("Alice", "Bob"), "genre": "Jazz", "title": "Élise", "track": "3", "comment": "D"}


def test_several_values_of_vorbis_comments(tmp_path: Path) -> None:
    flac_file = flac((0, bytes(34)), (4, comments(*SEVERAL)), (1, bytes(9)))
    assert tags_of(tmp_path / "a.flac", "flac", flac_file) == READ
    assert tags_of(tmp_path / "b.flac", "flac", id3(frame(b"TIT2", b"\0x")) + flac_file) == READ
    long = b"METADATA_BLOCK_PICTURE=" + base64.b64encode(flac_picture(3, JPEG + bytes(100_000)))
    for head, packet in ((b"\x01vorbis", b"\x03vorbis" + comments(*SEVERAL, long) + b"\x01"),
                         (b"OpusHead", b"OpusTags" + comments(*SEVERAL, long))):  # fmt: skip
        assert tags_of(tmp_path / "a.ogg", "ogg", ogg(head, packet, b"sound")) == READ
        assert [picture.data[:4] for picture in read(tmp_path / "a.ogg", "ogg")[1]] == [JPEG[:4]]


def test_the_front_cover_goes_before_others(tmp_path: Path) -> None:
    def picture(kind: int, data: bytes, encoding: int = 0, described: bytes = b"x\0") -> bytes:
        return frame(b"APIC", bytes([encoding]) + b"image/gif\0" + bytes([kind]) + described + data)

    wide = "\ufeffx\0".encode("utf-16-le")
    files = {
        "mp3": id3(picture(1, b"icon"), picture(4, PNG), picture(3, JPEG, 1, wide), picture(0, b"other")),
        "flac": flac((0, bytes(34)), (6, flac_picture(4, PNG)), (6, flac_picture(3, JPEG))),
    }
    for demuxer, content in files.items():
        (tmp_path / demuxer).write_bytes(content)
        assert [read(tmp_path / demuxer, demuxer)[1][0].data] == [JPEG]


def atom(name: bytes, *contents: bytes) -> bytes:
    body = b"".join(contents)
    return (len(body) + 8).to_bytes(4, "big") + name + body


def data(kind: int, value: bytes) -> bytes:
    return atom(b"data", kind.to_bytes(4, "big"), bytes(4), value)


def test_several_values_of_mp4(tmp_path: Path) -> None:
    listed = atom(
        b"ilst",
        atom(b"\xa9ART", data(1, b"Alice"), data(1, b"Bob")),
        atom(b"\xa9gen", data(1, b"Jazz")),
        atom(b"\xa9gen", data(1, b"Bebop")),
        atom(b"\xa9nam", data(2, "Élise".encode("utf-16-be"))),
        atom(b"covr", data(14, JPEG)),
    )
    moov = atom(b"moov", atom(b"udta", atom(b"meta", bytes(4), atom(b"hdlr", bytes(24)), listed)))
    large = b"\0\0\0\x01mdat" + (16 + 50).to_bytes(8, "big") + bytes(50)
    want = {"artist": ("Alice", "Bob"), "genre": ("Jazz", "Bebop"), "title": "Élise"}
    assert tags_of(tmp_path / "a.m4a", "mov", atom(b"ftyp", b"M4A ") + large + moov) == want
    assert [picture.data for picture in read(tmp_path / "a.m4a", "mov")[1]] == [JPEG]


def test_texts_of_wav_and_aiff(tmp_path: Path) -> None:
    def chunk(name: bytes, body: bytes, order: str = "<") -> bytes:
        return name + struct.pack(f"{order}I", len(body)) + body + bytes(len(body) % 2)

    info = b"INFO" + chunk(b"IART", "Björk\0".encode("latin-1")) + chunk(b"INAM", b"Joga\0")
    tag = chunk(b"id3 ", id3(frame(b"TIT2", b"\0Better")))
    wav = b"RIFF\0\0\0\0WAVE" + chunk(b"data", bytes(3)) + chunk(b"LIST", info) + tag
    assert tags_of(tmp_path / "a.wav", "wav", wav) == {"title": "Better", "artist": "Björk"}
    aiff = b"FORM\0\0\0\0AIFF" + chunk(b"NAME", "Jóga".encode("latin-1"), ">") + chunk(b"SSND", bytes(4), ">")
    assert tags_of(tmp_path / "a.aiff", "aiff", aiff) == {"title": "Jóga"}


def test_a_value_of_which_no_text_is_left_is_none(tmp_path: Path) -> None:
    content = flac((4, comments(b"TRACKNUMBER=\x9d", b"ARTIST=\x9d", b"ARTIST=Bob")))
    assert tags_of(tmp_path / "a.flac", "flac", content) == {"artist": "Bob"}


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_no_bytes_stop_the_readers(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    demuxer, start = data.draw(
        st.sampled_from(
            [
                ("mp3", id3(frame(b"TIT2", b"\x01x"), frame(b"APIC", b"\0image/png\0\x03x\0" + JPEG))),
                ("mp3", b"APETAGEX" + bytes(24)),
                ("flac", flac((4, comments(*SEVERAL)), (6, flac_picture(3, JPEG)))),
                ("ogg", ogg(b"OpusHead", b"OpusTags" + comments(*SEVERAL), b"x")),
                ("mov", atom(b"moov", atom(b"udta", atom(b"meta", bytes(4), atom(b"ilst"))))),
                ("wav", b"RIFF\0\0\0\0WAVELIST\0\0\0\0INFOIART\0\0\0\0"),
                ("aiff", b"FORM\0\0\0\0AIFFNAME\0\0\0\0"),
            ]
        )
    )
    content = bytearray(start)
    for _ in range(data.draw(st.integers(0, 8))):
        at = data.draw(st.integers(0, len(content) - 1))
        content[at] = data.draw(st.integers(0, 255))
    path = tmp_path_factory.getbasetemp() / "fuzzed"
    path.write_bytes(content + data.draw(st.binary(max_size=50)))
    for value in read(path, demuxer)[0].values():
        assert value


def test_what_is_found_is_bounded() -> None:
    found = Found()
    for number in range(10_000):
        found.add("artist", f"Artist {number}")
        found.add_picture(0, JPEG)
    found.add_picture(3, bytes(20 * 1024**2))
    found.add_picture(3, PNG)
    assert len(found.tags()["artist"]) == 100
    assert (len(found.pictures), found.pictures[0].data) == (4, PNG)
    assert read_id3(io.BytesIO(b"ID3\x04\0\0\x7f\x7f\x7f\x7f")) is None


def test_a_list_of_texts_that_is_shorter_than_its_name_holds_none(tmp_path: Path) -> None:
    wav = b"RIFF\0\0\0\0WAVELIST\x05\0\0\0INFOIART\0\0\0\0"
    assert tags_of(tmp_path / "a.wav", "wav", wav) == {}
