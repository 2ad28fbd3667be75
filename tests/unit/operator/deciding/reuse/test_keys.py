"""Which work is the same, and whose result may stand for it."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from tests.unit.operator.builders import NAMESPACE, NOW, SETTINGS, SHA, URL, audio_job, phase, with_settings

from audiojob_operator.deciding.reuse.keys import (
    Work,
    ask,
    donor_in,
    fits,
    given_back,
    may_donate,
    may_take,
    model_identity,
    must_wait,
    reuse_key,
    taken_over,
)
from audiojob_operator.records.objects import Object
from audiojob_operator.records.reuse import Donor, ReuseAsk, SameWork
from audiojob_operator.records.settings import DecideSettings, Images, Revision
from audiojob_types.contract import ManifestRef, PhaseInputFile
from audiojob_types.descriptor import ImageFamily
from audiojob_types.resources.job import AudioJob, JobOutput, PhaseStatus
from audiojob_types.resources.pipeline import AudioPipelineSpec, Phase
from audiojob_types.tasks.normalize import NormalizeParameters
from audiojob_types.tasks.separate import SeparateParameters

DOWNLOAD = Phase.model_validate(phase("download", "Download", inputs=[{"name": "source", "from": "Job"}]))
SEPARATE = Phase.model_validate(phase("separate", "Separate", inputs=[{"name": "audio", "from": "normalize"}]))
TRANSCODE = Phase.model_validate(phase("transcode", "Transcode", inputs=[{"name": "audio", "from": "normalize"}]))
MANIFEST = ManifestRef(key=f"{NAMESPACE}/uid/normalize/1-abcd1234/manifest.json", sha256="a" * 64, count=1)


def output(sha256: str = SHA, name: str = "audio") -> JobOutput:
    return JobOutput(phase="normalize", name=name, media_type="audio/wav", bytes=1, sha256=sha256)


def spec(**changes: Any) -> Any:
    return AudioJob.model_validate(audio_job(**changes)).spec


def revision(images: Images = SETTINGS.images, **changes: Any) -> Revision:
    return Revision("line-1", "line", AudioPipelineSpec.model_validate({"phases": [phase("only")], **changes}), images)


def fetching(url: str = URL, **changes: Any) -> Work:
    return Work(spec(**changes), DOWNLOAD, revision(), (PhaseInputFile(name="source", url=url),))


def separating(manifest: ManifestRef = MANIFEST, recorded: str | None = SHA, **changes: Any) -> Work:
    inputs = (PhaseInputFile(name="audio", manifest=manifest, output="audio", recorded_sha256=recorded),)
    return Work(spec(**changes), SEPARATE, revision(), inputs)


def transcoding(manifest: ManifestRef = MANIFEST) -> Work:
    return replace(separating(manifest), phase=TRANSCODE)


def running(text: str = "hello", **changes: Any) -> Work:
    """A program of the administrator, given a text."""
    program = phase("speak", "Container", image="docker.io/team/speak:1", reuse="Allowed", **changes)
    return Work(spec(), Phase.model_validate(program), revision(), (PhaseInputFile(name="script", text=text),))


OTHER_IMAGES = Images({family: f"docker.io/audiojob/{family.value}:2" for family in ImageFamily})
ELSEWHERE = ManifestRef(key=f"{NAMESPACE}/other/normalize/1-abcd1234/manifest.json", sha256="b" * 64, count=1)
STEMS = {"separate": {"stems": "FourStems", "model": "htdemucs"}}  # what the defaults say


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        pytest.param(fetching(), fetching(), True, id="the same address"),
        pytest.param(fetching(), fetching(f"{URL}?utm_source=x#t=1"), True, id="the same address in other words"),
        pytest.param(fetching(), fetching("https://media.example.org/b.ogg"), False, id="another address"),
        pytest.param(
            fetching(), fetching(parameters={"download": {"maxBytes": 5}}), False, id="another limit of a download"
        ),
        pytest.param(fetching(), fetching(parameters={"separate": {"seed": 5}}), True, id="parameters of another task"),
        pytest.param(fetching(), fetching(priority=9, queueName="night", name="b"), True, id="how urgent it is"),
        pytest.param(separating(), separating(ELSEWHERE), True, id="the same content in another folder"),
        pytest.param(separating(), separating(recorded="c" * 64), False, id="another content"),
        pytest.param(separating(), separating(recorded=None), False, id="a content that status does not list"),
        pytest.param(separating(recorded=None), separating(recorded=None), True, id="the same manifest says enough"),
        pytest.param(separating(recorded=None), separating(ELSEWHERE, None), False, id="another manifest does not"),
        pytest.param(transcoding(), transcoding(), True, id="tags of the same manifest"),
        pytest.param(
            transcoding(), transcoding(ELSEWHERE), False, id="tags of another manifest, though the bytes are the same"
        ),
        pytest.param(separating(), separating(parameters=STEMS), True, id="defaults that are written out"),
        pytest.param(
            separating(), separating(parameters={"separate": {"model": "mdx"}}), False, id="another model"
        ),
        pytest.param(separating(), separating(parameters={"separate": {"seed": 1}}), False, id="another seed"),
        pytest.param(separating(), separating(device="CPU"), True, id="another device"),
        pytest.param(
            separating(), replace(separating(), revision=revision(OTHER_IMAGES)), False, id="another image"
        ),
        pytest.param(fetching(), separating(), False, id="another task"),
        pytest.param(running(), running(), True, id="the same program on the same text"),
        pytest.param(running(), running("bye"), False, id="another text"),
        pytest.param(running(), running(args=["--fast"]), False, id="another program"),
    ],
)  # fmt: skip
def test_the_key(one: Work, other: Work, same: bool) -> None:
    first, second = reuse_key(one, SETTINGS), reuse_key(other, SETTINGS)
    assert first is not None
    assert len(first) == 64
    assert (first == second) is same


def test_all_addresses_of_a_video_lead_to_one_key() -> None:
    name = "dQw4w9WgXcQ"
    places = (
        f"www.youtube.com/watch?v={name}", f"youtu.be/{name}", f"m.youtube.com/watch?v={name}",
        f"www.youtube.com/embed/{name}", f"www.youtube.com/shorts/{name}", f"music.youtube.com/watch?v={name}&list=RD",
    )  # fmt: skip
    assert len({reuse_key(fetching(f"https://{place}"), SETTINGS) for place in places}) == 1
    other = fetching(f"https://youtu.be/{name[::-1]}")
    assert reuse_key(other, SETTINGS) != reuse_key(fetching(f"https://{places[0]}"), SETTINGS)


def test_a_runner_that_does_not_compare_its_inputs_gives_and_takes_nothing_made_from_them() -> None:
    before = replace(revision(), contract=1)
    assert reuse_key(replace(separating(), revision=before), SETTINGS) is None
    assert reuse_key(replace(fetching(), revision=before), SETTINGS) == reuse_key(fetching(), SETTINGS)


def test_networks_that_may_be_fetched_from_are_part_of_a_download_only() -> None:
    wider: DecideSettings = with_settings(allowed_cidrs=("10.0.0.0/8",))
    assert reuse_key(fetching(), SETTINGS) != reuse_key(fetching(), wider)
    assert reuse_key(separating(), SETTINGS) == reuse_key(separating(), wider)


def test_a_broadcast_has_no_key_for_it_is_another_one_every_time() -> None:
    live = {"download": {"allowLive": True, "maxRecordingSeconds": 60}}
    assert reuse_key(fetching(parameters=live), SETTINGS) is None


def test_a_published_model_is_known_by_the_checksums_of_its_files() -> None:
    identity = model_identity(SeparateParameters(model="htdemucs"))
    assert identity == "htdemucs,hybrid_transformer/955717e8-8726e21a.th"
    assert model_identity(SeparateParameters(model="demucs_unittest")) == "demucs_unittest"
    assert model_identity(NormalizeParameters()) is None


@pytest.mark.parametrize("word", ["Allowed", "Never", None])
def test_nothing_stands_for_a_publication_whatever_the_pipeline_says(word: str | None) -> None:
    publishing = phase("publish", "Publish", **({"reuse": word} if word else {}))
    assert not may_donate(Phase.model_validate(publishing))


def test_an_upload_has_no_key_for_it_may_be_replaced() -> None:
    work = replace(fetching(), inputs=(PhaseInputFile(name="source", key="music/uploads/a.flac"),))
    assert reuse_key(work, SETTINGS) is None


def test_an_output_of_another_job_is_known_by_its_content() -> None:
    bound = phase("normalize", "Normalize", inputs=[{"name": "source", "from": "Job"}])
    inputs = (PhaseInputFile(name="source", manifest=MANIFEST, output="audio", recorded_sha256="d" * 64),)
    one = Work(spec(), Phase.model_validate(bound), revision(), inputs)
    moved = (PhaseInputFile(name="source", manifest=ELSEWHERE, output="audio", recorded_sha256="d" * 64),)
    assert reuse_key(one, SETTINGS) == reuse_key(replace(one, inputs=moved), SETTINGS)


@pytest.mark.parametrize(
    ("task", "said", "may"),
    [
        pytest.param("Download", None, True, id="a download"),
        pytest.param("Separate", None, True, id="stems"),
        pytest.param("Simulate", None, False, id="a task whose outputs are not what it is for"),
        pytest.param("Simulate", "Allowed", True, id="the pipeline allows it"),
        pytest.param("Separate", "Never", False, id="the pipeline forbids it"),
    ],
)
def test_may_donate(task: str, said: str | None, may: bool) -> None:
    of = Phase.model_validate(phase("one", task, **({"reuse": said} if said else {})))
    assert may_donate(of) is may


@pytest.mark.parametrize(
    ("record", "changes", "may"),
    [
        pytest.param(PhaseStatus(name="download"), {}, True, id="by default"),
        pytest.param(PhaseStatus(name="download"), {"reuse": "Never"}, False, id="the job wants none"),
        pytest.param(PhaseStatus(name="download", reuse_off=True), {}, False, id="the files were missing before"),
    ],
)
def test_may_take(record: PhaseStatus, changes: Object, may: bool) -> None:
    assert may_take(spec(**changes), DOWNLOAD, record) is may


# ---------------------------------------------------------------- donors

KEY = "e" * 64
DAY = timedelta(days=1)


def donor(finished: datetime | None = NOW, expires: datetime | None = None) -> Donor:
    return Donor("first", "download", MANIFEST, (), finished, expires)


@pytest.mark.parametrize(
    ("wanted", "offered", "fit"),
    [
        pytest.param(ReuseAsk(KEY, 5), donor(NOW - 300 * DAY), True, id="age does not matter to most work"),
        pytest.param(ReuseAsk(KEY, 5, NOW - DAY), donor(NOW - DAY), True, id="a download of just a day"),
        pytest.param(ReuseAsk(KEY, 5, NOW - DAY), donor(NOW - DAY - timedelta(seconds=1)), False, id="an older one"),
        pytest.param(ReuseAsk(KEY, 5, NOW - DAY), donor(None), False, id="one of unknown age"),
        pytest.param(ReuseAsk(KEY, 5), donor(expires=NOW + 300 * DAY), False, id="files that are swept some day"),
        pytest.param(ReuseAsk(KEY, 5, kept_until=NOW + DAY), donor(expires=NOW + DAY), True, id="kept for long enough"),
        pytest.param(ReuseAsk(KEY, 5, kept_until=NOW + DAY), donor(expires=NOW), False, id="swept too soon"),
        pytest.param(ReuseAsk(KEY, 5, kept_until=NOW + DAY), donor(), True, id="kept for ever"),
    ],
)
def test_fits(wanted: ReuseAsk, offered: Donor, fit: bool) -> None:
    assert fits(wanted, offered) is fit


@pytest.mark.parametrize(
    ("of", "kept", "wanted"),
    [
        pytest.param(DOWNLOAD, {}, ReuseAsk(KEY, 5, NOW - DAY), id="a download is asked for its age"),
        pytest.param(SEPARATE, {}, ReuseAsk(KEY, 5), id="stems are not"),
        pytest.param(
            SEPARATE,
            {"retentionSeconds": 7200},
            ReuseAsk(KEY, 5, kept_until=NOW + timedelta(hours=1)),
            id="who keeps files for two hours wants them for one",
        ),
        pytest.param(SEPARATE, {"priority": 8}, ReuseAsk(KEY, 8), id="as urgent as the pipeline says"),
    ],
)
def test_ask(of: Phase, kept: Object, wanted: ReuseAsk) -> None:
    assert ask(KEY, spec(), of, revision(**kept), SETTINGS, NOW) == wanted


@pytest.mark.parametrize(
    ("other", "wait"),
    [
        pytest.param(SameWork("first", 1), True, id="it works, however urgent it is"),
        pytest.param(SameWork("first", 4, "Unschedulable"), False, id="a less urgent one gets nowhere"),
        pytest.param(SameWork("first", 5, "Unschedulable"), False, id="one as urgent gets nowhere"),
        pytest.param(SameWork("first", 9, "PodStarting"), False, id="a more urgent one gets nowhere"),
        pytest.param(SameWork("first", 5, "WaitingForKueue"), True, id="one as urgent stands in line at Kueue"),
        pytest.param(SameWork("first", 4, "EvictedByKueue"), False, id="a less urgent one stands in line at Kueue"),
        pytest.param(SameWork("first", 5, "ToldToWorker"), True, id="of one as urgent it is a worker's next phase"),
        pytest.param(
            SameWork("first", 4, "ToldToWorker"), False, id="of a less urgent one it is a worker's next phase"
        ),
    ],
)
def test_must_wait(other: SameWork, wait: bool) -> None:
    assert must_wait(ReuseAsk(KEY, 5), other) is wait


def finished_job(**record: Any) -> AudioJob:
    job = audio_job("first")
    done = {"name": "normalize", "state": "Succeeded", "manifest": MANIFEST.to_wire(), "reuseKey": KEY, **record}
    job["status"] = {"state": "Succeeded", "phases": [done], "outputs": [output().to_wire()]}
    return AudioJob.model_validate(job)


def test_a_donor_is_read_from_the_status_of_its_job() -> None:
    found = donor_in(finished_job(completionTime="2026-03-01T11:00:00Z"), KEY)
    assert found == Donor("first", "normalize", MANIFEST, (output(),), NOW - timedelta(hours=1))


@pytest.mark.parametrize(
    "record",
    [
        pytest.param({"reuseKey": "f" * 64}, id="it has done other work"),
        pytest.param({"state": "Running"}, id="it is still at it"),
        pytest.param(
            {"manifest": {**MANIFEST.to_wire(), "key": "other/u/p/1-a/manifest.json"}}, id="another namespace"
        ),
        pytest.param({"manifest": {**MANIFEST.to_wire(), "key": "music/manifest.json"}}, id="no phase's manifest"),
    ],
)
def test_no_donor_where(record: Object) -> None:
    assert donor_in(finished_job(**record), KEY) is None


@pytest.mark.parametrize(
    ("count", "serves"),
    [
        pytest.param(1, False, id="a reader that does not name the only output would not find it"),
        pytest.param(30, True, id="readers name theirs where there are many"),
    ],
)
def test_a_donor_whose_outputs_status_does_not_list_any_more(count: int, serves: bool) -> None:
    job = finished_job(manifest={**MANIFEST.to_wire(), "count": count})
    status = job.status.model_copy(update={"outputs": ()})
    found = donor_in(job.model_copy(update={"status": status}), KEY)
    assert (found is not None) is serves


def test_who_took_over_names_who_did_the_work() -> None:
    found = donor_in(finished_job(reusedFrom="root"), KEY)
    assert found is not None
    assert found.job == "root"


def test_what_was_given_back_is_never_taken_again() -> None:
    record = taken_over(PhaseStatus(name="download"), donor(), KEY)
    assert (record.state, record.reused_from, record.completion_time) == ("Succeeded", "first", NOW)
    back = given_back(record)
    assert (back.state, back.manifest, back.reused_from, back.reuse_off) == ("Waiting", None, None, True)
    assert not may_take(spec(), DOWNLOAD, back)
