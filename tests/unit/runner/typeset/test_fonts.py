from __future__ import annotations

from pathlib import Path

import pytest
from tests.unit.runner.typeset.fontfiles import write_font

from audiojob_runner.errors import PhaseError
from audiojob_runner.typeset.ass import tagged
from audiojob_runner.typeset.faces import ENVIRONMENT, fonts_folder
from audiojob_runner.typeset.fontconfig import write_fontconfig
from audiojob_runner.typeset.fonts import Fonts
from audiojob_runner.typeset.missing import check_shown
from audiojob_types.reasons import Reason

LATIN = "abcdefghi 123.,"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Latin in bold and regular, Hebrew, Devanagari, one for all else, and a file that is none."""
    root = tmp_path / "fonts"
    (root / "deep").mkdir(parents=True)
    write_font(root / "NotoSans-Bold.ttf", "Noto Sans", LATIN)
    write_font(root / "NotoSans-Regular.ttf", "Noto Sans Regular", LATIN + "☃")
    write_font(root / "deep" / "NotoSansHebrew-Regular.ttf", "Noto Sans Hebrew", "שלום")
    write_font(root / "NotoSansDevanagari-Bold.ttf", "Noto Sans Devanagari", "नमसत्े", 1_600)
    write_font(root / "Zebra.ttf", "Zebra", "ⵣ")
    write_font(root / "Emoji.ttf", "Some Emoji", "🐉")
    (root / "Broken.ttf").write_bytes(b"no font at all")
    return root


def runs(folder: Path, text: str) -> list[tuple[str, str]]:
    return [(run.text, run.face.family) for run in Fonts(folder).runs(text)]


@pytest.mark.parametrize(
    ("text", "want"),
    [
        pytest.param("abc", [("abc", "Noto Sans")], id="bold before regular"),
        pytest.param("a שלום", [("a ", "Noto Sans"), ("שלום", "Noto Sans Hebrew")], id="a run for each script"),
        pytest.param("שלום, a", [("שלום", "Noto Sans Hebrew"), (", a", "Noto Sans")], id="what its font lacks"),
        pytest.param("नमस्ते", [("नमस्ते", "Noto Sans Devanagari")], id="marks stay with their letters"),
        pytest.param("ⵣ", [("ⵣ", "Zebra")], id="any other font that has it"),
        pytest.param("a☃", [("a", "Noto Sans"), ("☃", "Noto Sans Regular")], id="a sign"),
        pytest.param("a🐉世b", [("ab", "Noto Sans")], id="what no font has, and no font of pictures"),
    ],
)
def test_each_piece_of_a_text_gets_one_font(folder: Path, text: str, want: list[tuple[str, str]]) -> None:
    assert runs(folder, text) == want


def test_a_text_is_as_wide_as_its_letters_without_marks(folder: Path) -> None:
    assert Fonts(folder).width("ab") == 1.0
    assert Fonts(folder).width("ते") == 0.5


def test_letters_of_all_fonts_come_out_at_one_size(folder: Path) -> None:
    assert tagged(Fonts(folder).runs("aन"), 10) == r"{\fnNoto Sans\fs12.0}a{\fnNoto Sans Devanagari\fs16.0}न"


def test_nothing_in_a_text_is_taken_for_a_tag(tmp_path: Path) -> None:
    write_font(tmp_path / "NotoSans-Bold.ttf", "Noto Sans", "{}\\Nb1")
    assert tagged(Fonts(tmp_path).runs("{\\b1}\\N"), 10) == r"{\fnNoto Sans\fs12.0}｛⧵b1｝⧵N"


@pytest.mark.parametrize(
    ("language", "country"),
    [("ja", "JP"), ("ko", "KR"), ("zh", "SC"), ("zh-TW", "TC"),
     ("zh-Hant", "TC"), ("zh-Hant-HK", "TC"), ("zh-HK", "HK"), (None, "SC"), ("de", "SC")],
)  # fmt: skip
def test_han_letters_look_as_in_the_country_of_the_language(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, language: str | None, country: str
) -> None:
    asked: list[str] = []
    (tmp_path / "NotoSansCJK-Bold.ttc").touch()
    monkeypatch.setattr("audiojob_runner.typeset.fonts.read_face", lambda _path, family: asked.append(family))
    Fonts(tmp_path, language).runs("世")
    assert asked == [f"Noto Sans CJK {country}"]


def test_a_few_signs_that_no_font_has_are_one_warning(folder: Path) -> None:
    assert check_shown(["abcdefghi abc☀", "abc 世"], Fonts(folder)) == [
        "Left out, because no font here has them: ☀ (U+2600) 世 (U+4E16)."
    ]
    assert check_shown(["abc", ""], Fonts(folder)) == []


def test_a_script_without_a_font_is_named(folder: Path) -> None:
    with pytest.raises(PhaseError, match=r"no font here has letters of its script \(Thai\)") as caught:
        check_shown(["abc", "สวัสดี"], Fonts(folder))
    assert caught.value.reason is Reason.INVALID_SPEC


def test_no_fonts_at_all(tmp_path: Path) -> None:
    with pytest.raises(PhaseError, match=r"\(Latin\)"):
        check_shown(["abc"], Fonts(tmp_path))


def test_the_player_knows_the_fonts_of_the_text_alone(folder: Path, tmp_path: Path) -> None:
    fonts = Fonts(folder)
    fonts.runs("a שלום")
    variables = write_fontconfig(fonts.used.values(), tmp_path / "a & b")
    assert variables == {"FONTCONFIG_FILE": str(tmp_path / "a & b" / "fonts.conf")}
    assert "a &amp; b/fonts</dir>" in Path(variables["FONTCONFIG_FILE"]).read_text()
    linked = sorted((tmp_path / "a & b" / "fonts").iterdir())
    assert [path.resolve().name for path in linked] == ["NotoSans-Bold.ttf", "NotoSansHebrew-Regular.ttf"]


def test_the_folder_is_the_images_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(ENVIRONMENT, raising=False)
    assert fonts_folder() == Path("/usr/share/fonts")
    monkeypatch.setenv(ENVIRONMENT, "/opt/fonts")
    assert fonts_folder() == Path("/opt/fonts")
