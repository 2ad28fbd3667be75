from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from audiojob_runner.stems import BLOCK_SAMPLES, Samples, Stem, plan_stems, write_stem
from audiojob_types.parameters.separate import StemFormat, Stems

FOUR = ("drums", "bass", "other", "vocals")
SIX = ("drums", "bass", "other", "vocals", "guitar", "piano")


@pytest.mark.parametrize(
    ("stems", "sources", "want"),
    [
        pytest.param("TwoStems", FOUR, ["vocals", "accompaniment=drums+bass+other"], id="karaoke"),
        pytest.param("TwoStems", SIX, ["vocals", "accompaniment=drums+bass+other+guitar+piano"], id="karaoke of six"),
        pytest.param("FourStems", FOUR, ["vocals", "drums", "bass", "other"], id="four of four"),
        pytest.param("FourStems", SIX, ["vocals", "drums", "bass", "other=other+guitar+piano"], id="four of six"),
        pytest.param("SixStems", SIX, ["vocals", "drums", "bass", "other", "guitar", "piano"], id="six of six"),
    ],
)
def test_which_stems_are_made_of_what(stems: Stems, sources: tuple[str, ...], want: list[str]) -> None:
    def show(stem: Stem) -> str:
        return stem.name if stem.sources == (stem.name,) else f"{stem.name}={'+'.join(stem.sources)}"

    plan = plan_stems(stems, sources)
    assert [show(stem) for stem in plan] == want
    assert sorted(source for stem in plan for source in stem.sources) == sorted(sources)


@pytest.mark.parametrize(
    ("stems", "sources"), [("SixStems", FOUR), ("TwoStems", ("drums", "bass"))], ids=["six of four", "no vocals"]
)
def test_a_model_that_cannot_give_them(stems: Stems, sources: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match="the model has"):
        plan_stems(stems, sources)


@pytest.mark.parametrize("samples", [1, BLOCK_SAMPLES - 1, BLOCK_SAMPLES, BLOCK_SAMPLES + 1])
@pytest.mark.parametrize("stem_format", ["flac", "wav"])
def test_stems_are_exact_to_the_sample(tmp_path: Path, samples: int, stem_format: StemFormat) -> None:
    sound = np.random.default_rng(1).uniform(-1, 1, (samples, 2)).astype(np.float32)

    def read(start: int, stop: int) -> Samples:
        return sound[start:stop]

    written = write_stem(tmp_path / "stem", read, samples, 44_100, stem_format)
    back, rate = soundfile.read(written.path, dtype="float32")
    assert (rate, back.shape) == (44_100, sound.shape)
    assert np.abs(back - sound).max() <= (0.0 if stem_format == "wav" else 2**-22)
    assert written.peak == pytest.approx(float(np.abs(sound).max()))
    assert written.clipped == 0


@pytest.mark.parametrize(("stem_format", "clipped", "top"), [("flac", 2, 1.0), ("wav", 0, 1.5)])
def test_loud_samples_are_clipped_in_flac_and_kept_in_wav(
    tmp_path: Path, stem_format: StemFormat, clipped: int, top: float
) -> None:
    sound = np.array([[1.5, 0.0], [0.5, -1.25]], dtype=np.float32)
    written = write_stem(tmp_path / "stem", lambda start, stop: sound[start:stop], 2, 44_100, stem_format)
    assert (written.clipped, written.peak) == (clipped, 1.5)
    back, _ = soundfile.read(written.path)
    assert np.abs(back).max() == pytest.approx(top, abs=1e-6)
