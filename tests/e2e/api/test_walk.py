"""A new user's walk, with the very lines of docs/api.md: a token, a song, its stems, yesterday's job, a failed one."""

from __future__ import annotations

import json
import os
import subprocess
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.e2e.api import page, provider
from tests.e2e.conftest import NAMESPACE, WITHOUT_CLAIM
from tests.e2e.product import Product

from audiojob_dev.demo.install import RELEASE, RELEASE_NAMESPACE
from audiojob_dev.errors import DevError
from audiojob_types.constants import ANNOTATION_ARCHIVED
from audiojob_types.resources.job import State

pytestmark = [pytest.mark.e2e, pytest.mark.in_turn, pytest.mark.timeout(300)]

TOKEN, UPLOAD, JOB, STEMS, HISTORY, FAILED = range(6)
MODEL = {'"stems": "TwoStems"': '"stems": "TwoStems", "model": "demucs_unittest"'}
BROKEN = {"song.wav": "broken.wav"}


def song(product: Product, folder: Path) -> None:
    """The piece as a file of two parts."""
    piece = product.media.folder / "song.mp3"
    command = ["ffmpeg", "-v", "error", "-nostdin", "-i", str(piece), "-ar", "96000", "-c:a", "pcm_f64le"]
    subprocess.run([*command, str(folder / "song.wav")], check=True)
    assert (folder / "song.wav").stat().st_size > 16 * 2**20


@pytest.fixture(scope="module")
def secret(issuer: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The client's secret at the provider, which runs."""
    try:
        with provider.serving(issuer, tmp_path_factory.mktemp("provider") / "log") as found:
            yield found
    except DevError as error:
        if os.environ.get("CI"):
            raise
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def lines(product: Product, issuer: str) -> Iterator[list[str]]:
    """The page's blocks, for this cluster."""
    with product.cluster.port_forward(RELEASE_NAMESPACE, f"service/{RELEASE}-api", 80) as port:
        token, *others = page.blocks("bash")
        here = {"https://audio.example.org": f"http://127.0.0.1:{port}", "https://id.example.org": issuer}
        yield [page.changed(token, here), *others]


@pytest.fixture(scope="module")
def shell(product: Product, lines: list[str], secret: str, tmp_path_factory: pytest.TempPathFactory) -> page.Shell:
    """A shell with a token, from which two jobs were made: of a song, and of a file that is none."""
    found = page.Shell(tmp_path_factory.mktemp("walk"), {"CLIENT_SECRET": secret})
    song(product, found.folder)
    (found.folder / "broken.wav").write_text("This is no music at all.\n" * 100)
    found.run(lines[TOKEN])
    found.run(page.changed(lines[UPLOAD], BROKEN) + "rm part.*")
    found.run(page.changed(lines[JOB], {**MODEL, '"name": "song"': '"name": "broken"'}))
    uploaded = found.run(lines[UPLOAD])
    assert '"parts":[1,2]' in uploaded.replace(" ", ""), uploaded
    found.run(page.changed(lines[JOB], MODEL))
    return found


@pytest.fixture(scope="module")
def stems(shell: page.Shell, lines: list[str]) -> str:
    """What the shell printed until the stems were there."""
    return shell.run(lines[STEMS])


def test_the_log_of_a_failed_job_says_what_was_wrong(shell: page.Shell, lines: list[str], product: Product) -> None:
    job = product.finished("broken")
    assert job.status.state is State.FAILED, product.story("broken")
    assert job.status.error is not None
    told = shell.run(lines[FAILED])
    assert f"broken: {job.status.error.message}" in told
    assert len(told.splitlines()) > 1, "the log is empty"


def test_the_stems_of_an_uploaded_song_come_as_a_zip(shell: page.Shell, stems: str, product: Product) -> None:
    assert '"state":"Succeeded"' in stems.replace(" ", ""), product.story("song")
    (found,) = shell.folder.glob("*.zip")
    with zipfile.ZipFile(found) as archive:
        assert archive.testzip() is None
        assert sorted(archive.namelist()) == ["song (accompaniment).flac", "song (vocals).flac"]


@pytest.mark.usefixtures("stems")
def test_yesterdays_job_is_there_when_its_record_is_gone(shell: page.Shell, lines: list[str], product: Product) -> None:
    product.until("song", lambda job: ANNOTATION_ARCHIVED in job.metadata.annotations, "its archiving")
    # As its TTL does, which the operator looks at every two minutes.
    product.cluster.kubectl("-n", NAMESPACE, "delete", "audiojob", "song")
    listed, job = map(json.loads, shell.run(lines[HISTORY]).splitlines())
    assert "song" in [each["name"] for each in listed["items"]]
    assert job == {"archived": True, "state": "Succeeded"}
    shell.run('curl -s -H "$AUTH" -o again.zip $API/jobs/song/outputs.zip')
    (first,) = set(shell.folder.glob("*.zip")) - {shell.folder / "again.zip"}
    assert (shell.folder / "again.zip").read_bytes() == first.read_bytes()


def test_another_tenants_namespace_does_not_exist(shell: page.Shell) -> None:
    command = (
        f'curl -s --no-fail-with-body -o /dev/null -w "%{{http_code}}" -H "$AUTH" "$API/jobs?namespace={WITHOUT_CLAIM}"'
    )
    assert shell.run(command) == "404"


def test_the_service_that_holds_files_has_not_been_restarted(product: Product) -> None:
    pods = product.cluster.get("-n", NAMESPACE, "pods", "-l", "app.kubernetes.io/component=files")["items"]
    assert [each["restartCount"] for pod in pods for each in pod["status"]["containerStatuses"]] == [0]


def test_an_account_of_the_cluster_and_its_binding_take_three_lines(
    product: Product, lines: list[str], tmp_path: Path
) -> None:
    account, _ = page.blocks("sh", "Who may call")
    assert len(account.splitlines()) == 3
    folder = Path(product.cluster.kubectl_path).parent
    shell = page.Shell(tmp_path, {"PATH": f"{folder}:/usr/bin:/bin", "KUBECONFIG": str(product.cluster.kubeconfig)})
    shell.run(page.changed(account, {"-n music": f"-n {NAMESPACE}", "=music:": f"={NAMESPACE}:"}))
    api = lines[TOKEN].splitlines()[0]
    listed = shell.run(f'{api}\ncurl -s -H "Authorization: Bearer $TOKEN" "$API/jobs?limit=1"')
    assert len(json.loads(listed)["items"]) == 1
