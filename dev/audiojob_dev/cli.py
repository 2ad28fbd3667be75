"""`python -m audiojob_dev`: the embedded cluster, the images, the tools, the demo."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from audiojob_dev import prepare
from audiojob_dev.cluster.embedded import Cluster
from audiojob_dev.errors import DevError
from audiojob_dev.images import build as images
from audiojob_dev.images.buildah import Buildah
from audiojob_dev.images.load import load
from audiojob_dev.paths import paths_from_environment, repository
from audiojob_dev.progress import Progress
from audiojob_dev.tools import binaries, licenses, lowest


def _up(arguments: argparse.Namespace) -> int:
    paths = paths_from_environment()
    with Progress() as progress:
        if arguments.images is not None:
            prepare.cluster_with_images(paths, progress, arguments.gpus, names=arguments.images or prepare.ALL_IMAGES)
        else:
            Cluster(paths).up(progress, arguments.gpus)
    print(f"The embedded cluster is up. KUBECONFIG={paths.kubeconfig}")
    return 0


def _down(_: argparse.Namespace) -> int:
    with Progress() as progress:
        Cluster(paths_from_environment()).down(progress)
    print("The embedded cluster is down.")
    return 0


def _status(_: argparse.Namespace) -> int:
    paths = paths_from_environment()
    status = Cluster(paths).status()
    if status.absent:
        print("down")
    elif status.up:
        print(f"up. KUBECONFIG={paths.kubeconfig}")
    else:
        missing = f"; not running: {', '.join(status.missing)}" if status.missing else ""
        print(f"broken: node {'Ready' if status.ready else 'not Ready'}{missing}. Logs: {paths.logs}")
    return 0 if status.up else 1


def _kubeconfig(_: argparse.Namespace) -> int:
    paths = paths_from_environment()
    if not paths.kubeconfig.exists():
        raise DevError("the embedded cluster is not up: python -m audiojob_dev up")
    print(paths.kubeconfig)
    return 0


def _load_image(arguments: argparse.Namespace) -> int:
    paths = paths_from_environment()
    cluster = Cluster(paths)
    cluster.require_up()
    archive = Path(arguments.image)
    with Progress() as progress:
        if archive.is_file():
            with progress.step(f"load {archive}"):
                cluster.containers.import_archive(archive)
        elif Buildah(paths).has(arguments.image):
            load(paths, cluster.containers, [arguments.image], progress)
        else:
            raise DevError(f"{arguments.image} is neither an archive nor an image that `images` built.")
    return 0


def _images(arguments: argparse.Namespace) -> int:
    names = arguments.only or [image.name for image in images.IMAGES]
    with Progress() as progress:
        references = prepare.images_where_needed(paths_from_environment(), progress, names, os.environ)
    if arguments.values:
        print(json.dumps(images.chart_values(references), indent=2))
    else:
        print(json.dumps(references) if arguments.json else "\n".join(references.values()))
    return 0


def _tools(arguments: argparse.Namespace) -> int:
    with Progress() as progress:
        folder = binaries.ensure(paths_from_environment(), ("kubectl", "helm"), progress)
    found = {name: str(folder / name) for name in ("kubectl", "helm")}
    print(json.dumps(found) if arguments.json else "\n".join(found.values()))
    return 0


def _licenses(_: argparse.Namespace) -> int:
    listed, wrong = licenses.check(repository())
    print(listed)
    for sentence in wrong:
        print(f"error: {sentence}.", file=sys.stderr)
    return 1 if wrong else 0


def _floors(_: argparse.Namespace) -> int:
    faults = lowest.check(repository())
    for sentence in faults:
        print(f"error: {sentence}.", file=sys.stderr)
    if not faults:
        print(f"The lowest versions have all that is imported; {lowest.RECORD} says so.")
    return 1 if faults else 0


def _release(arguments: argparse.Namespace) -> int:
    # Imported here: it needs the API and the SBOMs' library, the cluster does not.
    from audiojob_dev.release.command import make  # noqa: PLC0415

    with Progress() as progress:
        made = make(paths_from_environment(), Path(arguments.into), os.environ.get("REGISTRY", ""), progress)
    print("\n".join(str(file) for file in made))
    return 0


def _prepare(_: argparse.Namespace) -> int:
    with Progress() as progress:
        prepare.for_tests(paths_from_environment(), progress, os.environ, os.geteuid())
    return 0


def _demo(arguments: argparse.Namespace) -> int:
    # Imported here: it needs the product's packages, the cluster alone does not.
    from audiojob_dev.demo.__main__ import main as run_demo  # noqa: PLC0415

    return run_demo(arguments.pipeline)


def _monitoring(arguments: argparse.Namespace) -> int:
    # Imported here: it needs the product's packages, the cluster alone does not.
    from audiojob_dev.monitoring.run import show  # noqa: PLC0415

    show(paths_from_environment(), arguments.interval)
    return 0


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(prog="python -m audiojob_dev", description="The embedded Kubernetes cluster.")
    commands = top.add_subparsers(required=True, metavar="command")

    up = commands.add_parser("up", help="start the cluster unless it is up")
    up.add_argument("--gpus", type=int, metavar="N", help="fake GPUs that the node is to offer (0 withdraws them)")
    up.add_argument(
        "--images", nargs="*", choices=prepare.ALL_IMAGES, help="also build and load these images, or all, side by side"
    )
    up.set_defaults(run=_up)

    for name, run, text in (
        ("down", _down, "stop the cluster and remove its state; also after a crash"),
        ("status", _status, "say whether it is up (exit status 0) or not (1)"),
        ("kubeconfig", _kubeconfig, "print the path of its kubeconfig"),
        ("prepare", _prepare, "set up what the tests need: programs, and where it may be the cluster and the images"),
        ("licenses", _licenses, "list every licence; exit status 1 for what NOTICE does not allow"),
        ("floors", _floors, "try the lowest versions that pyproject.toml allows, and record what they have"),
    ):
        commands.add_parser(name, help=text).set_defaults(run=run)

    demo = commands.add_parser(
        "demo", help="from nothing to stems of a piece of music, to a karaoke film or to sheet music"
    )
    demo.add_argument("pipeline", nargs="?", choices=("separate", "karaoke", "sheet-music"), default="separate")
    demo.set_defaults(run=_demo)

    release = commands.add_parser("release", help="make what a release publishes")
    release.add_argument("--into", default=str(repository() / "dist"), metavar="FOLDER", help="where; default dist/")
    release.set_defaults(run=_release)

    load_image = commands.add_parser("load-image", help="load an image into the cluster")
    load_image.add_argument("image", help="an archive (docker save's or OCI's format), or the name of a built image")
    load_image.set_defaults(run=_load_image)

    image_command = commands.add_parser("images", help="build the images and load (or, with REGISTRY, push) them")
    names = [image.name for image in images.IMAGES]
    image_command.add_argument("--only", action="append", choices=names, help="this one; may be repeated")
    image_command.add_argument("--json", action="store_true", help="print the references as an object by name")
    image_command.add_argument("--values", action="store_true", help="print them as values for the chart (helm -f)")
    image_command.set_defaults(run=_images)

    monitoring = commands.add_parser("monitoring", help="a Prometheus with the chart's rules, until Ctrl-C")
    monitoring.add_argument("--interval", default="5s", help="how often it scrapes and evaluates; 5s by default")
    monitoring.set_defaults(run=_monitoring)

    tools = commands.add_parser("tools", help="build kubectl and helm and print their paths")
    tools.add_argument("--json", action="store_true", help="print an object by name")
    tools.set_defaults(run=_tools)
    return top


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status: 1 for an error that the user can put right, 130 for Ctrl-C."""
    arguments = parser().parse_args(argv)
    try:
        status: int = arguments.run(arguments)
    except DevError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    return status
