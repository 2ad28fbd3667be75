"""``python -m audiojob_dev.demo``: what ``make demo`` runs.

``CONTEXT`` names a cluster of yours to use instead of the embedded one; ``REGISTRY`` a registry that it pulls from.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from rich.console import Console
from rich.table import Table

from audiojob_dev.demo import install, karaoke, models, music, request, sheetmusic
from audiojob_dev.demo.store import Store, open_store
from audiojob_dev.demo.tools import Cluster, ToolError
from audiojob_dev.demo.view import human_bytes, human_seconds, phase_cost, stems_of
from audiojob_dev.demo.watch import follow
from audiojob_dev.errors import DevError
from audiojob_dev.paths import paths_from_environment, repository
from audiojob_dev.tools import packages
from audiojob_types.resources.job import AudioJob, State

NAMESPACE = "audiojob-demo"
JOB_LIMIT_SECONDS = 1_200
IMAGES = ("control", "runner", "runner-torch")  # of no other has the demo a phase


@dataclass(slots=True)
class Timings:
    """How long each part took, in order."""

    parts: list[tuple[str, float]] = field(default_factory=list)

    @contextmanager
    def part(self, console: Console, name: str) -> Iterator[None]:
        console.print(f"\n[bold]▶ {name}[/bold]")
        start = time.monotonic()
        yield
        self.parts.append((name, time.monotonic() - start))


def main(pipeline: str = "separate") -> int:
    """Run a demo of PIPELINES; the exit status is 0 only when its jobs ended with what they are for."""
    console = Console(highlight=False)
    try:
        PIPELINES[pipeline](console)
    except (ToolError, DevError, music.MusicMissingError) as error:
        console.print(f"\n[red]demo failed:[/red] {error}", markup=True)
        return 1
    except KeyboardInterrupt:
        console.print("\nstopped; `make clean` removes the cluster and everything that the demo made")
        return 130
    return 0


def separate(console: Console) -> None:
    """Real music into stems, by kubectl and by the API."""
    timings = Timings()
    context = os.environ.get("CONTEXT") or None
    packages.ensure(packages.DEMO_REQUIREMENTS, announce=lambda text: console.print(f"installing {text}"))
    with timings.part(console, "Cluster and images"):
        images = prepare_cluster(context, IMAGES)
        cluster = find_cluster(context)
    with timings.part(console, "Music"):
        piece = music.find_music(paths_from_environment().cache / "music")
        console.print(f"  {piece.name}, {human_bytes(piece.stat().st_size)}, from Debian's package {music.PACKAGE}")
    with music_source(cluster, piece, images["runner"]) as source:
        with timings.part(console, "helm install"):
            install_chart(cluster, images, source.cidr, console, models.WORKER_VALUES)
            models.fill(cluster, NAMESPACE, images["runner"])
        with timings.part(console, "AudioJob by kubectl apply"):
            first = request.apply_example(cluster, NAMESPACE, source.url)
            console.print(f"  kubectl apply -f examples/separate.yaml → audiojob/{first}")
            job = finish(cluster, first, console)
        store = open_store(cluster, NAMESPACE, images["runner"])
        show_stems(job, store, console)
        with timings.part(console, "The same by curl to the API"):
            second = request.post_to_api(cluster, NAMESPACE, source.url, console)
            show_stems(finish(cluster, second, console), store, console)
    show_listed(cluster, "awp", console)
    show_end(cluster, first, timings, console)


def film(console: Console) -> None:
    """A song that is made here into a karaoke film."""
    timings = Timings()
    context = os.environ.get("CONTEXT") or None
    packages.ensure(karaoke.REQUIREMENTS, announce=lambda text: console.print(f"installing {text}"))
    with timings.part(console, "Cluster and images"):
        images = prepare_cluster(context, karaoke.IMAGES)
        cluster = find_cluster(context)
    with timings.part(console, "helm install"):
        install_chart(cluster, images, None, console)
    with timings.part(console, "Song"):
        song, name = karaoke.make(cluster, NAMESPACE, images["runner"], console)
    with timings.part(console, f"AudioJob {name}"):
        job = finish(cluster, name, console)
        karaoke.show(job, song, open_store(cluster, NAMESPACE, images["runner"]), console)
    show_end(cluster, name, timings, console)


def score(console: Console) -> None:
    """A piece that is made here into sheet music."""
    timings = Timings()
    context = os.environ.get("CONTEXT") or None
    with timings.part(console, "Cluster and images"):
        images = prepare_cluster(context, sheetmusic.IMAGES)
        cluster = find_cluster(context)
    with timings.part(console, "helm install"):
        install_chart(cluster, images, None, console)
        models.fill(cluster, NAMESPACE, images["runner"])
    with timings.part(console, "Piece"):
        name = sheetmusic.make(cluster, NAMESPACE, images["runner"], console)
    with timings.part(console, f"AudioJob {name}"):
        job = finish(cluster, name, console)
        sheetmusic.show(job, open_store(cluster, NAMESPACE, images["runner"]), console)
    show_end(cluster, name, timings, console)


PIPELINES: Final[Mapping[str, Callable[[Console], None]]] = {
    "separate": separate,
    "karaoke": film,
    "sheet-music": score,
}


def install_chart(
    cluster: Cluster,
    images: dict[str, str],
    cidr: str | None,
    console: Console,
    further: Mapping[str, Any] | None = None,
) -> None:
    """Install the chart for the demo's namespace; jobs may fetch from ``cidr``. ``further``: values by dotted key."""
    install.ensure_namespace(cluster, NAMESPACE)
    others = {**models.CHART_VALUES, **install.monitoring(cluster), **(further or {})}
    install.install(cluster, [NAMESPACE], images, cidr, others)
    console.print(cluster.helm("-n", install.RELEASE_NAMESPACE, "list").rstrip(), markup=False)


def prepare_cluster(context: str | None, names: Iterable[str]) -> dict[str, str]:
    """Bring up what is missing; returns the image references by name. Progress goes to the terminal as it happens."""
    if context is None and _command("up", "--images", *names, stdout=None)[0] != 0:
        raise ToolError("the embedded cluster did not come up; see above")
    status, printed = _command("images", "--json", *(f"--only={name}" for name in names))
    if status != 0:
        raise ToolError("the images were not built; see above")
    references: dict[str, str] = json.loads(printed)
    return references


def _command(*arguments: str, stdout: int | None = subprocess.PIPE) -> tuple[int, str]:
    """Run ``python -m audiojob_dev`` and return its exit status and what it printed, unless ``stdout`` is None.

    Ctrl-C reaches it too, and what it has begun is put in order before this returns: ``subprocess.run`` would kill it.
    """
    command = [sys.executable, "-m", "audiojob_dev", *arguments]
    with subprocess.Popen(command, stdout=stdout, text=True) as process:
        try:
            printed, _ = process.communicate()
        except KeyboardInterrupt:
            process.wait()
            raise
    return process.returncode, printed or ""


def find_cluster(context: str | None) -> Cluster:
    """The tools bound to the cluster that was asked for."""
    if context is None:
        described = subprocess.run(
            [sys.executable, "-m", "audiojob_dev", "tools", "--json"], stdout=subprocess.PIPE, text=True, check=True
        )
        tools = json.loads(described.stdout)
        kubeconfig = paths_from_environment().kubeconfig
        return Cluster(tools["kubectl"], tools["helm"], kubeconfig, "audiojob-embedded", embedded=True)
    missing = [name for name in ("kubectl", "helm") if shutil.which(name) is None]
    if missing:
        raise ToolError(f"CONTEXT={context} needs {' and '.join(missing)} on the PATH")
    return Cluster("kubectl", "helm", None, context, embedded=False)


@contextmanager
def music_source(cluster: Cluster, piece: Path, image: str) -> Iterator[request.MusicSource]:
    """Where the runner fetches the piece from: this machine for the embedded cluster, a pod for any other."""
    if not cluster.embedded:
        yield request.music_pod(cluster, NAMESPACE, piece, image)
        return
    address = install.node_address(cluster)
    with music.serve(piece.parent, address) as base:
        yield request.MusicSource(url=f"{base}/{piece.name}", cidr=install.only(base))


def finish(cluster: Cluster, name: str, console: Console) -> AudioJob:
    """Watch the job to its end. Raises :class:`ToolError` unless it succeeded."""
    job = follow(cluster, NAMESPACE, name, console, limit_seconds=JOB_LIMIT_SECONDS)
    if job.status.state is not State.SUCCEEDED:
        error = job.status.error
        told = f"{error.reason}: {error.message} {error.suggestion}" if error else job.status.message
        raise ToolError(f"AudioJob {name} ended as {job.status.state}: {told}")
    return job


def show_stems(job: AudioJob, store: Store, console: Console) -> None:
    """List the files of the job's last phase, with size, duration and place."""
    last = job.status.phases[-1]
    assert last.manifest is not None
    manifest = store.manifest(last.manifest.key)
    folder = last.manifest.key.rsplit("/", 1)[0]
    table = Table("stem", "size", "duration", box=None, header_style="dim", padding=(0, 2))
    for stem in stems_of(manifest):
        table.add_row(stem.name, human_bytes(stem.bytes), human_seconds(stem.seconds))
    console.print(table)
    console.print(f"  in {store.place(folder)}", markup=False, soft_wrap=True)
    console.print(
        f"  {models.MODEL} is a tiny model that comes with the tests: it tells tones from beats, as you can hear. "
        "For voices and instruments name htdemucs (docs/models.md).",
        style="dim",
    )
    console.print(f"  {'  '.join(map(phase_cost, job.status.phases))}", style="dim", soft_wrap=True)


def show_end(cluster: Cluster, name: str, timings: Timings, console: Console) -> None:
    """All jobs, how long each part took, and what to try next."""
    show_listed(cluster, "aj", console)
    show_timings(timings, console)
    show_next_steps(cluster, name, console)


def show_listed(cluster: Cluster, kind: str, console: Console) -> None:
    """What ``kubectl get`` says of all resources of a kind."""
    console.print(f"\n[bold]kubectl get {kind} -n {NAMESPACE}[/bold]")
    console.print(cluster.kubectl("-n", NAMESPACE, "get", kind).rstrip(), markup=False, soft_wrap=True)


def show_timings(timings: Timings, console: Console) -> None:
    """The closing table."""
    table = Table("part", "seconds", box=None, header_style="dim", padding=(0, 2))
    for name, seconds in timings.parts:
        table.add_row(name, f"{seconds:.1f}")
    console.print()
    console.print(table)


def show_next_steps(cluster: Cluster, name: str, console: Console) -> None:
    """What to try next, ready to be pasted."""
    prefix = f"KUBECONFIG={cluster.kubeconfig} {cluster.kubectl_path}" if cluster.embedded else "kubectl"
    flags = f"-n {NAMESPACE}" if cluster.embedded else f"--context {cluster.context} -n {NAMESPACE}"
    console.print("\nLook around:")
    for command in (f"describe aj {name}", "get aj -o wide", "get jobs,pods", "get audiopipelines"):
        console.print(f"  {prefix} {flags} {command}", markup=False, soft_wrap=True)
    console.print(f"Remove everything: make clean   (repository: {repository()})", markup=False, soft_wrap=True)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
