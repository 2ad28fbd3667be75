"""AudioJobs that a real API server takes, and those that it refuses with a sentence that helps."""

from __future__ import annotations

from typing import Any

import pytest
from tests.integration.crds.resources import Resources

from audiojob_types.resources.job import FINISHED_STATES, AudioJob, AudioJobSpec, State

pytestmark = pytest.mark.integration

Spec = dict[str, Any]
URL = "https://example.org/song.flac"
APPROVAL = {"phase": "separate", "approved": True, "message": ""}
REJECTION = {"phase": "publish", "approved": False, "message": "too quiet"}
LYRICS = {"name": "lyrics", "text": "La la la"}


def spec(**others: Any) -> Spec:
    """A spec with a pipeline and these fields."""
    return {"pipeline": "separate", **others}


def handing_in(*inputs: Any) -> Spec:
    """A review that hands these inputs in."""
    return {**APPROVAL, "inputs": list(inputs)}


def separate(**parameters: Any) -> Spec:
    return spec(parameters={"separate": parameters})


def download(**parameters: Any) -> Spec:
    return spec(parameters={"download": parameters})


ACCEPTED: dict[str, Spec] = {
    "a film up to a height, as mp4": download(format="Video720p", container="mp4", subtitles=["en", "pt-BR"]),
    "a live stream with an end": download(allowLive=True, maxRecordingSeconds=600),
    "a look at a list": spec(parameters={"inspect": {"maxEntries": 5_000}}),
    "a pipeline alone": spec(),
    "a retry": spec(retryOf="song-1"),
    "all of the work anew": spec(reuse="Never"),
    "reviews from the start": spec(reviews=[APPROVAL, {"phase": "a", "approved": False}]),
    "16 reviews": spec(reviews=[APPROVAL] * 16),
    "the largest retry": spec(retry={"limit": 10, "baseSeconds": 3_600, "capSeconds": 86_400}),
    "the longest times": spec(
        activeDeadlineSeconds=2_592_000, queueTimeoutSeconds=2_592_000, ttlSecondsAfterFinished=31_536_000
    ),
    "every model with its stems": separate(model="htdemucs_6s", stems="SixStems"),
    "six stems by preset": separate(preset="Best", stems="SixStems"),
    "every option of Separate": separate(
        preset="Fast", model="audiojob_proof", stems="AllStems", keep=["tonal", "percussive"], format="wav",
        bitDepth="Float32", sampleRate=48_000, sumToMix=True, shifts=1, overlapPercent=50, seed=1, precision="Mixed",
    ),
    "stems as MP3": separate(format="mp3"),
    "two stems of the untrained model": separate(model="demucs_unittest", stems="TwoStems", format="wav"),
    "values for a program": spec(parameters={"container": {"values": {"voice": "de", "Speed_2": "x" * 1_024}}}),
    "parameters of two tasks": spec(parameters={"download": {"maxBytes": 1}, "simulate": {"exitCode": 75}}),
    "the lowest priority": spec(priority=1),
    "the highest priority": spec(priority=10),
    "every other field": spec(
        queueName="night", device="GPU", startTime="2026-01-01T00:00:00Z", activeDeadlineSeconds=60,
        queueTimeoutSeconds=60, ttlSecondsAfterFinished=0, suspend=True,
        retry={"limit": 1, "baseSeconds": 0, "capSeconds": 1},
    ),
}  # fmt: skip


@pytest.mark.parametrize("body", ACCEPTED.values(), ids=ACCEPTED.keys())
def test_accepted(resources: Resources, body: Spec) -> None:
    answer = resources.try_job(body)
    assert answer.status == 200, answer.message


# The refused spec, and words that the answer must have: the field, and what to do.
REFUSED: dict[str, tuple[Spec, list[str]]] = {
    "no pipeline": ({"source": {"url": URL}}, ["spec.pipeline", "Required"]),
    "an unknown word on reuse": (spec(reuse="Sometimes"), ["spec.reuse", '"Allowed", "Never"']),
    "a retry of what is no name": (spec(retryOf="../other"), ["spec.retryOf"]),
    "a retry of a name of 64 characters": (spec(retryOf="a" * 64), ["spec.retryOf", "63"]),
    "a review without a verdict": (spec(reviews=[{"phase": "a"}]), ["spec.reviews[0].approved", "Required"]),
    "a review without a phase": (spec(reviews=[{"approved": True}]), ["spec.reviews[0].phase", "Required"]),
    "a word for a verdict": (spec(reviews=[{"phase": "a", "approved": "yes"}]), ["spec.reviews[0].approved"]),
    "a review with a long message": (
        spec(reviews=[{**APPROVAL, "message": "x" * 1_025}]),
        ["spec.reviews[0].message", "1024"],
    ),
    "17 reviews": (spec(reviews=[APPROVAL] * 17), ["spec.reviews", "at most 16"]),
    "an image for a program": (spec(parameters={"container": {"image": "evil"}}), ["unknown field", "container.image"]),
    "a command for a program": (spec(parameters={"container": {"command": ["sh"]}}), ["unknown field", "command"]),
    "a command as one would write it in a pod": (spec(command=["sh"]), ["unknown field", "spec.command"]),
    "a variable for a program": (spec(parameters={"container": {"env": []}}), ["unknown field", "container.env"]),
    "a value whose name is a path": (
        spec(parameters={"container": {"values": {"../x": "a"}}}),
        ["spec.parameters.container.values", "must begin with a letter"],
    ),
    "a value of 1,025 characters": (
        spec(parameters={"container": {"values": {"a": "x" * 1_025}}}),
        ["spec.parameters.container.values.a", "1024"],
    ),
    "33 values": (
        spec(parameters={"container": {"values": {f"v{n}": "" for n in range(33)}}}),
        ["spec.parameters.container.values", "at most 32"],
    ),
    "a value that is no text": (
        spec(parameters={"container": {"values": {"a": 1}}}),
        ["spec.parameters.container.values.a", "string"],
    ),
    "a template for pods": (spec(podTemplate={}), ["unknown field", "spec.podTemplate"]),
    "an image": (spec(image="evil"), ["unknown field", "spec.image"]),
    "an unknown field": (spec(colour="red"), ["unknown field", "spec.colour"]),
    "an unknown task in parameters": (spec(parameters={"mix": {}}), ["unknown field", "spec.parameters.mix"]),
    "an unknown parameter": (separate(gain=3), ["unknown field", "spec.parameters.separate.gain"]),
    "an unknown model": (separate(model="spleeter"), ["spec.parameters.separate.model", "supported values", '"mdx"']),
    "a path for a model": (separate(model="/models/evil.th"), ["spec.parameters.separate.model", "supported values"]),
    "six stems with the default model": (separate(stems="SixStems"), ["needs model: htdemucs_6s"]),
    "six stems with a model of four": (separate(stems="SixStems", model="htdemucs"), ["needs model: htdemucs_6s"]),
    "a film in a container of sound": (download(format="BestVideo", container="mp3"), ["cannot hold video"]),
    "sound as mp4": (download(container="mp4"), ["mp4 needs a format with video"]),
    "a live stream without an end": (download(allowLive=True), ["allowLive needs maxRecordingSeconds"]),
    "yt-dlp's own format": (download(format="137+140"), ["spec.parameters.download.format", "supported values"]),
    "a pattern for a language": (download(subtitles=["en.*"]), ["spec.parameters.download.subtitles[0]"]),
    "a language twice": (download(subtitles=["en", "en"]), ["spec.parameters.download.subtitles"]),
    "a bit rate without loss": (
        spec(parameters={"transcode": {"format": "wav", "bitrateKilobits": 128}}),
        ["bitrateKilobits must be left out with format flac or wav"],
    ),
    "an encoder of ffmpeg": (
        spec(parameters={"transcode": {"format": "libx264"}}),
        ["spec.parameters.transcode.format", "supported values", '"mp4"'],
    ),
    "filters of ffmpeg": (spec(parameters={"transcode": {"filters": "x"}}), ["unknown field", "transcode.filters"]),
    "a tag without end": (spec(parameters={"transcode": {"title": "x" * 1_001}}), ["transcode.title", "1000"]),
    "a cover at a time": (
        spec(parameters={"thumbnail": {"origin": "Cover", "timeMilliseconds": 1}}),
        ["timeMilliseconds must be left out with origin: Cover"],
    ),
    "an unknown format": (separate(format="m4a"), ["spec.parameters.separate.format", "supported values"]),
    "an unknown preset": (separate(preset="Perfect"), ["spec.parameters.separate.preset", "supported values"]),
    "an unknown stem to keep": (separate(keep=["../x"]), ["spec.parameters.separate.keep", "supported values"]),
    "a stem to keep twice": (separate(keep=["bass", "bass"]), ["spec.parameters.separate.keep", "Duplicate"]),
    "an odd sample rate": (separate(sampleRate=44_000), ["spec.parameters.separate.sampleRate", "supported values"]),
    "float samples in FLAC": (separate(bitDepth="Float32"), ["bitDepth: Float32 needs format: wav"]),
    "bits of an MP3": (separate(bitDepth="Int16", format="mp3"), ["bitDepth needs format: wav or format: flac"]),
    "six stems of a preset with a model of four": (
        separate(stems="SixStems", preset="Best", model="mdx"),
        ["needs model: htdemucs_6s"],
    ),
    "a fraction for an integer": (separate(shifts=1.5), ["spec.parameters.separate.shifts", "integer"]),
    "priority 0": (spec(priority=0), ["spec.priority", "greater than or equal to 1"]),
    "priority 11": (spec(priority=11), ["spec.priority", "less than or equal to 10"]),
    "a word for a priority": (spec(priority="high"), ["spec.priority", "integer"]),
    "an unknown device": (spec(device="TPU"), ["spec.device", "supported values"]),
    "a pipeline with dots": (spec() | {"pipeline": "a.b"}, ["spec.pipeline"]),
    "a pipeline path": (spec() | {"pipeline": "../separate"}, ["spec.pipeline"]),
    "no retries at all": (spec(retry={"limit": 0}), ["spec.retry.limit", "greater than or equal to 1"]),
    "retries without end": (spec(retry={"limit": 10**9}), ["spec.retry.limit", "less than or equal to 10"]),
    "fewer retries than none": (spec(retry={"limit": -1}), ["spec.retry.limit", "greater than or equal to 1"]),
    "a deadline of a year in words": (spec(activeDeadlineSeconds="1y"), ["spec.activeDeadlineSeconds", "integer"]),
    "a deadline of a year": (spec(activeDeadlineSeconds=31_536_000), ["spec.activeDeadlineSeconds", "2592000"]),
    "no time in the queue": (spec(queueTimeoutSeconds=0), ["spec.queueTimeoutSeconds"]),
    "a time that is no number": (spec(activeDeadlineSeconds=float("nan")), []),
    "a time without end": (spec(activeDeadlineSeconds=float("inf")), []),
    "a truth for a number": (spec(priority=True), ["spec.priority", "integer"]),
    "a number of 4,000 digits": (spec(priority=10**3_999), ["cannot unmarshal number"]),
    "a deadline of zero": (spec(activeDeadlineSeconds=0), ["spec.activeDeadlineSeconds"]),
    "a negative time to live": (spec(ttlSecondsAfterFinished=-1), ["spec.ttlSecondsAfterFinished"]),
    "a start time that is no time": (spec(startTime="tomorrow"), ["spec.startTime", "must be a time such as"]),
}  # fmt: skip


@pytest.mark.parametrize(("body", "words"), REFUSED.values(), ids=REFUSED.keys())
def test_refused(resources: Resources, body: Spec, words: list[str]) -> None:
    answer = resources.try_job(body)
    assert answer.status in {400, 422}
    assert [word for word in words if word not in answer.message] == [], answer.message


# Row B29: what is no language is refused where it is written, and so are too many of them.
LANGUAGES: dict[str, tuple[list[str], list[str]]] = {
    "1,000 languages": ([f"x{number:03}" for number in range(1_000)], ["spec.parameters.download.subtitles"]),
    "11 languages": ([f"a{letter}" for letter in "abcdefghijk"], ["spec.parameters.download.subtitles", "10"]),
    "a pattern": (["en.*"], ["spec.parameters.download.subtitles[0]"]),
    "an override of a style": ([r"{\\an8}en"], ["spec.parameters.download.subtitles[0]"]),
    "an empty word": ([""], ["spec.parameters.download.subtitles[0]"]),
}


@pytest.mark.parametrize(("languages", "words"), LANGUAGES.values(), ids=LANGUAGES.keys())
def test_B29_languages(resources: Resources, languages: list[str], words: list[str]) -> None:  # noqa: N802
    answer = resources.try_job(download(subtitles=languages))
    assert answer.status == 422
    assert [word for word in words if word not in answer.message] == [], answer.message


NAMES = {
    "of 63 characters": ("a" * 63, []),
    "of one character": ("a", []),
    "of 64 characters": ("a" * 64, ["at most 63 characters"]),
    "of 253 characters": ("a" * 253, ["at most 63 characters"]),
    "with a dash at its end": ("song-", ["metadata.name", "lowercase"]),
    "of letters with dots on them": ("überraschung", ["metadata.name", "lowercase"]),
    "with dots": ("my.song", ["must not contain dots", "my-song-1"]),
    "in capitals": ("Song", ["metadata.name", "lowercase"]),
}


@pytest.mark.parametrize(("name", "words"), NAMES.values(), ids=NAMES.keys())
def test_names(resources: Resources, name: str, words: list[str]) -> None:
    answer = resources.try_job(spec(), name=name)
    assert (answer.status == 200) == (not words), answer.message
    assert [word for word in words if word not in answer.message] == [], answer.message


FULL: Spec = spec(
    source={"url": URL},
    inputs=[{"name": "lyrics", "text": "la"}],
    parameters={"separate": {"model": "htdemucs"}},
    queueName="night",
    priority=3,
    device="Auto",
    startTime="2026-01-01T00:00:00Z",
    activeDeadlineSeconds=60,
    queueTimeoutSeconds=60,
    ttlSecondsAfterFinished=60,
    suspend=False,
    cancel=False,
    retry={"limit": 3, "baseSeconds": 2, "capSeconds": 600},
    retryOf="first",
    reuse="Allowed",
    destination={"library": "music", "layout": "Artist"},
    reviews=[APPROVAL],
)
CHANGES: dict[str, Any] = {
    "pipeline": "download",
    "source": {"url": f"{URL}?other"},
    "inputs": [{"name": "lyrics", "text": "la la"}],
    "parameters": {"separate": {"model": "mdx"}},
    "queueName": "day",
    "device": "CPU",
    "startTime": "2027-01-01T00:00:00Z",
    "activeDeadlineSeconds": 61,
    "queueTimeoutSeconds": 61,
    "retry": {"limit": 4},
    "retryOf": "second",
    "reuse": "Never",
    "destination": {"library": "music", "layout": "Title"},
    "reviews": [APPROVAL, REJECTION],
    "priority": 4,
    "ttlSecondsAfterFinished": 61,
    "suspend": True,
    "cancel": True,
}
OPTIONAL = sorted(CHANGES.keys() - {"pipeline", "queueName", "suspend", "cancel", "reuse"} - AudioJobSpec.MUTABLE)


def test_every_field_of_a_spec_is_in_the_tables_above() -> None:
    fields = {field.alias or name for name, field in AudioJobSpec.model_fields.items()}
    assert FULL.keys() == CHANGES.keys() == fields


@pytest.mark.parametrize("name", sorted(CHANGES.keys() - AudioJobSpec.MUTABLE))
def test_an_immutable_field_cannot_be_changed(resources: Resources, name: str) -> None:
    job = resources.create_job(FULL)
    answer = resources.patch_spec(job, {name: CHANGES[name]})
    assert answer.status == 422
    assert f"{name} cannot be changed after creation; create a new AudioJob" in answer.message


@pytest.mark.parametrize("name", OPTIONAL)
def test_an_immutable_field_cannot_be_removed_or_added(resources: Resources, name: str) -> None:
    removed = resources.patch_spec(resources.create_job(FULL), {name: None})
    added = resources.patch_spec(resources.create_job(spec()), {name: FULL[name]})
    for answer in (removed, added):
        assert answer.status == 422
        assert f"{name} cannot be changed after creation" in answer.message


@pytest.mark.parametrize("name", sorted(AudioJobSpec.MUTABLE))
def test_a_mutable_field_can_be_changed(resources: Resources, name: str) -> None:
    job = resources.create_job(FULL)
    answer = resources.patch_spec(job, {name: CHANGES[name]})
    assert answer.status == 200, answer.message
    assert answer.body["spec"][name] == CHANGES[name]
    assert answer.body["metadata"]["generation"] == 2


@pytest.mark.parametrize("final", sorted(FINISHED_STATES))
@pytest.mark.parametrize("name", sorted(AudioJobSpec.MUTABLE - AudioJobSpec.MUTABLE_AT_THE_END))
def test_nothing_is_asked_of_a_job_that_has_ended(resources: Resources, name: str, final: State) -> None:
    job = resources.create_job(FULL)
    assert resources.patch_status(job, {"state": final}).status == 200
    answer = resources.patch_spec(job, {name: CHANGES[name]})
    assert answer.status == 422
    assert f"spec.{name} cannot be changed: the job has ended" in answer.message


def test_a_job_that_has_ended_may_be_written_again_as_it_is_and_kept_longer(resources: Resources) -> None:
    job = resources.create_job(FULL)
    assert resources.patch_spec(job, {"cancel": True}).status == 200
    assert resources.patch_status(job, {"state": "Cancelled"}).status == 200
    again = resources.patch_spec(job, {**FULL, "cancel": True, "ttlSecondsAfterFinished": 61})
    assert again.status == 200, again.message
    bare = resources.create_job(spec())
    assert resources.patch_status(bare, {"state": "Failed"}).status == 200
    assert resources.patch_spec(bare, {"ttlSecondsAfterFinished": 5}).status == 200
    assert resources.patch_spec(bare, {"priority": 5}).status == 422


def test_suspend_goes_both_ways_and_cancel_only_one(resources: Resources) -> None:
    job = resources.create_job(spec())
    assert resources.patch_spec(job, {"suspend": True}).status == 200
    assert resources.patch_spec(job, {"suspend": False}).status == 200
    assert resources.patch_spec(job, {"cancel": True}).status == 200
    for undo in (False, None):
        answer = resources.patch_spec(job, {"cancel": undo})
        assert answer.status == 422
        assert "cancel cannot be taken back" in answer.message


APPENDED: dict[str, tuple[list[Any], Any, bool]] = {
    "the first review": ([], [APPROVAL], True),
    "one more": ([APPROVAL], [APPROVAL, REJECTION], True),
    "two more": ([APPROVAL], [APPROVAL, REJECTION, APPROVAL], True),
    "the same again": ([APPROVAL, REJECTION], [APPROVAL, REJECTION], True),
    "another verdict": ([APPROVAL], [{**APPROVAL, "approved": False}], False),
    "another message": ([APPROVAL], [{**APPROVAL, "message": "never mind"}], False),
    "one less": ([APPROVAL, REJECTION], [APPROVAL], False),
    "none any more": ([APPROVAL], [], False),
    "no list any more": ([APPROVAL], None, False),
    "inputs for a review that was given": ([APPROVAL], [handing_in(LYRICS)], False),
    "other inputs": ([handing_in(LYRICS)], [handing_in({**LYRICS, "text": "Lo"})], False),
    "inputs taken back": ([handing_in(LYRICS)], [APPROVAL], False),
    "one more beside inputs": ([handing_in(LYRICS)], [handing_in(LYRICS), REJECTION], True),
    "another order": ([APPROVAL, REJECTION], [REJECTION, APPROVAL], False),
    "one put in front": ([APPROVAL], [REJECTION, APPROVAL], False),
}


@pytest.mark.parametrize(("before", "after", "taken"), APPENDED.values(), ids=APPENDED.keys())
def test_reviews_are_only_added_to(resources: Resources, before: list[Any], after: Any, taken: bool) -> None:
    job = resources.create_job(spec(reviews=before) if before else spec())
    answer = resources.patch_spec(job, {"reviews": after})
    assert answer.status == (200 if taken else 422), answer.message
    assert taken or "reviews cannot be changed or removed, only added" in answer.message


def test_a_new_job_shows_its_defaults(resources: Resources) -> None:
    answer = resources.try_job({"pipeline": "separate"})
    assert answer.body["spec"] == {
        "pipeline": "separate",
        "queueName": "default",
        "suspend": False,
        "cancel": False,
        "reuse": "Allowed",
    }
    assert answer.body["status"] == {"state": "Pending", "percent": 0, "message": "Waiting for the operator"}


def test_the_servers_defaults_are_the_models(resources: Resources) -> None:
    body = resources.try_job(spec(retry={}, source={"url": URL})).body
    parsed = AudioJob.model_validate(body)
    # The server does not store empty lists.
    assert parsed.spec.to_wire() == {**body["spec"], "inputs": [], "reviews": []}
    assert AudioJobSpec.model_validate(spec(retry={}, source={"url": URL})).to_wire() == parsed.spec.to_wire()


def test_a_status_given_at_creation_is_ignored(resources: Resources) -> None:
    answer = resources.try_job(spec(), status={"state": "Succeeded", "percent": 100})
    assert answer.status == 200
    assert answer.body["status"]["state"] == "Pending"
