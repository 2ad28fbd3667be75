"""Operators and runners of different versions that meet."""

from __future__ import annotations

import json
from typing import Annotated

import pytest
from tests.support.stored import CONTRACTS, sent

from audiojob_types.base import Since, WireModel
from audiojob_types.contract import CONTRACT
from audiojob_types.versions import contract_to_write, describe_newer

MEETINGS = {
    "a runner from before there was a number": (0, 0),
    "a runner of this contract": (CONTRACT, CONTRACT),
    "a runner of a later contract, after a rollback": (CONTRACT + 1, CONTRACT),
}


@pytest.mark.parametrize(("revision", "written"), MEETINGS.values(), ids=MEETINGS.keys())
def test_a_phase_file_has_the_contract_of_its_reader_or_the_operators_own(revision: int, written: int) -> None:
    assert contract_to_write(revision) == written


@pytest.mark.parametrize("written", range(CONTRACT + 1))
def test_a_runner_says_nothing_of_a_contract_that_it_knows(written: int) -> None:
    assert describe_newer(written) is None


def test_a_runner_says_that_a_phase_file_is_of_a_later_contract() -> None:
    assert f"contract {CONTRACT + 1}" in (describe_newer(CONTRACT + 1) or "")


@pytest.mark.parametrize("contract", range(CONTRACT + 1))
def test_nobody_is_sent_a_field_that_his_contract_lacks(contract: int) -> None:
    recorded = json.loads(CONTRACTS.read_text())[str(contract)]
    now = sent(contract)  # tasks that are new since are not sent to runners that lack them
    assert {record: now[record] for record in recorded} == recorded, (
        "mark a new field with Since(N), and if contract N is released raise CONTRACT first; then "
        "run python -m tests.support.stored contracts"
    )


class Inner(WireModel):
    kept: int = 1
    later: Annotated[int, Since(2)] = 2


class Outer(WireModel):
    several: tuple[Inner, ...] = (Inner(), Inner())
    one: Inner = Inner()


def test_fields_of_a_later_contract_are_left_out_at_any_depth() -> None:
    assert Outer().to_wire_for(1) == {"several": [{"kept": 1}, {"kept": 1}], "one": {"kept": 1}}
    assert Outer().to_wire_for(2) == Outer().to_wire()
