"""Generated music with known parts: what sounds (chords, a bass, a melody) against what is struck (a drum kit).

The proof model learns from it, and tests hear by it whether stems were really separated. A seed gives all numbers.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

RATE: Final = 44_100
SOURCES: Final = ("tonal", "percussive")

Sound = NDArray[np.float32]
_Wave = NDArray[np.float64]

_SCALES: Final = ((0, 2, 4, 5, 7, 9, 11), (0, 2, 3, 5, 7, 8, 10), (0, 2, 3, 5, 7, 9, 10))
_HIGHEST_PARTIAL_HZ: Final = 16_000.0
_DRUMS: Final = ("kick", "snare", "hat", "tom", "clap")


@dataclass(frozen=True, slots=True)
class Piece:
    """Two parts and their sum, each of shape (2, samples): stereo at 44.1 kHz."""

    tonal: Sound
    percussive: Sound

    @property
    def mix(self) -> Sound:
        """Both parts together."""
        return self.tonal + self.percussive


def make_piece(seed: int, seconds: float) -> Piece:
    """The piece of that seed: the same samples every time. The mix stays below full scale."""
    random = np.random.default_rng(seed)
    samples = round(seconds * RATE)
    beat = 60.0 / random.uniform(75, 165)
    tonal = _tonal(random, samples, beat)
    percussive = _percussive(random, samples, beat)
    # Up to 6 dB between the parts, either way.
    percussive *= _loudness(tonal) / max(_loudness(percussive), 1e-9) * 10 ** (random.uniform(-6, 6) / 20)
    scale = random.uniform(0.3, 0.9) / max(float(np.abs(tonal + percussive).max()), 1e-9)
    return Piece((tonal * scale).astype(np.float32), (percussive * scale).astype(np.float32))


def sdr(estimate: Sound, reference: Sound) -> float:
    """Signal to distortion, in dB: the reference's energy over that of what differs from it."""
    wanted = np.asarray(reference, dtype=np.float64)
    wrong = np.asarray(estimate, dtype=np.float64) - wanted
    return float(10 * np.log10((np.sum(wanted**2) + 1e-12) / (np.sum(wrong**2) + 1e-12)))


def _loudness(sound: _Wave) -> float:
    return float(np.sqrt(np.mean(sound**2)))


def _tonal(random: np.random.Generator, samples: int, beat: float) -> _Wave:
    """Chords, a bass and a melody in one key, each with a timbre of its own."""
    out = np.zeros((2, samples))
    root, scale = int(random.integers(40, 52)), _SCALES[random.integers(len(_SCALES))]

    def pitch(degree: int, octave: int) -> float:
        step = root + 12 * (octave + degree // len(scale)) + scale[degree % len(scale)]
        return 440.0 * 2 ** ((step - 69) / 12)

    bar = 4 * beat
    chords, bass, lead = (_Timbre.draw(random) for _ in range(3))
    for number in range(int(samples / RATE / bar) + 1):
        degree, start = int(random.integers(7)), number * bar
        for third in (0, 2, 4) if random.random() < 0.8 else (0, 2, 4, 6):
            _add(out, start, chords.note(random, pitch(degree + third, 1), bar * 1.05), random)
        for part in range(4):
            if random.random() < 0.7:
                _add(out, start + part * beat, 1.6 * bass.note(random, pitch(degree, 0) / 2, beat), random)
            if random.random() < 0.7:
                frequency = pitch(int(random.integers(10)), 2)
                _add(
                    out,
                    start + part * beat,
                    1.2 * lead.note(random, frequency, beat * random.uniform(0.4, 1.8)),
                    random,
                )
    return out


@dataclass(frozen=True, slots=True)
class _Timbre:
    """How the partials of a note fall off, how softly it starts, and whether it fades or is held."""

    slope: float
    odd_only: bool
    attack_seconds: float
    decay_seconds: float
    vibrato: float

    @classmethod
    def draw(cls, random: np.random.Generator) -> _Timbre:
        return cls(
            slope=random.uniform(0.8, 2.2),
            odd_only=bool(random.random() < 0.3),
            attack_seconds=random.uniform(0.015, 0.12),
            decay_seconds=random.uniform(0.4, 4.0),
            vibrato=random.uniform(0, 0.006) if random.random() < 0.5 else 0.0,
        )

    def note(self, random: np.random.Generator, frequency: float, seconds: float) -> _Wave:
        """One note, of shape (samples,)."""
        time = np.arange(max(64, int(seconds * RATE))) / RATE
        phase = 2 * np.pi * frequency * time
        if self.vibrato:
            rate = random.uniform(4, 6.5)
            phase += self.vibrato * frequency / rate * np.sin(2 * np.pi * rate * time)
        wave = np.zeros_like(time)
        highest = min(14, int(_HIGHEST_PARTIAL_HZ / frequency))
        for partial in range(1, max(1, highest) + 1, 2 if self.odd_only else 1):
            wave += np.sin(partial * phase + random.uniform(0, 2 * np.pi)) / partial**self.slope
        release = min(0.08, time[-1] / 3)
        envelope = np.minimum(1, time / self.attack_seconds) * np.exp(-time / self.decay_seconds)
        envelope *= np.minimum(1, (time[-1] - time) / release)
        return np.asarray(wave * envelope * random.uniform(0.5, 1.0))


def _percussive(random: np.random.Generator, samples: int, beat: float) -> _Wave:
    """A drum pattern on a grid of half or quarter beats, repeated with small changes."""
    out = np.zeros((2, samples))
    grid = beat / (2 if random.random() < 0.5 else 4)
    chances = random.uniform(0.05, 0.5, (len(_DRUMS), 8))
    pattern = random.random((len(_DRUMS), 8)) < chances
    pattern[0, 0] = pattern[1, 4] = True
    kit = [_drum(random, name) for name in _DRUMS]
    for step in range(int(samples / RATE / grid) + 1):
        for number, strike in enumerate(kit):
            if pattern[number, step % 8] ^ (random.random() < 0.06):
                _add(out, step * grid, strike(random) * random.uniform(0.5, 1.0), random)
    return out


def _drum(random: np.random.Generator, name: str) -> Callable[[np.random.Generator], _Wave]:
    """One instrument of the kit: a function that strikes it once."""
    if name in ("kick", "tom"):
        low, high = (45.0, 130.0) if name == "kick" else (90.0, 260.0)
        low *= random.uniform(0.9, 1.2)
        decay, fall = random.uniform(0.04, 0.11), random.uniform(0.012, 0.03)

        def skin(random: np.random.Generator) -> _Wave:
            time = np.arange(int(0.35 * RATE)) / RATE
            frequency = low + (high - low) * np.exp(-time / fall)
            body = np.sin(2 * np.pi * np.cumsum(frequency) / RATE) * np.exp(-time / decay)
            click = random.standard_normal(len(time)) * np.exp(-time / 0.003) * 0.3
            return 1.4 * (body + click)

        return skin
    low_hz, high_hz, decay = {
        "snare": (300.0, 9_000.0, random.uniform(0.05, 0.14)),
        "hat": (6_000.0, 18_000.0, random.uniform(0.015, 0.08)),
        "clap": (800.0, 6_000.0, random.uniform(0.03, 0.1)),
    }[name]
    low_hz, high_hz = low_hz * random.uniform(0.7, 1.4), high_hz * random.uniform(0.8, 1.2)
    level = {"snare": 1.0, "hat": 0.6, "clap": 0.8}[name]

    def noise(random: np.random.Generator) -> _Wave:
        count = int(0.45 * RATE)
        spectrum = np.fft.rfft(random.standard_normal(count))
        hertz = np.fft.rfftfreq(count, 1 / RATE)
        spectrum *= 1 / (1 + (low_hz / np.maximum(hertz, 1)) ** 4) / (1 + (hertz / high_hz) ** 4)
        burst = np.fft.irfft(spectrum, count)
        burst /= max(float(np.abs(burst).max()), 1e-9)
        return np.asarray(level * burst * np.exp(-np.arange(count) / RATE / decay))

    return noise


def _add(out: _Wave, start_seconds: float, wave: _Wave, random: np.random.Generator) -> None:
    """Put a sound at its time and at a place between left and right."""
    angle = random.uniform(0.15, 0.85) * np.pi / 2
    start = int(start_seconds * RATE)
    piece = wave[: max(0, out.shape[1] - start)]
    out[:, start : start + len(piece)] += np.array([[np.cos(angle)], [np.sin(angle)]]) * piece
