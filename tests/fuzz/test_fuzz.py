"""Inputs by chance, grown from the corpus, for as long as asked: a second each here, ten minutes by `make fuzz`.

What fails is shrunk by Hypothesis and kept in the corpus, which every run tries first.
"""

from __future__ import annotations

import hashlib
import os
import time
from pathlib import Path
from typing import Final

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from tests.fuzz.targets import TARGETS, Target

CORPUS: Final = Path(__file__).parent / "corpus"
SECONDS: Final = float(os.environ.get("FUZZ_SECONDS", "1"))
_LARGEST: Final = 20_000


def seeds(name: str) -> list[bytes]:
    return [path.read_bytes() for path in sorted((CORPUS / name).iterdir())]


@st.composite
def inputs(draw: st.DrawFn, known: list[bytes], target: Target) -> bytes:
    """A seed of the corpus with some changes: bytes and words put in, pieces cut out, doubled, exchanged."""
    found = draw(st.sampled_from([*known, b""]))
    for _ in range(draw(st.integers(0, 8))):
        start = draw(st.integers(0, len(found)))
        end = draw(st.integers(start, min(len(found), start + 40)))
        other = draw(st.sampled_from([*known, b""]))
        pieces = st.sampled_from([b"", found[start:end] * 2, other[start:], *target.words])
        found = (found[:start] + draw(pieces | st.binary(max_size=8)) + found[end:])[:_LARGEST]
    return found


@pytest.mark.parametrize("name", TARGETS)
def test_every_input_of_the_corpus_is_survived(name: str) -> None:
    known = seeds(name)
    assert known
    for content in known:
        TARGETS[name].run(content)


@pytest.mark.timeout(SECONDS * 2 + 120)
@pytest.mark.parametrize("name", TARGETS)
def test_inputs_by_chance_are_survived(name: str) -> None:
    target, until = TARGETS[name], time.monotonic() + SECONDS
    worst: list[bytes] = []

    @settings(
        max_examples=50,
        derandomize=False,  # other inputs in every round, also where the profile wants the same ones
        deadline=None,
        database=None,
        phases=[Phase.generate, Phase.shrink],
        suppress_health_check=list(HealthCheck),
    )
    @given(inputs(seeds(name), target))
    def attack(content: bytes) -> None:
        if time.monotonic() >= until and not worst:
            return
        try:
            target.run(content)
        except BaseException:
            worst[:] = [content]  # the last to fail is the smallest
            raise

    try:
        while time.monotonic() < until:
            attack()
    finally:
        if worst:
            (CORPUS / name / f"crash-{hashlib.sha256(worst[0]).hexdigest()[:12]}").write_bytes(worst[0])
