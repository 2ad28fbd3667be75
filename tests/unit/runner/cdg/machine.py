"""A karaoke machine: it plays packets as the format says, and knows nothing of who made them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from audiojob_runner.cdg.bitmap import ROW_HEIGHT, Glyphs
from audiojob_runner.karaoke.timed import Sung, SungLine

WIDTH, HEIGHT = 300, 216
LETTER: Final = 12


class Machine:
    """The screen after each packet: numbers of colours, line by line."""

    def __init__(self, stream: bytes) -> None:
        assert len(stream) % 24 == 0
        self.stream = stream
        self.played = 0
        self.screen = [[0] * WIDTH for _ in range(HEIGHT)]
        self.palette: list[tuple[int, int, int]] = [(0, 0, 0)] * 16
        self.drawn = self.wiped = self.idle = 0

    def play(self, milliseconds: float) -> Machine:
        """All packets up to that time."""
        end = min(len(self.stream) // 24, round(milliseconds * 0.3))
        commands = self.stream[::24]
        while 0 <= (number := commands.find(9, self.played, end)) < end:
            self.idle += number - self.played
            self._take(self.stream[24 * number : 24 * (number + 1)])
            self.played = number + 1
        self.idle += max(0, end - self.played)
        self.played = max(self.played, end)
        return self

    def _take(self, packet: bytes) -> None:
        instruction, data = packet[1] & 0x3F, packet[4:20]
        if instruction == 1:
            self.screen = [[data[0] & 15] * WIDTH for _ in range(HEIGHT)]
        elif instruction in (30, 31):
            for n in range(8):
                high, low = data[2 * n] & 0x3F, data[2 * n + 1] & 0x3F
                self.palette[8 * (instruction - 30) + n] = (high >> 2, (high & 3) << 2 | low >> 4, low & 15)
        elif instruction in (6, 38):
            self.drawn += instruction == 6
            self.wiped += instruction == 38
            self._tile(instruction == 38, data)
        else:
            assert instruction == 2, instruction

    def _tile(self, xor: bool, data: bytes) -> None:
        row, column = data[2] & 0x1F, data[3] & 0x3F
        assert row < 18
        assert column < 50
        for y in range(12):
            for x in range(6):
                colour = data[data[4 + y] >> 5 - x & 1] & 15
                line = self.screen[12 * row + y]
                line[6 * column + x] = line[6 * column + x] ^ colour if xor else colour

    def rows(self) -> list[list[int]]:
        """Of each row of text the colours of its letters, from the left; letters are ``LETTER`` pixels wide."""
        found = []
        for slot in range(4):
            line = self.screen[12 * (1 + 4 * slot) + 18]
            found.append([colour for colour in line if colour])
        return found

    def colours(self, slot: int) -> list[int]:
        """The colour of each letter of a row, from the left."""
        line = self.rows()[slot]
        return line[5::LETTER]


def draw(parts: Sequence[str], from_right: bool) -> Glyphs:
    """Each letter is a box of twelve pixels, without a gap."""
    letters = sum(map(len, parts))
    width = LETTER * letters
    masks, at = [], 0
    for part in parts:
        bits = (1 << LETTER * len(part)) - 1
        shift = LETTER * (at if from_right else letters - at - len(part))
        masks.append(tuple(bits << shift if 12 <= y < 24 else 0 for y in range(ROW_HEIGHT)))
        at += len(part)
    return Glyphs(width, tuple(masks))


def line(text: str, start: int, end: int, voice: int = 0, to_left: bool = False) -> SungLine:
    """Its words have even shares of the time; ``-`` joins syllables."""
    pieces = [(piece, number > 0) for word in text.split() for number, piece in enumerate(word.split("-"))]
    step = (end - start) / len(pieces)
    words = tuple(
        Sung(piece, joined, round(start + step * n), round(start + step * (n + 1)))
        for n, (piece, joined) in enumerate(pieces)
    )
    return SungLine(words, voice, to_left=to_left)
