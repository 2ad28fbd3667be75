"""Libraries: users name them, administrators say where they are, and Publish alone writes into them."""

from __future__ import annotations

from typing import Any

import pytest
from tests.unit.operator.builders import URL, World, audio_job, phase, phase_input_of, pipeline, with_settings

from audiojob_operator.records.libraries import Library
from audiojob_operator.records.objects import Object
from audiojob_types.contract import FolderStore, PhaseDestination, PhaseLibrary, S3Store
from audiojob_types.destination import Layout
from audiojob_types.resources.job import State

NAS = Library("nas", claim_name="nas-music")
SHELF = Library("shelf", prefix="shelf/rock")
OLD = Library("old", claim_name="old-music", read_only=True)
THEIRS = Library("theirs", claim_name="their-music", namespaces=("speech",))
LIBRARIES = (NAS, SHELF, OLD, THEIRS)
S3 = S3Store(bucket="music", prefix="team-a", endpoint="https://s3.example.org")


def keeping(**more: Any) -> Object:
    """work → keep (Publish) → count, which runs after keep."""
    return pipeline(
        phase("fetch", "Download", inputs=[{"name": "source", "from": "Job"}]),
        phase(
            "keep",
            "Publish",
            inputs=[
                {"name": "source", "from": "fetch"},
                {"name": "about", "from": "fetch", "output": "audio"},
            ],
        ),
        phase("count", **more),
        name="keeping",
    )


def world(*, store: FolderStore | S3Store | None = None, chain: Object | None = None, **spec: Any) -> World:
    spec.setdefault("source", {"url": URL})
    settings = with_settings(libraries=LIBRARIES, store=store or FolderStore())
    return World(audiojob=audio_job(pipeline="keeping", **spec), pipeline=chain or keeping(), settings=settings)


def published(w: World) -> Object:
    """The Job of the phase that publishes."""
    w.turn()
    w.succeed("fetch")
    w.turn()
    return w.newest("keep")


def pod_of(job: Object) -> Object:
    spec: Object = job["spec"]["template"]["spec"]
    return spec


def mount_at(job: Object, path: str) -> Object | None:
    mounts: list[Object] = pod_of(job)["containers"][0]["volumeMounts"]
    return next((mount for mount in mounts if mount["mountPath"] == path), None)


def test_publish_gets_the_librarys_claim_and_the_layout() -> None:
    job = published(world(destination={"library": "nas", "layout": "ArtistAlbum"}))

    told = phase_input_of(job)
    assert told.destination == PhaseDestination(library="nas", layout=Layout.ARTIST_ALBUM)
    assert told.libraries == (PhaseLibrary(name="nas", store=FolderStore(root="/store/music/libraries/nas")),)
    assert [(file.name, file.about) for file in told.inputs] == [("source", None), ("about", True)]
    assert mount_at(job, "/store/music/libraries/nas") == {
        "mountPath": "/store/music/libraries/nas",
        "name": "library-nas",
    }
    volume = next(each for each in pod_of(job)["volumes"] if each["name"] == "library-nas")
    assert volume == {"name": "library-nas", "persistentVolumeClaim": {"claimName": "nas-music"}}


def test_no_other_phase_sees_the_library() -> None:
    w = world(destination={"library": "nas"})
    published(w)
    w.succeed("keep")
    w.turn()
    for name in ("fetch", "count"):
        assert mount_at(w.newest(name), "/store/music/libraries/nas") is None
        assert phase_input_of(w.newest(name)).destination is None


def test_a_prefix_of_a_folder_store_is_a_folder_of_its_claim() -> None:
    job = published(world(destination={"library": "shelf"}))
    assert mount_at(job, "/store/music/libraries/shelf") == {
        "mountPath": "/store/music/libraries/shelf",
        "name": "store",
        "subPath": "shelf/rock",
    }


def test_a_prefix_of_a_bucket_is_reached_with_the_stores_own_key() -> None:
    job = published(world(store=S3, destination={"library": "shelf"}))
    [library] = phase_input_of(job).libraries
    assert isinstance(library.store, S3Store)
    assert (library.store.bucket, library.store.prefix) == ("music", "team-a/shelf/rock")
    assert mount_at(job, "/store/music/libraries/shelf") is None


def test_a_claim_is_a_folder_also_where_the_store_is_a_bucket() -> None:
    job = published(world(store=S3, destination={"library": "nas"}))
    [library] = phase_input_of(job).libraries
    assert library.store == FolderStore(root="/store/music/libraries/nas")
    assert mount_at(job, "/store/music/libraries/nas") is not None


def test_a_source_of_a_library_is_mounted_read_only() -> None:
    w = world(source={"library": {"name": "old", "path": "Band/Song.flac"}})
    w.turn()
    job = w.newest("fetch")

    [file] = phase_input_of(job).inputs
    assert (file.library, file.key) == ("old", "Band/Song.flac")
    mount = mount_at(job, "/store/music/libraries/old")
    assert mount is not None
    assert mount["readOnly"] is True
    volume = next(each for each in pod_of(job)["volumes"] if each["name"] == "library-old")
    assert volume["persistentVolumeClaim"] == {"claimName": "old-music", "readOnly": True}


def test_without_a_destination_the_phase_is_left_out_and_the_rest_goes_on() -> None:
    w = world()
    w.turn()
    assert [record.name for record in w.job.status.phases] == ["fetch", "count"]
    w.succeed("fetch")
    w.turn()
    w.succeed("count")
    w.turn()
    assert w.state() is State.SUCCEEDED


def test_phases_behind_one_that_is_left_out_wait_for_those_before_it() -> None:
    w = world(chain=keeping(after=["keep"]))
    w.turn()
    assert len(w.jobs) == 1, "count waits for fetch"
    w.succeed("fetch")
    w.turn()
    assert w.newest("count")


def test_with_and_without_a_destination_are_two_revisions() -> None:
    with_one, without = world(destination={"library": "nas"}), world()
    with_one.turn()
    without.turn()
    assert with_one.revisions.keys() != without.revisions.keys()


REFUSED: dict[str, tuple[dict[str, Any], Object | None, list[str]]] = {
    "a library that nobody set up": (
        {"destination": {"library": "attic"}},
        None,
        ["spec.destination.library", "no library attic", "nas, old, shelf"],
    ),
    "a library of another namespace": (
        {"destination": {"library": "theirs"}},
        None,
        ["spec.destination.library", "no library theirs"],
    ),
    "a library that is only read": (
        {"destination": {"library": "old"}},
        None,
        ["spec.destination.library", "only read", "nas, shelf"],
    ),
    "a source in an unknown library": (
        {"source": {"library": {"name": "attic", "path": "a.flac"}}},
        None,
        ["spec.source.library.name", "no library attic"],
    ),
    "a destination where nothing publishes": (
        {"destination": {"library": "nas"}},
        pipeline(phase("only"), name="keeping"),
        ["spec.destination", "no phase that publishes", "source.jobRef"],
    ),
    "no destination where all phases publish": (
        {},
        pipeline(phase("keep", "Publish", inputs=[{"name": "source", "from": "Job"}]), name="keeping"),
        ["spec.destination", "name a library"],
    ),
    "no destination where a later phase reads what was published": (
        {},
        pipeline(
            phase("fetch"),
            phase("keep", "Publish", inputs=[{"name": "audio", "from": "fetch"}]),
            phase("list", inputs=[{"name": "a", "from": "keep", "output": "published"}]),
            name="keeping",
        ),
        ["spec.destination", "phase list reads what keep publishes"],
    ),
}


@pytest.mark.parametrize(("spec", "chain", "words"), REFUSED.values(), ids=REFUSED.keys())
def test_refused_before_any_job_is_made(spec: dict[str, Any], chain: Object | None, words: list[str]) -> None:
    w = world(chain=chain, **spec)
    w.turn()

    error = w.job.status.error
    assert error is not None
    assert (w.state(), error.reason, w.jobs) == (State.FAILED, "InvalidSpec", {})
    assert [word for word in words if word not in error.message] == []


@pytest.mark.parametrize("path", ["/etc/passwd", "../a", "a/../b", "a//b", "a\\b"])
def test_a_path_that_admission_let_through_is_refused_again(path: str) -> None:
    w = world(source={"library": {"name": "old", "path": path}})
    if "\\" in path:
        return  # the model itself refuses it
    w.turn()
    error = w.job.status.error
    assert error is not None
    assert (error.reason, "spec.source.library.path" in error.message) == ("InvalidSpec", True)


def test_a_library_that_is_taken_away_ends_the_job_with_its_name() -> None:
    w = world(destination={"library": "nas"})
    w.turn()
    w.settings = with_settings(libraries=(SHELF,))
    w.succeed("fetch")
    w.turn()
    error = w.job.status.error
    assert error is not None
    assert (error.reason, "no library nas" in error.message) == ("InvalidSpec", True)
