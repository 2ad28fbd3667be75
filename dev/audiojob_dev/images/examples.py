"""Images of the examples, which administrators build themselves: here for the tests, from the same Dockerfiles."""

from __future__ import annotations

from audiojob_dev.cluster.embedded import Cluster
from audiojob_dev.errors import DevError
from audiojob_dev.images import base as baseimage
from audiojob_dev.images import build as images
from audiojob_dev.images.buildah import Buildah
from audiojob_dev.images.load import load
from audiojob_dev.paths import Paths, repository
from audiojob_dev.progress import Progress
from audiojob_dev.tools import packages
from audiojob_dev.tools.locks import locked

_BUILD_SECONDS = 3600.0
EXAMPLES = ("speak",)


def reference(name: str) -> str:
    """The example's image as its folder is now. It is not one of the product's, so its name is another."""
    return f"{images.REGISTRY}/audiojob-examples/{name}:{images.content_tag(repository(), (f'examples/{name}',))}"


def build_and_load(paths: Paths, name: str, progress: Progress) -> str:
    """Build the image of examples/<name> unless it is there, load it into the embedded cluster; its reference.

    Raises DevError for a name that is no example, and with the end of buildah's output.
    """
    if name not in EXAMPLES:
        raise DevError(f"there is no example {name}; there is {', '.join(EXAMPLES)}")
    tag = reference(name)
    buildah = Buildah(paths)
    packages.ensure(packages.IMAGE_REQUIREMENTS, announce=lambda text: progress.note(f"installing {text}"))
    if not buildah.has(tag):
        with locked(paths.cache / "images.lock", seconds=_BUILD_SECONDS, holder="another build of the images"):
            baseimage.ensure(paths, buildah, progress)
            with progress.step(f"image of examples/{name}") as step:
                folder = repository() / "examples" / name
                options = ["--layers", "--pull-never", "--file", str(folder / "Dockerfile"), "--tag", tag]
                options += ["--build-arg", f"BASE={baseimage.REFERENCE}", *images.machine_settings(paths), str(folder)]
                buildah.build(options, lambda line: setattr(step, "detail", line))
            buildah.remove_others(tag)
    load(paths, Cluster(paths).containers, [tag], progress)
    return tag
