"""How the report reads, and its exit code."""

from __future__ import annotations

import pytest

from audiojob_operator.doctor.findings import Finding, exit_code, fault, note, ok, render, unseen, warning


def test_each_line_has_its_level_and_the_way_out_below_it() -> None:
    text = render([ok("CRDs", "3 of 3."), fault("music", "claim audiojob-store is missing.", "Create it.")])

    assert text.splitlines() == [
        "ok       CRDs: 3 of 3.",
        "FAULT    music: claim audiojob-store is missing.",
        "         -> Create it.",
        "",
        "2 checks: 1 fault, 1 ok",
    ]


def test_long_sentences_are_wrapped_and_names_are_never_broken() -> None:
    name = "registry.example.org/" + "a-very-long-name/" * 9 + "runner:1"

    text = render([fault("images", f"The image {name} cannot be pulled.", "x " * 200)])

    assert name in text
    assert all(len(line) <= 110 for line in text.splitlines() if name not in line)


@pytest.mark.parametrize(
    ("findings", "code"),
    [
        ([], 0),
        ([ok("a", "b"), note("a", "b"), unseen("a", "b"), warning("a", "b", "c")], 0),
        ([ok("a", "b"), fault("a", "b", "c")], 1),
    ],
    ids=["nothing found", "what does not keep jobs from ending well", "a fault"],
)
def test_only_a_fault_makes_it_fail(findings: list[Finding], code: int) -> None:
    assert exit_code(findings) == code
