"""By whose word a host is held, and for whom."""

from __future__ import annotations

from datetime import timedelta

import pytest
from tests.unit.operator.builders import NOW

from audiojob_operator.admission.cooldowns import held_until
from audiojob_operator.records.sites import CoolDownRules

RULES = CoolDownRules(jobs=2, namespaces=2)


@pytest.mark.parametrize(
    ("refusals", "rules", "minutes"),
    [
        pytest.param({}, RULES, None, id="nobody was refused"),
        pytest.param({"music/a": 60}, RULES, None, id="the word of one job"),
        pytest.param({"music/a": 60, "music/b": 5}, RULES, 5, id="two jobs hold it as long as both say so"),
        pytest.param({"music/a": 60, "music/b": 5, "music/c": 9}, RULES, 9, id="as long as two of three say so"),
        pytest.param({"music/a": 60, "music/b": 0}, RULES, None, id="the time of one of them is over"),
        pytest.param({"evil/a": 60, "evil/b": 60, "evil/c": 60}, RULES, None, id="many jobs of another namespace"),
        pytest.param({"evil/a": 60, "music/b": 7}, RULES, 7, id="two namespaces hold it for all"),
        pytest.param({"evil/a": 60, "voice/b": 7}, RULES, 7, id="also for a third"),
        pytest.param({"evil/a": 60, "evil/b": 60, "voice/b": 7}, RULES, 7, id="as long as both namespaces say so"),
        pytest.param({"evil/a": 60, "voice/b": 7}, CoolDownRules(jobs=3), None, id="too few jobs of two namespaces"),
        pytest.param({"music/a": 60}, CoolDownRules(jobs=1), 60, id="one job is enough if the administrator says so"),
    ],
)
def test_how_long_jobs_of_music_leave_a_host_alone(
    refusals: dict[str, int], rules: CoolDownRules, minutes: int | None
) -> None:
    found = {(key.split("/")[0], key.split("/")[1]): NOW + timedelta(minutes=each) for key, each in refusals.items()}
    wanted = NOW + timedelta(minutes=minutes) if minutes is not None else None
    assert held_until(found, "music", rules, NOW) == wanted
