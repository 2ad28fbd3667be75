"""Settings of the operator: what the environment may say, and how a mistake is named."""

from __future__ import annotations

import os

import pytest
from pydantic import ValidationError

from audiojob_operator.records.settings import Disruption
from audiojob_operator.records.sites import SiteLimit, SiteRules
from audiojob_operator.settings import Capacity
from audiojob_operator.settings_loading import SettingsError, load_settings
from audiojob_types.contract import FolderStore, S3Store
from audiojob_types.descriptor import ImageFamily

REQUIRED = {
    "AUDIOJOB_IMAGES__RUNNER": "audiojob/runner:1",
    "AUDIOJOB_IMAGES__RUNNER_TORCH": "audiojob/runner-torch:1",
    "AUDIOJOB_IMAGES__RUNNER_MUSIC": "audiojob/runner-music:1",
}


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Only what is required is set."""
    for name in [name for name in os.environ if name.startswith("AUDIOJOB_")]:
        monkeypatch.delenv(name)
    for name, value in REQUIRED.items():
        monkeypatch.setenv(name, value)
    return monkeypatch


def test_the_images_are_all_that_must_be_set(environment: pytest.MonkeyPatch) -> None:
    settings = load_settings()
    assert settings.job_namespaces == ()
    assert settings.capacity.max_running is None
    assert isinstance(settings.store, FolderStore)
    lease = settings.lease
    assert (lease.duration_seconds, lease.renew_deadline_seconds, lease.retry_seconds) == (15, 10, 2)


def test_nested_lists_and_records(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("AUDIOJOB_JOB_NAMESPACES", '["music", "voice", "music"]')
    environment.setenv("AUDIOJOB_FETCH__ALLOWED_CIDRS", '["10.1.0.0/16", "10.2.0.7/32:8080", "fd00::/8:*"]')
    environment.setenv("AUDIOJOB_CAPACITY__MAX_RUNNING", "7")
    settings = load_settings()
    assert settings.job_namespaces == ("music", "voice"), "each once, in their order"
    assert settings.fetch.allowed_cidrs == ("10.1.0.0/16", "10.2.0.7/32:8080", "fd00::/8:*")
    assert settings.capacity.max_running == 7


def test_sites_as_the_chart_writes_them(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("AUDIOJOB_SITES", '[{"host": "youtube.com", "maxRunning": 2, "pauseSeconds": 5}]')
    assert load_settings().site_rules() == SiteRules((SiteLimit("youtube.com", 2, 5),))
    environment.setenv("AUDIOJOB_FETCH__MAX_PER_HOST", "4")
    assert load_settings().site_rules().max_per_host == 4


def test_what_decisions_depend_on_is_handed_on(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("AUDIOJOB_MODELS_CLAIM", "true")
    environment.setenv("AUDIOJOB_IMAGES__PULL_POLICY", "Never")
    environment.setenv("AUDIOJOB_PROGRESS__MIN_INTERVAL_MILLISECONDS", "250")
    environment.setenv("AUDIOJOB_FETCH__ALLOWED_CIDRS", '["192.168.0.0/24"]')
    environment.setenv("AUDIOJOB_DISRUPTION__NODE_LOST_SECONDS", "5")
    environment.setenv("AUDIOJOB_DISRUPTION__LOST_AFTER_SECONDS", "7")
    environment.setenv("AUDIOJOB_FETCH__SECRET", "true")
    environment.setenv("AUDIOJOB_FETCH__LYRICS_ADDRESS", "https://lyrics.example.org/db")
    given = load_settings().for_decisions()
    assert given.images.by_family == dict(zip(ImageFamily, REQUIRED.values(), strict=True))
    assert (given.models_claim, given.pull_policy, given.min_progress_interval_milliseconds) == (True, "Never", 250)
    assert given.allowed_cidrs == ("192.168.0.0/24",)
    assert given.disruption == Disruption(node_lost_seconds=5, grace_seconds=30, lost_after_seconds=7)
    assert given.fetch_secret is True
    assert given.lyrics_address == "https://lyrics.example.org/db"


@pytest.mark.parametrize(
    "address",
    ["lyrics.example.org", "ftp://a.example", "https://me:key@a.example", "https://a.example/?key=x", "https://a b"],
    ids=["no scheme", "another scheme", "a password", "a key", "a space"],
)
def test_an_address_for_lyrics_that_holds_a_secret_or_is_none_is_refused(
    environment: pytest.MonkeyPatch, address: str
) -> None:
    environment.setenv("AUDIOJOB_FETCH__LYRICS_ADDRESS", address)
    with pytest.raises(SettingsError, match="FETCH__LYRICS_ADDRESS"):
        load_settings()


def test_a_failed_job_is_kept_for_the_longest_pause_of_a_site(environment: pytest.MonkeyPatch) -> None:
    assert load_settings().for_decisions().failed_job_seconds == 600
    environment.setenv(
        "AUDIOJOB_SITES", '[{"host": "a.example", "pauseSeconds": 1800}, {"host": "b.example", "pauseSeconds": 5}]'
    )
    assert load_settings().for_decisions().failed_job_seconds == 1_800


def test_an_s3_store(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("AUDIOJOB_STORE", '{"kind": "S3", "endpoint": "https://s3.example.org", "bucket": "audio"}')
    store = load_settings().for_decisions().store
    assert isinstance(store, S3Store)
    assert store.bucket == "audio"


@pytest.mark.parametrize("missing", REQUIRED)
def test_a_missing_image_is_named(environment: pytest.MonkeyPatch, missing: str) -> None:
    environment.delenv(missing)
    with pytest.raises(SettingsError, match=missing):
        load_settings()


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        pytest.param("AUDIOJOB_CAPACITY__MAX_RUNNING", "0", id="a number too small"),
        pytest.param("AUDIOJOB_CAPACITY__MAX_RUNNING", "many", id="no number"),
        pytest.param("AUDIOJOB_WORKERS", "1000", id="a number too large"),
        pytest.param("AUDIOJOB_LISTEN_PORT", "70000", id="no port"),
        pytest.param("AUDIOJOB_LOG_LEVEL", "LOUD", id="an unknown level"),
        pytest.param("AUDIOJOB_FETCH__ALLOWED_CIDRS", '["10.1.2.3/16"]', id="an address with host bits"),
        pytest.param("AUDIOJOB_LEASE__DURATION", "3", id="an unknown name in a group"),
        pytest.param("AUDIOJOB_SWEEP__FINISHED_SECONDS", "0", id="no pause between sweeps"),
        pytest.param("AUDIOJOB_SITES", '[{"host": "YouTube.com"}]', id="a host in capitals"),
        pytest.param("AUDIOJOB_SITES", '[{"host": "https://youtube.com"}]', id="an address for a host"),
        pytest.param("AUDIOJOB_SITES", '[{"host": "a.example", "maxRuning": 2}]', id="a misspelt limit of a site"),
        pytest.param("AUDIOJOB_SITES", '[{"host": "a.example", "maxRunning": 0}]', id="a site with no room at all"),
        pytest.param("AUDIOJOB_SITES", '[{"host": "a.example"}, {"host": "a.example"}]', id="a site named twice"),
        pytest.param("AUDIOJOB_FETCH__MAX_PER_HOST", "0", id="hosts with no room at all"),
    ],
)
def test_a_value_that_does_not_fit_is_named(environment: pytest.MonkeyPatch, variable: str, value: str) -> None:
    environment.setenv(variable, value)
    with pytest.raises(SettingsError, match=variable):
        load_settings()


def test_every_mistake_is_told_at_once(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("AUDIOJOB_WORKERS", "0")
    environment.setenv("AUDIOJOB_LISTEN_PORT", "-1")
    with pytest.raises(SettingsError) as caught:
        load_settings()
    assert "AUDIOJOB_WORKERS" in str(caught.value)
    assert "AUDIOJOB_LISTEN_PORT" in str(caught.value)


@pytest.mark.parametrize(
    ("duration", "deadline", "retry"),
    [
        pytest.param(10, 10, 2, id="the deadline must end before the lease"),
        pytest.param(15, 2, 2, id="there must be time for a retry before the deadline"),
    ],
)
def test_lease_times_out_of_order(environment: pytest.MonkeyPatch, duration: int, deadline: int, retry: int) -> None:
    environment.setenv("AUDIOJOB_LEASE__DURATION_SECONDS", str(duration))
    environment.setenv("AUDIOJOB_LEASE__RENEW_DEADLINE_SECONDS", str(deadline))
    environment.setenv("AUDIOJOB_LEASE__RETRY_SECONDS", str(retry))
    with pytest.raises(SettingsError, match="retry_seconds < renew_deadline_seconds < duration_seconds"):
        load_settings()


@pytest.mark.parametrize(
    ("variable", "value", "example"),
    [
        pytest.param("AUDIOJOB_JOB_NAMESPACES", "music", '["music"]', id="one word where a list is due"),
        pytest.param("AUDIOJOB_JOB_NAMESPACES", "music,voice", '["music"]', id="a list with commas alone"),
        pytest.param("AUDIOJOB_JOB_NAMESPACES", '"music"', '["music"]', id="JSON, but no list"),
        pytest.param("AUDIOJOB_FETCH__ALLOWED_CIDRS", "10.0.0.0/8", '["10.20.0.0/16"]', id="a list inside a group"),
        pytest.param("AUDIOJOB_SITES", "youtube.com", '[{"host": "youtube.com"', id="a host where sites are due"),
        pytest.param("AUDIOJOB_STORE", "Folder", '{"kind": "Folder"}', id="a word where a record is due"),
    ],
)
def test_what_is_not_json_is_named_with_an_example(
    environment: pytest.MonkeyPatch, variable: str, value: str, example: str
) -> None:
    environment.setenv(variable, value)
    with pytest.raises(SettingsError) as caught:
        load_settings()
    assert f"{variable}: " in str(caught.value)
    assert f"for example {variable}={example}" in str(caught.value)


def test_a_group_that_is_not_json_is_named(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("AUDIOJOB_CAPACITY", "lots")
    with pytest.raises(SettingsError, match="AUDIOJOB_CAPACITY: "):
        load_settings()


def test_libraries(environment: pytest.MonkeyPatch) -> None:
    environment.setenv(
        "AUDIOJOB_LIBRARIES",
        '[{"name": "nas", "claimName": "nas-music", "readOnly": true}, {"name": "shelf", "prefix": "shelf/rock"}]',
    )
    nas, shelf = load_settings().for_decisions().libraries
    assert (nas.name, nas.claim_name, nas.read_only, shelf.prefix) == ("nas", "nas-music", True, "shelf/rock")


NO_LIBRARIES = {
    "neither claim nor prefix": ('[{"name": "a"}]', "exactly one of claimName and prefix"),
    "both": ('[{"name": "a", "claimName": "b", "prefix": "c"}]', "exactly one of claimName and prefix"),
    "a way out of the store": ('[{"name": "a", "prefix": "../b"}]', "AUDIOJOB_LIBRARIES"),
    "the folder of a namespace's jobs": ('[{"name": "a", "prefix": "music/a"}]', "lies in the folder of the jobs"),
    "one that lies in another": (
        '[{"name": "a", "prefix": "lib"}, {"name": "b", "prefix": "lib/deep/b"}]',
        "prefix lib/deep/b of library b lies in that of library a",
    ),
    "the jobs' own claim as a whole": ('[{"name": "a", "claimName": "audiojob-store"}]', "which is not a library's"),
    "the models' claim": ('[{"name": "a", "claimName": "audiojob-models"}]', "which is not a library's"),
    "one name twice": ('[{"name": "a", "prefix": "b"}, {"name": "a", "prefix": "c"}]', "duplicate library name"),
}


@pytest.mark.parametrize(
    "given",
    [
        pytest.param('[{"name": "a", "prefix": "lib/a"}, {"name": "b", "prefix": "lib/a-b"}]', id="side by side"),
        pytest.param(
            '[{"name": "a", "prefix": "l", "readOnly": true}, {"name": "b", "prefix": "l/b"}]', id="read only"
        ),
        pytest.param('[{"name": "a", "prefix": "l"}, {"name": "b", "prefix": "l", "readOnly": true}]', id="the same"),
    ],
)
def test_libraries_that_lie_in_no_folder_which_a_pod_can_write(environment: pytest.MonkeyPatch, given: str) -> None:
    environment.setenv("AUDIOJOB_LIBRARIES", given)
    assert len(load_settings().for_decisions().libraries) == 2


@pytest.mark.parametrize(("given", "words"), NO_LIBRARIES.values(), ids=NO_LIBRARIES.keys())
def test_libraries_that_cannot_be(environment: pytest.MonkeyPatch, given: str, words: str) -> None:
    environment.setenv("AUDIOJOB_JOB_NAMESPACES", '["music"]')
    environment.setenv("AUDIOJOB_LIBRARIES", given)
    with pytest.raises(SettingsError, match=words):
        load_settings()


def test_a_time_without_a_zone_is_refused_with_the_way_to_write_it(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("AUDIOJOB_FETCH__COOL_DOWN__SINCE", "2026-11-28T12:00:00")
    with pytest.raises(SettingsError, match=r"FETCH__COOL_DOWN__SINCE.*no time zone; write 2026-11-28T12:00:00Z"):
        load_settings()


@pytest.mark.parametrize(
    ("capacity", "words"),
    [
        ({"gpus": 4, "scale_up": {"enabled": True}}, "gpus fixes their number"),
        ({"scale_up": {"gpus_per_node": 9}}, "raise max_gpus"),
    ],
    ids=["a fixed number of GPUs that is to grow", "more GPUs on a node than in all"],
)
def test_gpus_that_could_not_grow_are_refused(capacity: dict[str, object], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        Capacity.model_validate(capacity)
