"""Frames of Render in many scripts on one sheet: ``python bench/karaoke/contact_sheet.py SHEET.png``.

For the eye: no test knows whether letters are joined as a reader of the script expects.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, Final

# A line of each script, the second of its words half sung: Hebrew and Arabic change by whole words. Sentences are ours.
SONGS: Final = (
    ("en", "Latin", "Dragons fly àéîõü ßøłğ far away"),
    ("ru", "Cyrillic", "Драконы летят далеко за горы"),
    ("el", "Greek", "Οι δράκοι πετούν μακριά ψηλά"),
    ("he", "Hebrew", "דרקונים עפים רחוק מעל ההרים"),
    ("ar", "Arabic", "التنانين تطير بعيدا فوق الجبال"),
    ("hi", "Hindi", "ड्रैगन उड़ते हैं पहाड़ों के ऊपर"),
    ("th", "Thai", "มังกรบิน ข้ามภูเขา ไปไกล ลิบลับ"),
    ("zh", "Chinese", "龙飞过 高山 和大海 直到远方"),
    ("ja", "Japanese", "竜は 山を越えて 遠くへ 飛んでいく"),
    ("ko", "Korean", "용들이 산을 넘어 멀리 날아간다"),
    ("en", "Duet", "She sings here and he there"),
    ("en", "Mixed", "שלום hello नमस्ते 世界 привет"),
)
COLUMNS: Final = 3
WORD_MILLISECONDS: Final = 1_000
BEGIN: Final = 4_000
CROP: Final = "crop=640:230:0:65"


def main() -> None:
    """Render one film for each, and put a frame of each on the sheet."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("target", type=Path)
    target = parser.parse_args().target.absolute()
    with tempfile.TemporaryDirectory(prefix="sheet-") as folder:
        root = Path(folder)
        ffmpeg("-f", "lavfi", "-i", "anoisesrc=a=0.1:d=20", "-ac", "2", str(root / "song.wav"))
        frames = [frame(root, number, song) for number, song in enumerate(SONGS)]
        inputs = [part for each in frames for part in ("-i", str(each))]
        places = "|".join(
            f"{'+'.join(['0', *['w0'] * (n % COLUMNS)])}_{'+'.join(['0', *['h0'] * (n // COLUMNS)])}"
            for n in range(len(frames))
        )
        ffmpeg(*inputs, "-filter_complex", f"xstack=inputs={len(frames)}:layout={places}", str(root / "sheet.png"))
        # 64 colours are enough for three and their edges.
        ffmpeg(
            "-i", str(root / "sheet.png"), "-filter_complex",
            "[0]split[a][b];[a]palettegen=max_colors=64[p];[b][p]paletteuse=dither=none", str(target),
        )  # fmt: skip


def frame(root: Path, number: int, song: tuple[str, str, str]) -> Path:
    """The frame in the middle of the second word."""
    language, name, text = song
    lyrics, out = root / f"{number}.json", root / f"{number}"
    lyrics.write_text(json.dumps(record(language, name, text)))
    command = [sys.executable, "-m", "audiojob_runner", "run", "Render", "--out", str(out)]
    command += ["--input", f"lyrics={lyrics}", "--input", f"accompaniment={root / 'song.wav'}"]
    for pair in ("videoSize=Video360p", "frameRate=10", "effort=Low", "titleSeconds=0", "endText="):
        command += ["--param", pair]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    seconds = (BEGIN + 1.6 * WORD_MILLISECONDS) / 1_000
    ffmpeg(
        "-ss", f"{seconds}", "-i", str(out / "video.mp4"), "-frames:v", "1", "-vf", "crop=640:230:0:65", f"{out}.png"
    )
    return Path(f"{out}.png")


def record(language: str, name: str, text: str) -> dict[str, Any]:
    """The line, and the name of its script with the same from behind."""
    words = text.split()
    voices = ("Ann", "Bob") if name == "Duet" else ("Ann", "Ann")
    end = BEGIN + len(words) * WORD_MILLISECONDS
    lines = [line(words, BEGIN, voices[0]), line([f"({name})", *words[::-1]], end, voices[1])]
    return {"timing": "Words", "origin": {"place": "Input"}, "language": language, "lines": lines}


def line(words: list[str], start: int, voice: str) -> dict[str, Any]:
    """Words of a second each."""
    sung = [
        {"text": word, "startMilliseconds": start + n * WORD_MILLISECONDS,
         "endMilliseconds": start + (n + 1) * WORD_MILLISECONDS}
        for n, word in enumerate(words)
    ]  # fmt: skip
    return {"words": sung, "startMilliseconds": start, "endMilliseconds": sung[-1]["endMilliseconds"], "voice": voice}


def ffmpeg(*arguments: str) -> None:
    """Run it, and fail where it does."""
    subprocess.run(["ffmpeg", "-v", "error", "-nostdin", "-y", *arguments], check=True)


if __name__ == "__main__":
    main()
