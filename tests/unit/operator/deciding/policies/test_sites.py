"""How much may be asked of a site."""

from __future__ import annotations

from datetime import timedelta

import pytest
from tests.unit.operator.builders import NOW, audio_job, phase, pipeline, separate_pipeline

from audiojob_operator.admission.ledger import Ledger
from audiojob_operator.admission.roster import ChildFacts, JobFacts, holding_of, make_row
from audiojob_operator.deciding.policies.blocker import Facts
from audiojob_operator.deciding.policies.ready import by_name
from audiojob_operator.deciding.policies.sites import SiteLoad, fetch_request, limit_for
from audiojob_operator.records.admission import FetchRequest, SiteAnswer
from audiojob_operator.records.objects import Object
from audiojob_operator.records.sites import SiteLimit, SiteRules, SiteUse
from audiojob_types.resources.job import AudioJob, PhaseState, PhaseStatus
from audiojob_types.resources.pipeline import AudioPipeline

TUBE = SiteLimit("youtube.com", max_running=2, pause_seconds=5)
MUSIC = SiteLimit("music.youtube.com", max_running=1)
RULES = SiteRules((TUBE, MUSIC))


@pytest.mark.parametrize(
    ("host", "rules", "limit"),
    [
        pytest.param("youtube.com", RULES, TUBE, id="the host itself"),
        pytest.param("www.youtube.com", RULES, TUBE, id="a subdomain"),
        pytest.param("a.music.youtube.com", RULES, MUSIC, id="the most exact of two"),
        pytest.param("notyoutube.com", RULES, None, id="a host that only ends alike"),
        pytest.param("example.org", RULES, None, id="a host that nobody names"),
        pytest.param("example.org", SiteRules((TUBE,), 4), SiteLimit("example.org", 4), id="the limit of every host"),
        pytest.param("youtube.com", SiteRules((TUBE,), 4), TUBE, id="a named host has its own limit only"),
        pytest.param(None, SiteRules((), 4), None, id="nothing is fetched"),
    ],
)
def test_limit_for(host: str | None, rules: SiteRules, limit: SiteLimit | None) -> None:
    assert limit_for(rules, host) == limit


def use(seconds_ago: int, host: str = "www.youtube.com", live: bool = True) -> SiteUse:
    return SiteUse(host, NOW - timedelta(seconds=seconds_ago), live)


def load(*uses: SiteUse, rules: SiteRules = RULES) -> SiteLoad:
    """What admission counts where the Jobs of one AudioJob have made these."""
    key, facts, ledger = ("music", "song"), JobFacts(), Ledger()
    row = make_row(facts, False, rules, NOW)
    ledger.show(key, holding_of(key, facts, row, ChildFacts(downloads=uses), rules))
    return SiteLoad(rules, ledger.usage().sites, NOW)


TUBE_PLEASE = FetchRequest("m.youtube.com", only=True)


@pytest.mark.parametrize(
    ("uses", "granted", "words"),
    [
        pytest.param((), True, "", id="nobody is there"),
        pytest.param((use(60),), True, "", id="one of two runs"),
        pytest.param((use(60), use(50)), False, "youtube.com: 2 of 2", id="as many as may run"),
        pytest.param((use(60), use(50, live=False)), True, "", id="one of them has ended"),
        pytest.param((use(60), use(50, "other.org")), True, "", id="one of them is elsewhere"),
        pytest.param((use(2, live=False),), False, "12:00:03", id="one has only just begun, though it has ended"),
        pytest.param((use(5),), True, "", id="the pause is over"),
        pytest.param((use(60, "music.youtube.com"), use(50)), True, "", id="a subdomain with a limit of its own"),
    ],
)
def test_an_answer(uses: tuple[SiteUse, ...], granted: bool, words: str) -> None:
    answer = load(*uses).answer(TUBE_PLEASE)
    assert answer is not None
    assert answer.granted is granted
    assert words in answer.message


def test_a_pause_tells_when_it_ends() -> None:
    answer = load(use(2)).answer(TUBE_PLEASE)
    assert answer is not None
    assert answer.until == NOW + timedelta(seconds=3)


def test_what_is_taken_counts_in_the_same_pass() -> None:
    sites = load(rules=SiteRules((SiteLimit("youtube.com", 2),)))
    answers = []
    for _ in range(3):
        answers.append(sites.answer(TUBE_PLEASE))
        sites.take(TUBE_PLEASE)
    assert [answer.granted for answer in answers if answer] == [True, True, False]


def test_no_limit_is_no_answer() -> None:
    assert load().answer(FetchRequest("example.org", only=True)) is None


def test_what_is_not_due_takes_no_turn() -> None:
    later = NOW + timedelta(seconds=9)
    assert load().answer(FetchRequest("youtube.com", only=True, not_before=later)) == SiteAnswer(
        False, "youtube.com: the retry waits until its backoff has ended.", later
    )


SONG: Object = {"source": {"url": "https://youtu.be/dQw4w9WgXcQ"}}
LATER = NOW + timedelta(seconds=30)


@pytest.mark.parametrize(
    ("spec", "line", "phases", "wanted"),
    [
        pytest.param(SONG, separate_pipeline(), (), FetchRequest("www.youtube.com", True), id="a new job"),
        pytest.param({}, pipeline(), (), None, id="a job without a source"),
        pytest.param(
            {"source": {"object": {"key": "a.flac"}}},
            separate_pipeline(),
            (),
            None,
            id="a source that lies in the store",
        ),
        pytest.param(
            SONG, separate_pipeline(), (PhaseStatus(name="download", state=PhaseState.RUNNING),), None, id="it is at it"
        ),
        pytest.param(
            SONG,
            separate_pipeline(),
            (PhaseStatus(name="download", next_attempt_time=LATER),),
            FetchRequest("www.youtube.com", True, LATER),
            id="the next attempt is not due",
        ),
        pytest.param(
            SONG,
            pipeline(phase("download", "Download"), phase("other", after=[])),
            (),
            FetchRequest("www.youtube.com", False),
            id="it could do something else meanwhile",
        ),
        pytest.param(
            SONG, pipeline(phase("download", "Download", gate="Review")), (), None, id="somebody must look at it first"
        ),
    ],
)
def test_fetch_request(
    spec: Object, line: Object, phases: tuple[PhaseStatus, ...], wanted: FetchRequest | None
) -> None:
    job = AudioJob.model_validate(audio_job(pipeline=line["metadata"]["name"], **spec))
    assert fetch_request(AudioPipeline.model_validate(line).spec, Facts(job.spec, by_name(phases)), NOW) == wanted
