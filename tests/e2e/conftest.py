"""One installation of the product for all end-to-end tests."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import threading
from collections.abc import Iterable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from tests.e2e.api import page
from tests.e2e.product import TEST_LABEL, Media, Object, Product
from tests.support.cluster import TestCluster
from tests.support.parallel import SideBySide, alone_last, give_way, take_precedence

from audiojob_dev.cluster.embedded import Cluster as EmbeddedCluster
from audiojob_dev.demo import install, music
from audiojob_dev.demo.tools import Cluster, ToolError
from audiojob_dev.images.examples import build_and_load
from audiojob_dev.paths import paths_from_environment
from audiojob_dev.progress import Progress

NAMESPACE, WITHOUT_CLAIM, UNPREPARED = "e2e-jobs", "e2e-no-claim", "e2e-unprepared"
LIBRARY = "results"
SONG_SECONDS = 12
GRACE_SECONDS = 10  # not 30: a program that passes over SIGTERM is waited for so long
IP_FREEBIND = 15  # of <linux/in.h>; Python 3.11 does not name it
AT_ONCE = 4  # tests that wait for pods
FIRST_SECONDS = 300
_beside = SideBySide(AT_ONCE)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """See SideBySide; and whichever comes first waits until the product is installed, which is in its time."""
    alone_last(items)
    for item in items:
        if item.nodeid.startswith("tests/e2e/") and not item.get_closest_marker("timeout"):
            item.add_marker(pytest.mark.timeout(FIRST_SECONDS))


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """See SideBySide."""
    return _beside.call(pyfuncitem) or None


@pytest.fixture(scope="package", autouse=True)
def precedence(request: pytest.FixtureRequest) -> Iterator[None]:
    """Over the tests of other workers, until the last end-to-end test."""
    among_others = hasattr(request.config, "workerinput") and os.geteuid() == 0
    if among_others:
        take_precedence()
    yield
    if among_others:
        give_way()


@pytest.fixture(scope="session")
def tools(cluster: TestCluster) -> Cluster:
    """kubectl and helm for the cluster under test."""
    if not cluster.embedded:
        pytest.skip("these tests serve media from this machine and read its volumes: they need the embedded cluster")
    return Cluster(str(cluster.kubectl.program), str(cluster.helm), cluster.kubeconfig, cluster.context, embedded=True)


@pytest.fixture(scope="session")
def node_address(tools: Cluster) -> str:
    """The address by which pods reach this machine."""
    return install.node_address(tools)


@pytest.fixture(scope="session")
def media(node_address: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Media]:
    """Good and hostile files, served by this machine; and a canary on an address that is not allowed."""
    folder = tmp_path_factory.mktemp("media")
    make_files(folder)
    gateway = "10.244.0.1"  # this machine too, on the pods' own network
    with music.serve(folder, node_address) as base, canary(gateway) as (address, hits):
        leading_to(folder / "inside.m3u8", f"{address}/x.mp3")
        yield Media(folder=folder, base=base, canary=address, canary_hits=hits)


def make_files(folder: Path) -> None:
    """A real piece of music, cut; and what people and attackers send instead."""
    piece = music.find_music(paths_from_environment().cache / "music")
    ffmpeg = ["ffmpeg", "-v", "error", "-nostdin", "-y"]
    cut = [*ffmpeg, "-ss", "30", "-t", str(SONG_SECONDS), "-i", str(piece), "-c", "copy", str(folder / "song.mp3")]
    subprocess.run(cut, check=True)
    silence = [*ffmpeg, "-f", "lavfi", "-i", "anullsrc=r=44100:cl=stereo", "-t", "0", str(folder / "zero.wav")]
    subprocess.run(silence, check=True)
    picture = ["-f", "lavfi", "-i", "testsrc=duration=2:size=160x120:rate=10"]
    film = [*ffmpeg, *picture, "-c:v", "libx264", "-pix_fmt", "yuv420p", str(folder / "film.mp4")]
    subprocess.run(film, check=True)
    (folder / "text.mp3").write_text("This is no music at all.\n" * 100)
    (folder / "empty.mp3").write_bytes(b"")
    leading_to(folder / "list.mp3", "file:///store/secret.mp3")


def leading_to(file: Path, address: str) -> None:
    """Write an HLS playlist of one piece, which is at ``address``."""
    file.write_text(f"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\n{address}\n#EXT-X-ENDLIST\n")


@contextlib.contextmanager
def canary(address: str) -> Iterator[tuple[str, list[str]]]:
    """A server that must never be asked; yields its URL and the list of paths that it was asked for."""
    hits: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            hits.append(self.path)
            self.send_response(200)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class names it
            pass

    class Server(ThreadingHTTPServer):
        def server_bind(self) -> None:
            # The pods' bridge, which has the address, appears with the first pod.
            self.socket.setsockopt(socket.IPPROTO_IP, IP_FREEBIND, 1)
            super().server_bind()

    server = Server((address, 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://{address}:{server.server_address[1]}", hits
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture(scope="session")
def issuer(node_address: str) -> str:
    """The address of a provider of tokens, which the API is told of; tests/e2e/api serves it."""
    with socket.socket() as listening:
        listening.bind((node_address, 0))
        return f"http://{node_address}:{listening.getsockname()[1]}"


@pytest.fixture(scope="package")
def product(
    request: pytest.FixtureRequest, tools: Cluster, cluster: TestCluster, media: Media, issuer: str
) -> Iterator[Product]:
    """The chart, installed by helm for two of three namespaces, and what modules have in ``PIPELINES``.

    Taken down again after the last end-to-end test.
    """
    before = cluster_objects(tools)
    for name in (NAMESPACE, WITHOUT_CLAIM, UNPREPARED):
        install.ensure_namespace(tools, name)
    install_with(tools, cluster.images, media, settings(issuer))
    tools.kubectl("-n", WITHOUT_CLAIM, "delete", "deployment/audiojob-files", "pvc/audiojob-store", "--wait=false")
    rest = EmbeddedCluster(cluster.paths).rest
    installed = Product(tools, rest, cluster.images, media, NAMESPACE, WITHOUT_CLAIM, UNPREPARED)
    if wanted := pipelines(request.session.items):
        installed.apply(*wanted)
    yield installed
    tools.kubectl("delete", "audiojobs", "--all", "-A", "--wait=true", "--timeout=60s")
    tools.helm("-n", install.RELEASE_NAMESPACE, "uninstall", install.RELEASE, "--wait", "--timeout", "2m")
    created = ",".join(f"{key}={value}" for key, value in TEST_LABEL.items())
    tools.kubectl("delete", "audiopipelines", "-l", created)
    ours = {f"namespace/{name}" for name in (NAMESPACE, WITHOUT_CLAIM, UNPREPARED, install.RELEASE_NAMESPACE)}
    if made := sorted(ours - before):  # none where a run that was killed had left them
        tools.kubectl("delete", *made, "--timeout=90s")
    assert cluster_objects(tools) <= before, "the tests left these behind"


def settings(issuer: str) -> dict[str, Any]:
    """The values of the installation that all tests share."""
    return {
        # Of images that tests give the operator past the chart: an earlier version's, and one that does not exist.
        "images.earlierRepositories": [f"docker.io/audiojob/{name}" for name in ("runner-earlier", "no-such-image")],
        "libraries": [{"name": LIBRARY, "prefix": f"library/{LIBRARY}"}],
        "defaultQueue.maxRunningPerUser": None,  # all tests are one user
        "disruption.graceSeconds": GRACE_SECONDS,
        **api_of_a_company(issuer),
    }


def install_with(tools: Cluster, images: dict[str, str], media: Media, values: dict[str, Any]) -> None:
    """``helm upgrade --install`` with just these values."""
    install.install(tools, [NAMESPACE, WITHOUT_CLAIM], images, install.only(media.base), values)


def pipelines(items: Iterable[pytest.Item]) -> list[Object]:
    """Those of the modules with end-to-end tests that are to run."""
    modules = {
        item.module for item in items if isinstance(item, pytest.Function) and item.nodeid.startswith("tests/e2e/")
    }
    return [each for module in modules for each in getattr(module, "PIPELINES", ())]


@pytest.fixture(scope="package")
def speak_image(product: Product) -> str:
    """The image of examples/speak."""
    with Progress() as progress:
        return build_and_load(paths_from_environment(), "speak", progress)


def api_of_a_company(issuer: str) -> dict[str, Any]:
    """Values for files, history and accounts; who may come in is what docs/api.md tells a new user."""
    access = page.access({"https://id.example.org": issuer, "namespace: music": f"namespace: {NAMESPACE}"})
    access["providers"][0]["allowHttp"] = True
    return {
        "files.enabled": True,
        "files.oneNode": True,
        "api.namespaces": [WITHOUT_CLAIM],
        "api.database.kind": "SQLite",
        "api.archive.enabled": True,
        "api.access": access,
    }


def cluster_objects(tools: Cluster) -> set[str]:
    """Everything cluster-scoped that a test run may leave; resource types stay after `helm uninstall` on purpose."""
    policies = "validatingadmissionpolicies,validatingadmissionpolicybindings"
    kinds = f"namespaces,audiopipelines,clusterroles,clusterrolebindings,{policies}"
    try:
        return set(tools.kubectl("get", kinds, "-o", "name").split())
    except ToolError:  # the types are not there before the first installation
        return set(tools.kubectl("get", kinds.replace("audiopipelines,", ""), "-o", "name").split())
