"""Chooses a font for each piece of a text, so that nobody else chooses: one name for each run of a script."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from audiojob_runner.lyrics.scripts import script_of
from audiojob_runner.typeset.clusters import JOINERS, clusters
from audiojob_runner.typeset.faces import Face, font_files, fonts_folder, read_face, read_faces
from audiojob_runner.typeset.joined import joined

# Noto's names of scripts, where they are not our own.
_NOTO: Final = {
    **dict.fromkeys(("Latin", "Cyrillic", "Greek"), ""), "Odia": "Oriya", "Burmese": "Myanmar",
    **{each: each for each in (
        "Hebrew", "Arabic", "Devanagari", "Bengali", "Gurmukhi", "Gujarati", "Tamil", "Telugu", "Kannada", "Malayalam",
        "Sinhala", "Thai", "Lao", "Georgian", "Armenian", "Ethiopic", "Khmer",
    )},
}  # fmt: skip
_EAST_ASIAN: Final = frozenset({"Han", "Kana", "Hangul"})
# Han letters look different in each country.
_COUNTRIES: Final = {"ja": "JP", "ko": "KR", "zh-tw": "TC", "zh-hk": "HK", "zh-mo": "HK", "zh-hant": "TC", "yue": "HK"}
_SYMBOLS: Final = ("NotoSansSymbols-Bold.ttf", "NotoSansSymbols2-Regular.ttf", "NotoSansMath-Regular.ttf")
_USUAL: Final = "Latin"
# Of a script that has no font of ours, any other will do that has its letters, but for those that look odd.
_ODD: Final = ("emoji", "italic", "oblique", "mono", "condensed", "serif", "light", "thin", "black")
# Latin letters at this size fill as much of a row as these do.
_SCALES: Final = {"Arabic": 1.1}


@dataclass(frozen=True, slots=True)
class Run:
    """Text in one font; ``scale`` makes it as large as what is around it looks."""

    text: str
    face: Face
    scale: float = 1.0

    @property
    def width(self) -> float:
        """In ems, as nearly as letters tell that are measured one by one."""
        advances = self.face.advances
        shown = joined(self.text) if any(script_of(each) == "Arabic" for each in self.text) else self.text
        letters = (each for each in shown if unicodedata.category(each) not in ("Mn", "Cf"))
        return self.scale * sum(advances.get(each, 0.5) for each in letters)


class Fonts:
    """The fonts of a folder, each opened when a text first needs it. ``language`` tells how Han letters look."""

    def __init__(self, folder: Path | None = None, language: str | None = None) -> None:
        self._files = font_files(folder or fonts_folder())
        self._country = _country(language or "")
        self._of_script = dict[str, tuple[Face, ...]]()
        self._chosen = dict[str, Face | None]()
        self._east_asian = dict[str, tuple[Face, ...]]()
        self._others: list[Face] | None = None
        self._unread: Iterator[Path] = iter(())
        self.used = dict[str, Face]()

    def runs(self, text: str) -> list[Run]:
        """The text by fonts; what no font has is left out."""
        found = list[tuple[str, Face, float]]()
        for cluster, script, face in self._faces(text):
            if face is None:
                continue
            scale = _SCALES.get(script, 1.0)
            if found and found[-1][1:] == (face, scale):
                found[-1] = (found[-1][0] + cluster, face, scale)
            else:
                found.append((cluster, face, scale))
            self.used[face.family] = face
        return [Run(*each) for each in found]

    def width(self, text: str) -> float:
        """How wide the text is, in ems."""
        return sum(run.width for run in self.runs(text))

    def lacks(self, text: str) -> list[str]:
        """What of the text no font has."""
        return [cluster for cluster, _, face in self._faces(text) if face is None]

    def _faces(self, text: str) -> Iterator[tuple[str, str, Face | None]]:
        """Each letter with its script, that of the letters around it where it has none, and its font."""
        script = next(filter(None, map(script_of, text)), _USUAL)
        for cluster in clusters(text):
            script = script_of(cluster[0]) or script
            yield cluster, script, self._face(cluster, script)

    def _face(self, cluster: str, script: str) -> Face | None:
        key = f"{script} {cluster}"
        if key not in self._chosen:
            seen = "".join(each for each in cluster if each not in JOINERS)
            self._chosen[key] = next((face for face in self._candidates(script) if face.covers(seen)), None)
        return self._chosen[key]

    def _candidates(self, script: str) -> Iterator[Face]:
        yield from self._own(script)
        if script != _USUAL:
            yield from self._own(_USUAL)
        yield from tuple(self.used.values())
        yield from self._any()

    def _own(self, script: str) -> tuple[Face, ...]:
        if script not in self._of_script:
            self._of_script[script] = tuple(self._read(script))
        return self._of_script[script]

    def _read(self, script: str) -> Iterator[Face]:
        """The first of its fonts that is there."""
        for weight in ("Bold", "Regular"):
            if script in _EAST_ASIAN:
                path, family = self._files.get(f"NotoSansCJK-{weight}.ttc"), f"Noto Sans CJK {self._choose(script)}"
                # One for all three: it is large.
                if path is not None and family not in self._east_asian:
                    self._east_asian[family] = tuple(filter(None, [read_face(path, family)]))
                faces: Iterable[Face] = self._east_asian.get(family, ())
            elif script in _NOTO:
                path = self._files.get(f"NotoSans{_NOTO[script]}-{weight}.ttf")
                faces = read_faces(path) if path is not None else ()
            else:
                faces = ()
            for face in faces:
                yield face
                return

    def _choose(self, script: str) -> str:
        """The country whose letters are used, of a text that is not told to be of one."""
        return self._country or {"Kana": "JP", "Hangul": "KR"}.get(script, "SC")

    def _any(self) -> Iterator[Face]:
        """All other fonts, read as far as they are asked for."""
        if self._others is None:
            self._others = []
            symbols = [self._files[name] for name in _SYMBOLS if name in self._files]
            plain = [path for name, path in self._files.items() if not any(odd in name.lower() for odd in _ODD)]
            odd = [path for name, path in self._files.items() if path not in plain and "emoji" not in name.lower()]
            self._unread = iter(dict.fromkeys((*symbols, *plain, *odd)))
        number = 0
        while True:
            while number < len(self._others):
                yield self._others[number]
                number += 1
            path = next(self._unread, None)
            if path is None:
                return
            self._others += read_faces(path)


def _country(language: str) -> str:
    """By language and script or country; empty where neither tells it."""
    parts = language.lower().split("-")
    for key in ("-".join(parts[:2]), parts[0]):
        if key in _COUNTRIES:
            return _COUNTRIES[key]
    return "SC" if parts[0] == "zh" else ""
