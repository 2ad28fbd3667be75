"""How words sound in espeak-ng's voice: a program beside ours, GPL, that reads words from a file."""

from __future__ import annotations

import re
import threading
import unicodedata
from collections import Counter, OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import soundfile

from audiojob_runner.alignment.features import Frames, Samples, frames_of
from audiojob_runner.lyrics.scripts import language_of, scripts_of
from audiojob_runner.media.ffmpeg import run_tool

PROGRAM: Final = "espeak-ng"
# Words that a language of ours has another name for, or of which one voice is understood best.
_NAMED: Final = {"en": "en-us", "no": "nb", "nn": "nb", "zh": "cmn", "pt-BR": "pt-br", "tl": "id", "mo": "ro"}
# Letters of several languages, of which nobody says which it is.
_GUESSED: Final = {"Latin": "en", "Cyrillic": "ru", "Arabic": "ar", "Devanagari": "hi", "Han": "cmn", "Ethiopic": "am"}
# The second column, and what stands in brackets at the end: " 5  fr-fr  --/M  French_(France)  roa/fr  (fr 5)".
_LANGUAGES: Final = re.compile(r"^\s*\d+\s+(\S+)\s|\((\S+) \d+\)", re.MULTILINE)
_WORDS_PER_MINUTE: Final = "175"
_SECONDS: Final = 60
_ADDRESS_SPACE_BYTES: Final = 1024**3
_MAX_ANSWER_BYTES: Final = 1024**2
# What is spoken in one run; it takes 0.1 s or so.
_BATCH_WORDS, _BATCH_CHARACTERS, _WORD_CHARACTERS = 50, 2_000, 100
# Between paragraphs espeak-ng is silent for half a second, within words for less than 0.15 s.
_PAUSE_SECONDS: Final = 0.3
_SILENT: Final = 2 / 32_768
_KEPT: Final = frozenset({"L", "M", "N"})  # letters, marks, digits
_KEPT_WORDS: Final = 2_000


@dataclass(slots=True)
class Speaker:
    """Says words in one voice, and remembers the last."""

    voice: str
    folder: Path
    cancelled: threading.Event
    _known: OrderedDict[str, Frames]

    def say(self, words: Sequence[str]) -> list[Frames]:
        """What each word sounds like; no frames for what cannot be said. Raises :class:`FfmpegError`."""
        texts = [speakable(word) for word in words]
        for batch in batches([text for text in dict.fromkeys(texts) if text and text not in self._known]):
            self._learn(batch)
        found = [self._known.get(text, _NOTHING) for text in texts]
        while len(self._known) > _KEPT_WORDS:
            self._known.popitem(last=False)
        return found

    def _learn(self, texts: Sequence[str]) -> None:
        sounds = self._speak(texts)
        if len(sounds) == len(texts):
            self._known.update(zip(texts, sounds, strict=True))
        elif len(texts) > 1:  # one of them was silent, or has a pause within: who, is found by halves
            middle = len(texts) // 2
            self._learn(texts[:middle])
            self._learn(texts[middle:])
        else:
            self._known[texts[0]] = np.concatenate(sounds) if sounds else _NOTHING

    def _speak(self, texts: Sequence[str]) -> list[Frames]:
        """The sounds that have silence around them."""
        text, sound = self.folder / "words.txt", self.folder / "words.wav"
        text.write_text("".join(f"{each}\n\n" for each in texts), encoding="utf-8")
        command = [PROGRAM, "-v", self.voice, "-s", _WORDS_PER_MINUTE, "-b", "1", "-f", str(text), "-w", str(sound)]
        _run(command, self.cancelled)
        samples, rate = soundfile.read(sound, dtype="float32")
        text.unlink()
        sound.unlink()
        return [frames_of(each, rate) for each in parts(samples, rate)]


_NOTHING: Final[Frames] = frames_of(np.zeros(0, dtype=np.float32), 16_000)


def speaker(language: str | None, letters: str, folder: Path, cancelled: threading.Event) -> Speaker | None:
    """Who speaks the language, or where nobody says which it is, one that is written in these letters.

    None where espeak-ng has no such voice. Raises :class:`FfmpegError`.
    """
    name = voice_of(language, scripts_of(letters))
    if name is None or name not in _voices(cancelled):
        return None
    return Speaker(name, folder, cancelled, OrderedDict())


def voice_of(language: str | None, scripts: Counter[str]) -> str | None:
    """espeak-ng's name of the voice for a language, or for letters of no known language."""
    found = language or language_of(scripts)
    if found is None:
        script = max(scripts, key=lambda each: scripts[each], default="")
        found = _GUESSED.get(script)
    if found is None:
        return None
    return _NAMED.get(found) or _NAMED.get(found.partition("-")[0]) or found.partition("-")[0]


def speakable(word: str) -> str:
    """Letters, digits, apostrophes and hyphens within: nothing that espeak-ng takes for an instruction."""
    kept = (sign if unicodedata.category(sign)[0] in _KEPT or sign in "'’-" else " " for sign in word)
    return " ".join("".join(kept).replace("’", "'").strip("'- ").split())[:_WORD_CHARACTERS].lower()


def batches(texts: Sequence[str]) -> Iterator[list[str]]:
    """The texts in groups that are spoken in one run."""
    batch, characters = list[str](), 0
    for text in texts:
        if batch and (len(batch) >= _BATCH_WORDS or characters + len(text) > _BATCH_CHARACTERS):
            yield batch
            batch, characters = [], 0
        batch.append(text)
        characters += len(text)
    if batch:
        yield batch


def parts(samples: Samples, rate: int) -> list[Samples]:
    """The sounds that silence parts."""
    loud = np.flatnonzero(np.abs(samples) > _SILENT)
    if not len(loud):
        return []
    gaps = np.flatnonzero(np.diff(loud) > _PAUSE_SECONDS * rate)
    starts, ends = [loud[0], *loud[gaps + 1]], [*loud[gaps], loud[-1]]
    return [samples[start : end + 1] for start, end in zip(starts, ends, strict=True)]


def _voices(cancelled: threading.Event) -> frozenset[str]:
    """Names of all voices."""
    answer = bytearray()

    def keep(data: bytes) -> bool:
        if len(answer) < _MAX_ANSWER_BYTES:
            answer.extend(data)
        return True

    run_tool([PROGRAM, "--voices"], keep, cancelled, _SECONDS, _ADDRESS_SPACE_BYTES)
    return frozenset(first or other for first, other in _LANGUAGES.findall(answer.decode(errors="replace")))


def _run(command: Sequence[str], cancelled: threading.Event) -> None:
    run_tool(command, lambda _: True, cancelled, _SECONDS, _ADDRESS_SPACE_BYTES)
