"""`python -m audiojob_runner phase`: what it publishes, what it says, and how it ends."""

from __future__ import annotations

import hashlib
import json
import os
import signal
from pathlib import Path

import pytest
from tests.integration.runner.pods import JOB_UID, POD_UID, PodFolder, eventually, is_alive, make_pod
from tests.integration.runner.stores import StoreFolder
from tests.integration.runner.tasks.web import running

from audiojob_types.contract import ExitCode, Outcome

pytestmark = pytest.mark.integration

PREFIX = f"demo/{JOB_UID}/work"
OTHER_POD = "ffff0000-0000-4000-8000-000000000002"


def test_a_phase_publishes_its_output_its_log_and_the_manifest_that_its_result_names(
    pod: PodFolder, store: StoreFolder
) -> None:
    pod.write_phase(parameters={"outputBytes": 100_000}, expiresTime="2030-01-01T00:00:00Z")

    ended = pod.run()

    assert ended.code == ExitCode.OK, ended.stderr
    result = ended.result
    assert result.outcome is Outcome.SUCCEEDED
    assert result.manifest is not None
    folder = f"{PREFIX}/1-{POD_UID[:8]}"
    assert result.manifest.key == f"{folder}/manifest.json"
    assert result.manifest.sha256 == hashlib.sha256(store.read(result.manifest.key)).hexdigest()
    manifest = store.manifest(result.manifest.key)
    assert (manifest.attempt, manifest.phase, manifest.expires_time is not None) == (1, "work", True)
    [output] = manifest.outputs
    content = store.read(f"{folder}/{output.file}")
    assert (
        (len(content), hashlib.sha256(content).hexdigest())
        == (output.bytes, output.sha256)
        == (
            100_000,
            result.outputs[0].sha256,
        )
    )
    assert store.published() == [f"{folder}/manifest.json", f"{folder}/{output.file}"]
    assert result.log_key == f"{folder}/log/0000"
    assert [json.loads(line)["level"] for line in store.read(result.log_key).splitlines()] == ["info", "info"]
    assert result.peak_memory_bytes is not None
    assert result.peak_memory_bytes > 10_000_000
    assert result.usage is not None
    assert result.usage.to_wire().keys() == {"cpu", "work", "start", "read", "written"}
    assert (result.usage.read_bytes, result.usage.written_bytes) == (0, 100_000)
    assert min(result.usage.cpu_milliseconds or 0, result.usage.start_milliseconds or 0) > 0
    assert list((pod.root / "scratch").iterdir()) == []


def test_a_failed_phase_tells_what_it_took_too(pod: PodFolder) -> None:
    parameters = {"durationMilliseconds": 300, "exitCode": 75, "mediaMilliseconds": 90_000, "gpuMemoryMebibytes": 3}
    pod.write_phase(parameters=parameters, device="GPU")

    usage = pod.run().result.usage

    assert usage is not None
    assert 300 <= (usage.work_milliseconds or 0) < 60_000
    assert (usage.media_milliseconds, usage.gpu_peak_bytes) == (90_000, 3 * 2**20)


def test_an_unexpected_failure_tells_one_sentence_and_keeps_its_traceback_in_the_stored_log(
    pod: PodFolder, store: StoreFolder, tmp_path: Path
) -> None:
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "sitecustomize.py").write_text(
        "import audiojob_runner.tasks.simulate as task\n"
        "def run(inputs, parameters, context):\n"
        "    raise ZeroDivisionError('a fault of ours')\n"
        "task.run = run\n",
        encoding="utf-8",
    )
    pod.environ["PYTHONPATH"] = f"{broken}:{os.environ.get('PYTHONPATH', '')}"
    pod.write_phase()

    ended = pod.run()

    assert ended.code == ExitCode.TEMPORARY, ended.stderr
    assert "Traceback" not in ended.result.message + ended.result.suggestion
    assert ended.result.log_key is not None
    log = store.read(ended.result.log_key).decode()
    assert "Traceback" in log
    assert "ZeroDivisionError: a fault of ours" in log


def test_a_large_output_goes_in_parts_and_arrives_whole(pod: PodFolder, store: StoreFolder) -> None:
    pod.write_phase(parameters={"outputBytes": 50_000_001})

    ended = pod.run()

    assert ended.code == ExitCode.OK, ended.stderr
    [output] = ended.result.outputs
    assert output.bytes == 50_000_001
    content = store.read(f"{PREFIX}/1-{POD_UID[:8]}/output.bin")
    assert hashlib.sha256(content).hexdigest() == output.sha256


def test_a_crash_between_publishing_and_the_result_is_made_good_by_the_next_attempt(
    pod: PodFolder, store: StoreFolder
) -> None:
    parameters = {"exitAfterPublishing": True, "durationMilliseconds": 300}
    pod.write_phase(parameters=parameters)
    crashed = pod.run()
    assert (crashed.code, crashed.message) == (137, None)
    published = store.published()
    assert f"{PREFIX}/1-{POD_UID[:8]}/manifest.json" in published

    pod.write_phase(parameters=parameters, attempt=2)
    ended = pod.run(OTHER_POD)

    assert ended.code == ExitCode.OK, ended.stderr
    assert ended.result.manifest is not None
    assert ended.result.manifest.key == f"{PREFIX}/1-{POD_UID[:8]}/manifest.json"
    assert store.published() == published


@pytest.mark.parametrize(
    ("damage", "why"),
    [
        pytest.param("parameters", "other parameters are other work", id="other parameters"),
        pytest.param("shorter", "a file has lost its end", id="a file has lost its end"),
        pytest.param("gone", "a file is gone", id="a file is gone"),
        pytest.param("garbled", "the manifest is not one", id="the manifest is not one"),
    ],
)
def test_an_earlier_attempt_is_not_taken_over_when(
    folder_pod: PodFolder, folder_store: StoreFolder, damage: str, why: str
) -> None:
    folder_pod.write_phase()
    assert folder_pod.run().code == ExitCode.OK
    output = folder_store.root / f"{PREFIX}/1-{POD_UID[:8]}/output.bin"
    match damage:
        case "shorter":
            output.write_bytes(output.read_bytes()[:-1])
        case "gone":
            output.unlink()
        case "garbled":
            output.with_name("manifest.json").write_text("{", encoding="utf-8")

    folder_pod.write_phase(parameters={"progressSteps": 3} if damage == "parameters" else {}, attempt=2)
    ended = folder_pod.run(OTHER_POD)

    assert ended.code == ExitCode.OK, ended.stderr
    assert ended.result.manifest is not None
    assert ended.result.manifest.key == f"{PREFIX}/2-{OTHER_POD[:8]}/manifest.json", why


def test_two_pods_of_one_attempt_at_once_both_succeed_with_a_whole_manifest(
    pod: PodFolder, store: StoreFolder, tmp_path: Path
) -> None:
    twin = make_pod(tmp_path / "twin", store)
    for each in (pod, twin):
        each.write_phase(parameters={"durationMilliseconds": 500, "outputBytes": 1000})

    running = [pod.start(POD_UID), twin.start(OTHER_POD)]

    for process in running:
        ended = process.wait()
        assert ended.code == ExitCode.OK, ended.stderr
        assert ended.result.manifest is not None
        manifest = store.manifest(ended.result.manifest.key)
        folder = ended.result.manifest.key.rpartition("/")[0]
        assert len(store.read(f"{folder}/{manifest.outputs[0].file}")) == 1000


def test_sigterm_ends_the_whole_process_group_and_publishes_nothing(pod: PodFolder, store: StoreFolder) -> None:
    pod.write_phase(parameters={"durationMilliseconds": 3_600_000})
    running = pod.start()
    eventually(lambda: _runs(pod), "the task runs")
    children = eventually(running.descendants, "there is a worker")

    running.stop()
    ended = running.wait(seconds=60)

    assert ended.code == ExitCode.STOPPED, ended.stderr
    assert (ended.result.outcome, ended.result.reason) == (Outcome.FAILED, "Stopped")
    assert "SIGTERM" in ended.result.message
    assert store.published() == []
    assert not any(is_alive(child) for child in children)
    assert list((pod.root / "scratch").iterdir()) == []


def test_sigterm_while_a_large_output_is_being_published_leaves_no_part_of_it(
    pod: PodFolder, store: StoreFolder
) -> None:
    pod.write_phase(parameters={"outputBytes": 1_500_000_000})
    running = pod.start()
    eventually(store.published, "publishing has begun", seconds=60)

    running.stop()
    ended = running.wait(seconds=60)

    assert ended.code == ExitCode.STOPPED, ended.stderr
    eventually(lambda: store.published() == [], f"nothing is left, but there is {store.published()}", seconds=60)


def test_the_worker_does_not_outlive_a_killed_supervisor(folder_pod: PodFolder) -> None:
    folder_pod.write_phase(parameters={"durationMilliseconds": 3_600_000})
    running = folder_pod.start()
    eventually(lambda: _runs(folder_pod), "the task runs")
    children = eventually(running.descendants, "there is a worker")

    running.process.kill()

    eventually(lambda: not any(is_alive(child) for child in children), "the worker is gone", seconds=60)
    assert running.wait().message is None


@pytest.mark.parametrize(
    ("number", "reasons", "told"),
    [
        # Without the kernel's count of kills a SIGKILL can only have been for memory; with it, this one was not.
        pytest.param(signal.SIGKILL, ("OutOfMemory", "TemporaryFailure"), "SIGKILL", id="killed"),
        pytest.param(signal.SIGILL, ("TemporaryFailure",), "such as AVX", id="an instruction that is not there"),
    ],
)
def test_a_worker_killed_by_the_kernel_is_reported_by_the_supervisor(
    folder_pod: PodFolder, folder_store: StoreFolder, number: signal.Signals, reasons: tuple[str, ...], told: str
) -> None:
    folder_pod.write_phase(parameters={"durationMilliseconds": 3_600_000})
    running = folder_pod.start()
    eventually(lambda: _runs(folder_pod), "the task runs")
    [worker] = running.descendants()

    os.kill(worker, number)
    ended = running.wait(seconds=60)

    assert ended.code == ExitCode.TEMPORARY, ended.stderr
    assert ended.result.reason in reasons
    assert told in ended.result.message
    assert folder_store.published() == []


@pytest.mark.parametrize(
    ("limits", "parameters", "reason"),
    [
        pytest.param(
            {"stallSeconds": 1},
            {"durationMilliseconds": 200, "stallAfterPercent": 50},
            "Stalled",
            id="no progress for stallSeconds",
        ),
        pytest.param(
            {"softSeconds": 1, "stallSeconds": 60},
            {"durationMilliseconds": 600_000, "progressSteps": 10_000},
            "SoftLimitExceeded",
            id="longer than softSeconds in spite of progress",
        ),
    ],
)
def test_a_limit_ends_the_phase(
    folder_pod: PodFolder,
    folder_store: StoreFolder,
    limits: dict[str, int],
    parameters: dict[str, int],
    reason: str,
) -> None:
    folder_pod.write_phase(parameters=parameters, limits=limits)

    ended = folder_pod.run(seconds=60)

    assert (ended.code, ended.result.reason) == (ExitCode.TEMPORARY, reason), ended.stderr
    assert folder_store.published() == []


@pytest.mark.parametrize("code", [1, 64, 65, 66, 69, 75, 77, 78, 79, 143, 200])
def test_a_task_ends_with_its_own_exit_code(folder_pod: PodFolder, code: int) -> None:
    folder_pod.write_phase(parameters={"exitCode": code, "failAttempts": 1})

    ended = folder_pod.run()

    assert ended.code == code
    assert (ended.result.outcome, str(code) in ended.result.message) == (Outcome.FAILED, True)
    assert ended.result.suggestion


def test_progress_of_the_task_counts_as_life_and_the_phase_outlives_its_stall_limit(folder_pod: PodFolder) -> None:
    folder_pod.write_phase(parameters={"durationMilliseconds": 3_000, "progressSteps": 30}, limits={"stallSeconds": 2})

    assert folder_pod.run().code == ExitCode.OK


def _runs(pod: PodFolder) -> bool:
    return any((pod.root / "scratch").glob("run-*/work"))


def test_a_site_that_limits_ends_the_phase_with_the_time_that_it_asked_for(
    folder_pod: PodFolder, folder_store: StoreFolder
) -> None:
    with running("127.0.0.1") as web:
        url = web.serve("/song.mp3", b"slow down", 429, Retry_After="77")
        folder_pod.write_phase(
            "Download", inputs=[{"name": "source", "url": url}], network={"allowedCidrs": ["127.0.0.1/32:*"]}
        )
        ended = folder_pod.run()

    assert (ended.code, ended.result.reason, ended.result.retry_after_seconds) == (75, "RateLimited", 77), ended.stderr
    assert folder_store.published() == []


@pytest.mark.parametrize("status", [200, 404, 429])
@pytest.mark.parametrize("path", ["/song.mp3", "/page"])
def test_a_token_of_an_address_is_nowhere_in_what_a_phase_leaves(folder_pod: PodFolder, path: str, status: int) -> None:
    """The termination message, the log on standard error and in the store, the manifest, names of files."""
    token = "c4n4ry-s3cret"
    with running("127.0.0.1") as web:
        web.serve("/song.mp3", b"ID3" + bytes(2_000), status, Content_Type="audio/mpeg")
        page = (
            f"<html><head><title>{token}</title></head><body><audio src='/song.mp3?sig={token}'></audio></body></html>"
        )
        web.serve("/page", page.encode(), Content_Type="text/html")
        inputs = [{"name": "source", "url": f"{web.url}{path}?x=1&sig={token}"}]
        folder_pod.write_phase("Download", inputs=inputs, network={"allowedCidrs": ["127.0.0.1/32:*"]})
        ended = folder_pod.run()

    assert (ended.code == 0) is (status == 200), ended.stderr
    assert token not in ended.stderr
    assert token.encode() not in (ended.message or b"")
    left = [file for file in folder_pod.root.rglob("*") if file != folder_pod.phase_file]
    assert [file for file in left if token in file.name] == []
    assert [file for file in left if file.is_file() and token.encode() in file.read_bytes()] == []
