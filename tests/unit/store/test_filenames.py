"""Titles of strangers become file names: plain, short, and never a way out of the library (rows B10 and B11)."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from audiojob_store.filenames import MAX_NUMBER, MAX_PART_BYTES, Naming, clean, clean_extension, naming, place
from audiojob_types.destination import Layout

B10_UNREADABLE = {
    "a title of 100 kB": ("a" * 100_000, "a" * MAX_PART_BYTES),
    "a bidi override that hides an ending": ("song\u202egpj.exe", "songgpj.exe"),
    "isolates and marks of direction": ("\u2066a\u2069\u200e\u061cb", "ab"),
    "a zero byte": ("so\x00ng", "song"),
    "a lone surrogate": ("so\ud800ng", "song"),
    "a family of emoji, joined by zero-width joiners": ("👨\u200d👩\u200d👧", "👨👩👧"),
    "zero-width spaces and a byte order mark": ("\ufeffso\u200bng", "song"),
    "tags that nobody sees": ("song\U000e0041\U000e007f", "song"),
    "a letter with its accent apart": ("e\u0301", "é"),
    "a letter with a joiner before its accent": ("e\u200d\u0301", "é"),
    "private and unassigned characters": ("a\ue000b\U000e0fffc", "abc"),
    "line and paragraph separators": ("a\u2028b\u2029c", "a b c"),
    "nothing that can be seen": ("\u200b\u202e\x07", "untitled"),
    "nothing at all": ("", "untitled"),
}
B11_PATHS = {
    "a way up": ("../../etc/passwd", "etc-passwd"),
    "the folder above": ("..", "untitled"),
    "an absolute path": ("/etc/passwd", "etc-passwd"),
    "a device of Windows behind a drive": (r"C:\con", "C--con"),
    "a device of Windows": ("con", "_con"),
    "a device of Windows with an ending": ("NUL.tar.gz", "_NUL.tar.gz"),
    "a device of Windows with a raised number": ("COM¹", "_COM¹"),
    "an option": ("-rf", "rf"),
    "an option behind a dot": (".-rf", "rf"),
    "a command in a shell": ("$(id)", "$(id)"),
    "a field of yt-dlp": ("%(id)s", "%(id)s"),
    "a field of ours": ("{artist}/{job}", "{artist}-{job}"),
    "a line break": ("a\nb", "a b"),
    "a hidden file": (".htaccess", "htaccess"),
    "dots and spaces at the end, which Windows drops": ("song. . ", "song"),
    "what Windows reserves": ('a<b>c:d"e|f?g*h', "a-b-c-d-e-f-g-h"),
    "another stream of a file": ("song.mp3:Zone.Identifier", "song.mp3-Zone.Identifier"),
}


@pytest.mark.parametrize(("title", "expected"), B10_UNREADABLE.values(), ids=B10_UNREADABLE.keys())
def test_B10_a_title_that_cannot_be_read_becomes_one_that_can(title: str, expected: str) -> None:  # noqa: N802
    assert clean(title) == expected


@pytest.mark.parametrize(("title", "expected"), B11_PATHS.values(), ids=B11_PATHS.keys())
def test_B11_a_title_that_is_a_path_or_a_command_becomes_plain_text(title: str, expected: str) -> None:  # noqa: N802
    assert clean(title) == expected
    assert place(Layout.TITLE, Naming(title=title, job="j", ext="mp3")) == f"{expected}.mp3"


LAYOUTS = {
    Layout.TITLE: "Blue (vocals).flac",
    Layout.ARTIST: "AC-DC/Blue (vocals).flac",
    Layout.ARTIST_ALBUM: "AC-DC/Unknown album/Blue (vocals).flac",
    Layout.DATE: "2026-01-02/Blue (vocals).flac",
    Layout.JOB: "my-job/Blue (vocals).flac",
}


@pytest.mark.parametrize("layout", Layout)
def test_each_layout_has_its_folders(layout: Layout) -> None:
    song = Naming(title="Blue", artist="AC/DC", date="2026-01-02", job="my-job", stem="vocals", ext="FLAC")
    assert place(layout, song) == LAYOUTS[layout]


def test_a_name_that_is_taken_gets_a_number_and_keeps_its_ending() -> None:
    song = Naming(title="a" * 500, job="j", stem="vocals", ext="flac")
    taken = place(Layout.TITLE, song, 12)
    assert taken.endswith("a (vocals) (12).flac")
    assert len(taken.encode()) <= MAX_PART_BYTES
    with pytest.raises(ValueError, match="number must be"):
        place(Layout.TITLE, song, MAX_NUMBER + 1)


def test_a_title_is_cut_between_characters_and_never_between_a_letter_and_its_accent() -> None:
    assert clean("ö" * 100) == "ö" * 60
    # A q with a dot below has no form of its own; 119 bytes before it leave room for the q alone.
    assert clean("a" * 119 + "q\u0323" + "b" * 50) == "a" * 119


EXTENSIONS = {
    ".FLAC": "flac",
    "mp3": "mp3",
    "": "bin",
    "../x": "bin",
    "e x e": "bin",
    "a" * 11: "bin",
    "m4\u202ea": "bin",
}


@pytest.mark.parametrize(("given", "expected"), EXTENSIONS.items())
def test_an_ending_is_short_and_plain(given: str, expected: str) -> None:
    assert clean_extension(given) == expected


METADATA = {
    "a page's words": (
        {"title": "Blue", "uploader": "A Band", "uploadDate": "2026-01-02"},
        Naming(title="Blue", artist="A Band", date="2026-01-02", job="j", stem="vocals", ext="flac"),
    ),
    "tags before the uploader": (
        {"title": "Blue", "artist": ["A", "B"], "uploader": "x", "album": "Sky", "date": 1999},
        Naming(title="Blue", artist="A, B", album="Sky", date="1999", job="j", stem="vocals", ext="flac"),
    ),
    "nothing of use": (
        {"title": " ", "artist": None, "album": {"a": 1}, "date": True},
        Naming(title="j", job="j", stem="vocals", ext="flac"),
    ),
}


@pytest.mark.parametrize(("metadata", "expected"), METADATA.values(), ids=METADATA.keys())
def test_names_come_from_metadata_whatever_they_hold(metadata: dict[str, object], expected: Naming) -> None:
    assert naming(metadata, job="j", output="vocals", extension="flac") == expected
    assert naming(metadata, job="j", output="source", extension="flac").stem == ""


@given(st.text(max_size=400), st.text(max_size=80), st.sampled_from(Layout), st.integers(1, MAX_NUMBER))
@example("a" * 121, "\u0338" * 60, Layout.ARTIST, 2)
@example("<\u0338", "con", Layout.ARTIST_ALBUM, 1)
def test_whatever_the_text_a_place_is_harmless(title: str, other: str, layout: Layout, number: int) -> None:
    song = Naming(title=title, artist=other, album=other, date=other, job=other, stem=other, ext=other)
    path = place(layout, song, number)

    assert path.count("/") == LAYOUTS[layout].count("/")
    for part in path.split("/"):
        assert 0 < len(part.encode()) <= MAX_PART_BYTES
        assert part[0] not in " .-"
        assert part[-1] not in " ."
        assert not set(part) & set('<>:"\\|?*')
        assert unicodedata.is_normalized("NFC", part)
        assert all(unicodedata.category(character) not in ("Cc", "Cf", "Cs", "Co", "Cn", "Zl") for character in part)
        assert part.partition(".")[0].rstrip().lower() not in ("con", "nul", "aux", "prn", "com1")


@given(st.text(max_size=300))
def test_cleaning_twice_changes_nothing(text: str) -> None:
    once = clean(text)
    assert clean(once) == once
