"""The settings file: what it may hold, what overrides it, and how a mistake in it is named."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from audiojob_operator.records.sites import SiteLimit
from audiojob_operator.settings import ImageSettings, OperatorSettings, Site
from audiojob_operator.settings_loading import SettingsError, load_settings
from audiojob_types.contract import FolderStore, S3Store

IMAGES = {
    "images": {
        "runner": "audiojob/runner:1",
        "runnerTorch": "audiojob/runner-torch:1",
        "runnerMusic": "audiojob/runner-music:1",
    }
}
REMEDY = "Correct the chart's values and run helm upgrade, which writes the file anew."
NO_SUCH = "there is no such setting in this release; correct the name or leave it out"


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """No settings from the machine that runs the tests."""
    for name in [name for name in os.environ if name.startswith("AUDIOJOB_")]:
        monkeypatch.delenv(name)
    return monkeypatch


@pytest.fixture
def file(tmp_path: Path, environment: pytest.MonkeyPatch) -> Path:
    """Where the settings file is looked for."""
    path = tmp_path / "settings.json"
    environment.setenv("AUDIOJOB_SETTINGS_FILE", str(path))
    return path


def load(file: Path, content: dict[str, Any]) -> OperatorSettings:
    """What the file gives with these settings and the images."""
    file.write_text(json.dumps({**IMAGES, **content}), encoding="utf-8")
    return load_settings()


def refusal(file: Path, content: dict[str, Any]) -> str:
    with pytest.raises(SettingsError) as caught:
        load(file, content)
    return str(caught.value)


def refusal_of_text(file: Path, content: bytes) -> str:
    file.write_bytes(content)
    with pytest.raises(SettingsError) as caught:
        load_settings()
    return str(caught.value)


def test_every_setting_can_stand_in_the_file(file: Path) -> None:
    changed = OperatorSettings(
        images=ImageSettings(runner="r", runner_torch="t", runner_music="m", pull_policy="Always"),
        job_namespaces=("music",),
        store=S3Store(bucket="audio", endpoint="https://s3.example.org"),
        sites=(Site(host="youtube.com", max_running=2, pause_seconds=5),),
        workers=3,
        kubeconfig=Path("/etc/kubeconfig"),
    )
    least = OperatorSettings(images=ImageSettings(runner="r", runner_torch="t", runner_music="m"))
    for settings in (changed, least):
        assert load(file, settings.model_dump(mode="json", by_alias=True)) == settings


def test_what_the_file_leaves_out_has_its_default(file: Path) -> None:
    settings = load(file, {"fetch": {"allowedCIDRs": ["10.0.0.0/8"], "coolDown": {"jobs": 3}}})
    assert settings.fetch.allowed_cidrs == ("10.0.0.0/8",)
    assert (settings.fetch.cool_down.jobs, settings.fetch.cool_down.namespaces) == (3, 2)
    assert settings.capacity == OperatorSettings.model_fields["capacity"].default


def test_a_time_has_its_own_zone(file: Path) -> None:
    found = load(file, {"fetch": {"coolDown": {"since": "2026-11-28T13:00:00+01:00"}}}).fetch.cool_down.since
    assert found == datetime(2026, 11, 28, 12, tzinfo=UTC)


# ---------------------------------------------------------------- the environment overrides


def test_a_variable_overrides_its_own_field_alone(file: Path, environment: pytest.MonkeyPatch) -> None:
    environment.setenv("AUDIOJOB_CAPACITY__MAX_RUNNING", "7")
    environment.setenv("AUDIOJOB_FETCH__COOL_DOWN__JOBS", "9")
    environment.setenv("AUDIOJOB_IMAGES__RUNNER", "other:2")
    fetch = {"secret": True, "coolDown": {"jobs": 4, "namespaces": 5}}
    settings = load(file, {"capacity": {"maxRunning": 1, "gpus": 2}, "fetch": fetch})
    assert (settings.capacity.max_running, settings.capacity.gpus) == (7, 2)
    assert (settings.fetch.secret, settings.fetch.cool_down.jobs, settings.fetch.cool_down.namespaces) == (True, 9, 5)
    assert (settings.images.runner, settings.images.runner_torch) == ("other:2", "audiojob/runner-torch:1")


def test_a_group_as_json_overrides_the_fields_that_it_names(file: Path, environment: pytest.MonkeyPatch) -> None:
    environment.setenv("AUDIOJOB_CAPACITY", '{"max_running": 7}')
    settings = load(file, {"capacity": {"maxRunning": 1, "gpus": 2}})
    assert (settings.capacity.max_running, settings.capacity.gpus) == (7, 2)


def test_lists_and_the_store_are_replaced_as_a_whole(file: Path, environment: pytest.MonkeyPatch) -> None:
    environment.setenv("AUDIOJOB_STORE", '{"kind": "Folder"}')
    environment.setenv("AUDIOJOB_SITES", '[{"host": "b.example", "maxRunning": 1}]')
    environment.setenv("AUDIOJOB_JOB_NAMESPACES", '["voice"]')
    sites = [{"host": "a.example", "pauseSeconds": 5}]
    settings = load(file, {"store": {"kind": "S3", "bucket": "audio"}, "jobNamespaces": ["music"], "sites": sites})
    assert settings.store == FolderStore()
    assert settings.job_namespaces == ("voice",)
    assert settings.site_rules().limits == (SiteLimit("b.example", 1),)


def test_a_variable_can_correct_what_the_file_has_wrong(file: Path, environment: pytest.MonkeyPatch) -> None:
    environment.setenv("AUDIOJOB_CAPACITY__GPUS", "1")
    assert load(file, {"capacity": {"gpus": "many"}}).capacity.gpus == 1


def test_a_variable_of_a_group_does_not_hide_that_the_file_has_no_group(
    file: Path, environment: pytest.MonkeyPatch
) -> None:
    environment.setenv("AUDIOJOB_LEASE__IDENTITY", "a-pods-uid")
    assert ": lease: Input should be" in refusal(file, {"lease": 7})


# ---------------------------------------------------------------- mistakes


@pytest.mark.parametrize(
    ("content", "place"),
    [
        pytest.param({"colour": "red"}, "colour", id="at the top"),
        pytest.param({"job_namespaces": ["music"]}, "job_namespaces", id="a field by a variable's name"),
        pytest.param({"fetch": {"depth": 3}}, "fetch.depth", id="in a group"),
        pytest.param({"fetch": {"coolDown": {"mood": "calm"}}}, "fetch.coolDown.mood", id="in a group of a group"),
        pytest.param({"": 7}, "", id="an empty name"),
        pytest.param({"libraries": [{"name": "a", "prefix": "b", "users": ["me"]}]}, "libraries.0.users", id="library"),
        pytest.param({"sites": [{"host": "a.example", "maxRuning": 2}]}, "sites.0.maxRuning", id="in a site"),
        pytest.param({"store": {"kind": "S3", "bucket": "a", "prefx": "b"}}, "store.S3.prefx", id="in the store"),
    ],
)
def test_an_unknown_name_is_refused(file: Path, content: dict[str, Any], place: str) -> None:
    assert refusal(file, content).splitlines() == ["the settings are not valid:", f"{file}: {place}: {NO_SUCH}", REMEDY]


def test_all_mistakes_are_told_at_once(file: Path, environment: pytest.MonkeyPatch) -> None:
    environment.setenv("AUDIOJOB_WORKERS", "no")
    message = refusal(file, {"colour": "red", "capacity": {"gpus": "many"}})
    assert all(each in message for each in (f"{file}: colour: ", f"{file}: capacity.gpus: ", "\nAUDIOJOB_WORKERS: "))


@pytest.mark.parametrize(
    ("content", "place"),
    [
        pytest.param({"capacity": {"maxRunning": 0}}, "capacity.maxRunning: ", id="a number too small"),
        pytest.param({"capacity": {"gpus": "many"}}, "capacity.gpus: ", id="no number"),
        pytest.param({"capacity": 7}, "capacity: ", id="a value where a group is due"),
        pytest.param({"capacity": None}, "capacity: ", id="nothing where a group is due"),
        pytest.param({"jobNamespaces": "music"}, "jobNamespaces: ", id="a word where a list is due"),
        pytest.param({"jobNamespaces": [False]}, "jobNamespaces.0: ", id="a switch where a word is due"),
        pytest.param({"fetch": {"allowedCIDRs": ["10.1.2.3/16"]}}, "fetch.allowedCIDRs: ", id="host bits"),
        pytest.param(
            {"fetch": {"coolDown": {"since": "2026-11-28T12:00:00"}}},
            "fetch.coolDown.since: 2026-11-28T12:00:00 has no time zone",
            id="a time without a zone",
        ),
        pytest.param({"sites": [{"host": "YouTube.com"}]}, "sites.0.host: ", id="a host in capitals"),
        pytest.param({"store": {"kind": "S3"}}, "store.S3.bucket: ", id="a bucket without a name"),
        pytest.param({"store": {"kind": "NFS"}}, "store: ", id="an unknown kind of store"),
        pytest.param({"images": {"runner": "a"}}, "images.runnerTorch: Field required", id="an image missing"),
        pytest.param({"lease": {"retrySeconds": 60}}, "lease: needs retry_seconds <", id="lease times out of order"),
        pytest.param(
            {"libraries": [{"name": "a", "prefix": "b"}, {"name": "a", "prefix": "c"}]},
            "libraries: duplicate library name",
            id="a library twice",
        ),
    ],
)
def test_a_value_that_does_not_fit_is_named_with_its_file(file: Path, content: dict[str, Any], place: str) -> None:
    message = refusal(file, content)
    assert f"{file}: {place}" in message
    assert "AUDIOJOB_" not in message
    assert "Value error" not in message
    assert message.endswith(REMEDY)


def test_a_variable_that_does_not_fit_is_named_as_a_variable(file: Path, environment: pytest.MonkeyPatch) -> None:
    environment.setenv("AUDIOJOB_CAPACITY__GPUS", "many")
    environment.setenv("AUDIOJOB_SITES", "youtube.com")
    message = refusal(file, {"capacity": {"gpus": 1, "maxRunning": 0}, "sites": []})
    assert "AUDIOJOB_CAPACITY__GPUS: " in message
    assert 'for example AUDIOJOB_SITES=[{"host": "youtube.com"' in message
    assert f"{file}: capacity.maxRunning: " in message


def test_a_group_that_both_give_names_both(file: Path, environment: pytest.MonkeyPatch) -> None:
    environment.setenv("AUDIOJOB_LEASE__IDENTITY", "a-pods-uid")
    message = refusal(file, {"lease": {"retrySeconds": 60}})
    assert f"{file}, with the variables AUDIOJOB_LEASE__…: lease: needs " in message


@pytest.mark.parametrize(
    ("content", "words"),
    [
        pytest.param(b"", "Expecting value", id="an empty file"),
        pytest.param(b'{"images": {"runner": "a"', "line 1 column", id="a brace that is not closed"),
        pytest.param(b"workers: 3\n", "Expecting value: line 1 column 1", id="YAML"),
        pytest.param(b"{} {}", "Extra data: line 1 column 4", id="two documents"),
        pytest.param(b'{"workers": 1, "workers": 2}', "workers is written twice", id="a name twice"),
        pytest.param(b'{"fetch": {"secret": true, "secret": false}}', "secret is written twice", id="twice below"),
        pytest.param(b'{"workers": NaN}', "NaN is not a number", id="not a number"),
        pytest.param(b'{"images": "\xff"}', "codec can't decode", id="not UTF-8"),
        pytest.param(b'{"images": "\x00"}', "Invalid control character", id="a zero byte"),
        pytest.param(b"[" * 100_000, "recursion", id="nested without end"),
    ],
)
def test_a_file_that_is_not_json_is_refused(file: Path, content: bytes, words: str) -> None:
    message = refusal_of_text(file, content)
    assert message.startswith(f"{file}: the settings file is not valid JSON: ")
    assert words in message
    assert message.endswith(REMEDY)
    assert "\n" not in message


@pytest.mark.parametrize("content", [b"[]", b'["music"]', b'"music"', b"7", b"false", b"null"])
def test_a_file_without_names_is_refused(file: Path, content: bytes) -> None:
    assert f"{file}: the settings file must hold an object" in refusal_of_text(file, content)


def test_a_file_that_cannot_be_read_says_why(file: Path) -> None:
    with pytest.raises(SettingsError, match=r"cannot be read: No such file or directory\. Mount it there"):
        load_settings()
    file.mkdir()
    with pytest.raises(SettingsError, match=r"cannot be read: Is a directory\."):
        load_settings()


def test_an_empty_variable_names_no_file(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("AUDIOJOB_SETTINGS_FILE", "")
    with pytest.raises(SettingsError, match="AUDIOJOB_IMAGES: Field required"):
        load_settings()
