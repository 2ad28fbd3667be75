"""Text of other encodings: what it is most likely, and never a replacement character."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audiojob_runner.media.tags.text import cut, decode, decode_all, decode_utf16, repair


@pytest.mark.parametrize(
    ("text", "codec"),
    [
        *((text, "cp1252") for text in (
            "Für Élise", "Björk", "Sigur Rós – Ágætis byrjun", "“Heroes”", "Don’t Look Back in Anger", "Motörhead",
            "être ou ne pas être", "À la claire fontaine", "naïveté", "Ça ira", "Übermäßig", "São João", "Mañana ¿qué?",
            "Øystein Åsen", "Ænima", "50 € – voilà…", "Ëë", "ÄÖÜ", "l’été où j’ai été", "Pärt: Für Alina",
        )),
        *((text, "cp1251") for text in (
            "Кино – Группа крови", "Ария", "ДДТ, Это всё", "АЛИСА", "Ёлка", "Наутилус Помпилиус", "Земфира (live 2000)",
            "Океан Ельзи – Обійми",
        )),
        *((text, "koi8-r") for text in ("Машина времени", "Группа крови на рукаве")),
        *((text, "cp1253") for text in ("Μίκης Θεοδωράκης", "Ζορμπάς")),
        *((text, "cp932") for text in (
            "久石譲・千と千尋の神隠し", "宇多田ヒカル", "First Love 宇多田", "椎名林檎", "さくら",
            "ドラゴンボールZ", "紅白歌合戦 2001",
        )),
    ],
)  # fmt: skip
def test_the_usual_encodings_are_told_apart(text: str, codec: str) -> None:
    assert decode(text.encode(codec)) == text
    assert decode(text.encode("utf-8")) == text


def test_one_text_helps_another() -> None:
    assert decode_all(["Группа крови".encode("cp1251"), "Я".encode("cp1251"), b"1988"]) == ["Группа крови", "Я", "1988"]


@pytest.mark.parametrize(
    "text", ["Björk", "Für Élise", "Кино", "宇多田ヒカル", "さくら", "Ария", "Ζορμπάς", "한국어", "👍 ok"]
)
@pytest.mark.parametrize("order", ["le", "be"])
@pytest.mark.parametrize("mark", [True, False], ids=["with a mark", "without"])
def test_utf_16_needs_no_mark(text: str, order: str, mark: bool) -> None:
    raw = ("\ufeff" * mark + text).encode(f"utf-16-{order}")
    assert decode_utf16(raw) == text
    assert decode_utf16(raw + b"\0") == text, "half a character more"


@given(st.binary(max_size=200))
def test_no_bytes_become_replacement_characters(raw: bytes) -> None:
    for text in (decode(raw), repair(raw.decode("utf-8", "surrogateescape")), decode_utf16(raw)):
        assert "\ufffd" not in text or "\ufffd".encode() in raw or b"\xff\xfd" in raw or b"\xfd\xff" in raw
        text.encode("utf-8")


@given(st.text(max_size=100), st.integers(1, 40))
def test_a_text_is_not_cut_within_a_character(text: str, limit: int) -> None:
    raw = text.encode("utf-8", "ignore")
    assert text.encode("utf-8", "ignore").decode().startswith(cut(raw, limit).decode("utf-8"))
