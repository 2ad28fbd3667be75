"""Publish as a phase: names, libraries of both kinds, and what is left when it is killed, doubled or out of space."""

# ruff: noqa: N802 - row ids as the table writes them

from __future__ import annotations

import hashlib
import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.integration.runner.pods import JOB_UID, PodFolder, eventually, make_pod
from tests.integration.runner.stores import StoreFolder

from audiojob_types.contract import ExitCode

pytestmark = pytest.mark.integration

OTHER_POD = "ffff0000-0000-4000-8000-000000000002"
BEFORE = f"demo/{JOB_UID}/separate/1-0a1b2c3d"
PREFIX = f"demo/{JOB_UID}/work"
SONG = {"title": "Blue", "artist": "AC/DC"}
LARGE = 40_000_000


@pytest.fixture
def library(store: StoreFolder, tmp_path: Path) -> StoreFolder:
    """An empty library of the store's kind: a folder of its own, or a prefix of the same bucket."""
    if store.kind == "Folder":
        root = tmp_path / "nas"
        root.mkdir()
        return StoreFolder("Folder", root, {"kind": "Folder", "root": str(root)})
    return replace(store, root=store.root / "shelf", config={**store.config, "prefix": "shelf"})


def files(library: StoreFolder) -> list[str]:
    """What can be seen in it."""
    return library.keys() if library.root.exists() else []


def order(pod: PodFolder, store: StoreFolder, library: StoreFolder, contents: dict[str, bytes], **fields: Any) -> None:
    """A phase file that publishes these outputs of an earlier phase, which a download told the title of."""
    manifest = store.put_manifest(fields.pop("before", BEFORE), contents)
    about = store.put_manifest("demo/d/download/1-a", {"source": b"the download"})
    record = json.loads(store.read(about["key"]))
    record["outputs"][0]["metadata"] = fields.pop("about", SONG)
    about["sha256"] = store.put(about["key"], json.dumps(record).encode())
    inputs: list[dict[str, Any]] = [{"name": name, "manifest": manifest, "output": name} for name in contents]
    inputs.append({"name": "about", "manifest": about, "output": "source", "about": True})
    pod.write_phase(
        "Publish",
        fields.pop("parameters", {}),
        inputs=inputs,
        libraries=[{"name": "nas", "store": library.config}],
        destination={"library": "nas", "layout": fields.pop("layout", "Artist")},
        **fields,
    )


def test_stems_get_the_name_of_the_source_and_the_manifest_says_where_they_are(
    pod: PodFolder, store: StoreFolder, library: StoreFolder
) -> None:
    order(pod, store, library, {"vocals": b"la", "drums": b"boom"})

    ended = pod.run()

    assert ended.code == ExitCode.OK, ended.stderr
    assert ended.result.usage is not None
    taken = (ended.result.usage.read_bytes, ended.result.usage.written_bytes)
    assert taken == (len(b"laboom"), len(b"laboom") + ended.result.outputs[0].bytes)
    assert files(library) == ["AC-DC/Blue (drums).bin", "AC-DC/Blue (vocals).bin"]
    assert library.read("AC-DC/Blue (vocals).bin") == b"la"
    assert ended.result.manifest is not None
    manifest = store.manifest(ended.result.manifest.key)
    told = {"library": "nas", "published": manifest.metadata["published"]}
    assert manifest.metadata == told
    assert told["published"][0] == {
        "input": "vocals",
        "library": "nas",
        "key": "AC-DC/Blue (vocals).bin",
        "bytes": 2,
        "sha256": hashlib.sha256(b"la").hexdigest(),
    }
    [output] = manifest.outputs
    folder = ended.result.manifest.key.rpartition("/")[0]
    assert json.loads(store.read(f"{folder}/{output.file}"))["files"] == told["published"]


def test_the_same_file_again_is_success_and_another_one_gets_a_number(
    pod: PodFolder, store: StoreFolder, library: StoreFolder
) -> None:
    for number, content in enumerate((b"first", b"other", b"first", b"other", b"third")):
        order(
            pod, store, library, {"audio": content}, before=f"demo/{number}/x/1-a", outputPrefix=f"demo/{number}/work"
        )
        ended = pod.run()
        assert ended.code == ExitCode.OK, ended.stderr

    assert {key: library.read(key) for key in files(library)} == {
        "AC-DC/Blue.bin": b"first",
        "AC-DC/Blue (2).bin": b"other",
        "AC-DC/Blue (3).bin": b"third",
    }


def test_B11_a_hostile_title_stays_in_the_library_and_the_users_words_win(
    pod: PodFolder, store: StoreFolder, library: StoreFolder
) -> None:
    hostile = {"title": "../../../escaped\u202e", "artist": "..", "album": "/etc"}
    order(pod, store, library, {"audio": b"1"}, about=hostile, layout="ArtistAlbum", parameters={"album": "C:\\con"})

    ended = pod.run()

    assert ended.code == ExitCode.OK, ended.stderr
    assert files(library) == ["Unknown artist/C--con/escaped.bin"]


def test_F34_killed_while_it_copies_no_half_file_is_seen_and_the_next_attempt_adds_one(
    pod: PodFolder, store: StoreFolder, library: StoreFolder
) -> None:
    content = bytes(LARGE)
    order(pod, store, library, {"audio": content})
    running = pod.start()
    eventually(lambda: files(library) or _begun(store), "copying has begun")
    running.process.kill()
    running.wait()
    assert [key for key in files(library) if not key.rpartition("/")[2].startswith(".audiojob-")] in (
        [],
        ["AC-DC/Blue.bin"],
    )

    order(pod, store, library, {"audio": content}, attempt=2)
    ended = pod.run(OTHER_POD)

    assert ended.code == ExitCode.OK, ended.stderr
    visible = [key for key in files(library) if ".audiojob-" not in key]
    assert visible == ["AC-DC/Blue.bin"]
    assert len(library.read("AC-DC/Blue.bin")) == LARGE


def test_F36_two_pods_of_one_job_leave_one_file_and_both_succeed(
    pod: PodFolder, store: StoreFolder, library: StoreFolder, tmp_path: Path
) -> None:
    twin = make_pod(tmp_path / "twin", store)
    contents = {"vocals": bytes(LARGE), "drums": b"boom"}
    for each in (pod, twin):
        order(each, store, library, contents)

    running = [pod.start(), twin.start(OTHER_POD)]

    for process in running:
        ended = process.wait()
        assert ended.code == ExitCode.OK, ended.stderr
    assert files(library) == ["AC-DC/Blue (drums).bin", "AC-DC/Blue (vocals).bin"]
    assert len(library.read("AC-DC/Blue (vocals).bin")) == LARGE


def test_two_jobs_with_one_title_at_once_keep_both_files(
    pod: PodFolder, store: StoreFolder, library: StoreFolder, tmp_path: Path
) -> None:
    other = make_pod(tmp_path / "other", store)
    contents = {"a": bytes(LARGE), "b": bytes(LARGE - 1) + b"b"}
    for each, name in ((pod, "a"), (other, "b")):
        order(
            each, store, library, {"audio": contents[name]}, before=f"demo/{name}/x/1-a", outputPrefix=f"demo/{name}/w"
        )

    running = [pod.start(), other.start(OTHER_POD)]

    for process in running:
        ended = process.wait()
        assert ended.code == ExitCode.OK, ended.stderr
    assert files(library) == ["AC-DC/Blue (2).bin", "AC-DC/Blue.bin"]
    assert {library.read(key)[-1:] for key in files(library)} == {b"\0", b"b"}


def test_F41_bytes_that_changed_on_the_way_are_not_published(
    pod: PodFolder, store: StoreFolder, library: StoreFolder
) -> None:
    order(pod, store, library, {"audio": b"as it was"})
    (store.root / f"{BEFORE}/audio.bin").write_bytes(b"as it Was")

    ended = pod.run()

    assert (ended.code, ended.result.reason) == (ExitCode.SOURCE_UNAVAILABLE, "ChecksumMismatch"), ended.stderr
    assert files(library) == []


def test_F38_a_library_that_is_full_takes_nothing_and_says_so(folder_pod: PodFolder, folder_store: StoreFolder) -> None:
    unshare = shutil.which("unshare")
    assert unshare, "install util-linux"
    root = folder_pod.root / "nas"
    root.mkdir()
    order(
        folder_pod,
        folder_store,
        StoreFolder("Folder", root, {"kind": "Folder", "root": str(root)}),
        {"a": bytes(LARGE)},
    )
    script = (
        f'mount -t tmpfs -o size=1m tmpfs "{root}" && "$@"; code=$?; '
        f'find "{root}" -type f > "{folder_pod.root}/left"; exit $code'
    )
    folder_pod.wrapper = (unshare, "--user", "--map-root-user", "--mount", "sh", "-c", script, "sh")

    ended = folder_pod.run()

    assert (ended.code, ended.result.reason) == (ExitCode.DISK_FULL, "DiskFull"), ended.stderr
    assert "nas" in ended.result.message
    assert (folder_pod.root / "left").read_text(encoding="utf-8") == ""


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "an address": ({"inputs": [{"name": "source", "url": "https://example.org/a.mp3"}]}, "is an address"),
    "nothing to publish": ({"inputs": []}, "no input to publish"),
    "no destination": ({"destination": None}, "needs a destination"),
    "a destination that nothing leads to": ({"libraries": []}, "libraries lacks nas"),
}


@pytest.mark.parametrize(("change", "words"), REFUSED.values(), ids=REFUSED.keys())
def test_refused_with_a_sentence(
    folder_pod: PodFolder, folder_store: StoreFolder, tmp_path: Path, change: dict[str, Any], words: str
) -> None:
    library = StoreFolder("Folder", tmp_path, {"kind": "Folder", "root": str(tmp_path)})
    order(folder_pod, folder_store, library, {"audio": b"1"})
    phase = json.loads(folder_pod.phase_file.read_text(encoding="utf-8"))
    folder_pod.phase_file.write_text(json.dumps(phase | change), encoding="utf-8")

    ended = folder_pod.run()

    assert (ended.code, ended.result.reason) == (ExitCode.USAGE, "InvalidSpec"), ended.stderr
    assert words in ended.result.message


# ---------------------------------------------------------------- libraries as sources

STRANGE = "Ärzte – 100% [live] #1/$(id) {x} ~.bin"


def read_from(pod: PodFolder, library: StoreFolder, path: str) -> None:
    pod.write_phase(
        "Publish",
        inputs=[{"name": "source", "library": "nas", "key": path}],
        libraries=[{"name": "nas", "store": library.config}],
        destination={"library": "nas", "layout": "Title"},
    )


def test_a_file_of_a_library_is_a_source_whatever_it_is_called(pod: PodFolder, library: StoreFolder) -> None:
    library.put(STRANGE, b"music")
    read_from(pod, library, STRANGE)

    ended = pod.run()

    assert ended.code == ExitCode.OK, ended.stderr
    assert files(library) == ["song.bin", STRANGE]


B30 = {
    "an absolute path": ("/etc/passwd", ExitCode.USAGE),
    "a way up": ("../../etc/passwd", ExitCode.USAGE),
    "a way up in the middle": ("a/../../b", ExitCode.USAGE),
    "a file that is not there": ("nobody/nothing.flac", ExitCode.SOURCE_UNAVAILABLE),
    "another one's prefix": ("../other/a.flac", ExitCode.USAGE),
}


@pytest.mark.parametrize(("path", "code"), B30.values(), ids=B30.keys())
def test_B30_a_path_never_leads_out_of_the_library(
    pod: PodFolder, store: StoreFolder, library: StoreFolder, path: str, code: ExitCode
) -> None:
    store.put("other/a.flac", b"not yours")
    read_from(pod, library, path)

    ended = pod.run()

    assert ended.code == code, ended.stderr
    assert files(library) == []


def test_B30_a_link_in_a_library_that_leads_out_is_not_followed(
    folder_pod: PodFolder, folder_store: StoreFolder, tmp_path: Path
) -> None:
    root, secret = tmp_path / "nas", tmp_path / "secret.bin"
    root.mkdir()
    secret.write_bytes(b"secret")
    (root / "song.bin").symlink_to(secret)
    (root / "AC-DC").symlink_to(tmp_path)
    library = StoreFolder("Folder", root, {"kind": "Folder", "root": str(root)})
    read_from(folder_pod, library, "song.bin")
    reading = folder_pod.run()
    order(folder_pod, folder_store, library, {"audio": b"1"})
    writing = folder_pod.run(OTHER_POD)

    for ended in (reading, writing):
        assert (ended.code, ended.result.reason) == (ExitCode.USAGE, "InvalidSpec"), ended.stderr
        assert "leads out of" in ended.result.message
    assert not (tmp_path / "Blue.bin").exists()


def _begun(store: StoreFolder) -> bool:
    """versitygw keeps parts of an upload out of the bucket's sight, in a folder of its own."""
    return any(path.is_file() for path in store.root.glob(".sgwtmp/multipart/**/*"))
