"""What came: media by its contents, or what an error page says."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audiojob_runner.errors import PhaseError
from audiojob_runner.fetch.common import MEDIA_TYPES
from audiojob_runner.fetch.kinds import as_text, check_no_page, first_words, media_kind
from audiojob_runner.media.ffmpeg import DEMUXERS
from audiojob_runner.media.streams import MediaFile, PictureStream, SoundStream

MP4, QUICKTIME = b"\0\0\0\x1cftypisom", b"\0\0\0\x14ftypqt  "
WEBM, MKV = b"\x1aE\xdf\xa3\x9fB\x82\x84webm", b"\x1aE\xdf\xa3\xa3B\x82\x88matroska"


def file(demuxer: str, codec: str = "aac", *, film: bool = False, cover: bool = False) -> MediaFile:
    picture = PictureStream(1, "h264", 16, 16, 25.0, 1.0)
    return MediaFile(
        demuxer, 1.0, (SoundStream(0, codec, 44_100, 2, 1.0),), (picture,) if film else (), (picture,) if cover else ()
    )


@pytest.mark.parametrize(
    ("found", "head", "called", "want"),
    [
        (file("mov"), MP4, "mp3", ("m4a", "audio/mp4")),
        (file("mov", cover=True), MP4, "m4b", ("m4b", "audio/mp4")),
        (file("mov", film=True), MP4, "m4a", ("mp4", "video/mp4")),
        (file("mov", film=True), MP4, "m4v", ("m4v", "video/mp4")),
        (file("mov", film=True), QUICKTIME, None, ("mov", "video/quicktime")),
        (file("matroska", "opus"), WEBM, "mp3", ("weba", "audio/webm")),
        (file("matroska", "opus", film=True), WEBM, "mkv", ("webm", "video/webm")),
        (file("matroska", "opus"), MKV, None, ("mka", "audio/x-matroska")),
        (file("matroska", film=True), MKV, "webm", ("mkv", "video/x-matroska")),
        (file("ogg", "opus"), b"OggS", "ogg", ("opus", "audio/ogg")),
        (file("ogg", "vorbis"), b"OggS", "oga", ("oga", "audio/ogg")),
        (file("ogg", "vorbis", film=True), b"OggS", "ogg", ("ogv", "video/ogg")),
        (file("mp3", "mp3"), b"ID3", "wav", ("mp3", "audio/mpeg")),
        (file("mp3", "mp3"), b"ID3", "mpga", ("mpga", "audio/mpeg")),
        (file("aac"), b"\xff\xf1", "mp3", ("aac", "audio/aac")),
    ],
)
def test_contents_decide_what_a_file_is(
    found: MediaFile, head: bytes, called: str | None, want: tuple[str, str]
) -> None:
    assert media_kind(found, head, called) == want


@pytest.mark.parametrize("demuxer", DEMUXERS)
def test_every_container_that_we_read_has_a_name(demuxer: str) -> None:
    assert media_kind(file(demuxer), b"", None)[0] in MEDIA_TYPES


@pytest.mark.parametrize(
    ("content", "said"),
    [
        pytest.param(b"error code: 1020", 'It says: "error code: 1020".', id="a firewall's line"),
        pytest.param(
            b"<!DOCTYPE html><html><head><title>404 Not\n Found</title><style>x{}</style></head><body>no</body></html>",
            'It says: "404 Not Found".',
            id="a page's title",
        ),
        pytest.param(
            b"\n<html><script>var a='<b>';</script><body><h1>Sorry</h1><p>Gone&nbsp;&amp; away",
            '"Sorry Gone & away"',
            id="a page without a title, cut off",
        ),
        pytest.param(b'{"error": {"code": 403, "message": "Expired"}}', '"code": 403', id="JSON"),
        pytest.param(
            b"<?xml version='1.0'?><Error><Code>AccessDenied</Code><Message>Expired</Message></Error>",
            '"AccessDenied Expired"',
            id="XML of a store",
        ),
        pytest.param(b"", "0 bytes", id="nothing"),
        pytest.param(b"\xff\xfe" + "Fehler".encode("utf-16-le"), '"Fehler"', id="UTF-16"),
        pytest.param("<html>Für später".encode("latin-1"), "Für später", id="Latin-1"),
        pytest.param(("ü" * 3_000).encode(), "üü", id="a text that is cut within a letter"),
        pytest.param(b"#EXTM3U\nhttp://a.example/x?token=abc\n", "http://a.example/…", id="a playlist"),
        pytest.param(b"\n \t\n", "is text, not audio or video.", id="blank"),
        pytest.param(b"%PDF-1.4\n%\xe2\xe3", "a PDF document", id="a document"),
        pytest.param(b"PK\x03\x04\x14\0", "a ZIP archive", id="an archive"),
        pytest.param(b"\x89PNG\r\n\x1a\n\0\0", "a picture", id="a picture"),
    ],
)
def test_error_pages_are_told_by_their_first_words(tmp_path: Path, content: bytes, said: str) -> None:
    (tmp_path / "source.mp3").write_bytes(content)
    with pytest.raises(PhaseError) as caught:
        check_no_page(tmp_path / "source.mp3")
    assert (caught.value.exit_code, caught.value.reason) == (65, "NotMedia")
    assert said in caught.value.message


@pytest.mark.parametrize(
    "content", [bytes(range(256)), b"ID3\x03\0\0\0\0\0\x10TIT2", b"\xff\xfb\x90\x64\0\0", b"RIFF\x24\0\0\0AVI LIST"]
)
def test_what_is_no_text_is_left_to_others(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "source.mp3").write_bytes(content)
    check_no_page(tmp_path / "source.mp3")


def test_words_are_clean_short_and_without_secrets() -> None:
    text = (
        "See https://user:secret@site.example/a?token=secret&x=1 with key AKIA1234567890SECRETX and\x1b[31m \u202ered "
        + "word " * 100
    )
    said = first_words(text)
    assert said.startswith("See https://site.example/… with key … and[31m red word word")
    assert "secret" not in said.lower()
    assert len(said) <= 125


@given(st.binary(max_size=300))
def test_no_bytes_stop_it(content: bytes) -> None:
    text = as_text(content)
    if text is not None:
        assert "\x00" not in first_words(text)
