"""What the images really contain, asked of their own Python and dpkg in pods."""

from __future__ import annotations

import json
import uuid

import pytest
from tests.e2e.product import Product

from audiojob_dev.tools.floors import DEBIAN_FLOORS, PYTHON_FLOORS, too_old
from audiojob_dev.tools.licenses import DEBIAN_PACKAGES
from audiojob_dev.tools.versions import DEBIAN_SUITE

pytestmark = [pytest.mark.e2e, pytest.mark.beside_others]

LISTING = (
    "import importlib.metadata as m, json; "
    "print(json.dumps({d.metadata['Name']: d.version for d in m.distributions()}))"
)
# What each image is for, so that an empty list does not pass for a good one.
CONTENTS = {
    "control": {"kopf", "fastapi", "fastapi-swagger", "starlette", "urllib3"},
    "runner": {"yt-dlp", "requests", "urllib3", "obstore"},
    "runner-torch": {"yt-dlp", "torch", "demucs"},
    "runner-music": {"yt-dlp", "pillow", "fonttools", "music21", "verovio", "typst"},
}
# Of Debian's packages, those that one image alone has.
OWN_PACKAGES = {"runner-music": {"espeak-ng", "fonts-noto-cjk", "fonts-noto-core"}}


def ask(product: Product, image: str, *command: str) -> str:
    """The output of a program in that image, as a restricted pod."""
    name = f"ask-{uuid.uuid4().hex[:8]}"
    container = {
        "name": name,
        "image": product.images[image],
        "imagePullPolicy": "IfNotPresent",
        "command": list(command),
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "runAsNonRoot": True,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
    }
    overrides = json.dumps({"spec": {"containers": [container]}})
    run = ("-n", product.namespace)
    options = ["--restart=Never", f"--image={product.images[image]}"]
    product.cluster.kubectl(*run, "run", name, *options, f"--overrides={overrides}")
    try:
        # Not attached: what a program writes before somebody listens would be lost.
        ended = "--for=jsonpath={.status.phase}=Succeeded"
        product.cluster.kubectl(*run, "wait", ended, f"pod/{name}", "--timeout=90s")
        return product.cluster.kubectl(*run, "logs", name)
    finally:
        product.cluster.kubectl(*run, "delete", "pod", name, "--wait=false")


@pytest.mark.parametrize("image", CONTENTS)
def test_no_python_package_of_an_image_has_a_known_hole(product: Product, image: str) -> None:
    installed: dict[str, str] = json.loads(ask(product, image, "python", "-c", LISTING).splitlines()[-1])
    assert CONTENTS[image] <= {name.lower() for name in installed}
    assert too_old(installed) == []
    assert PYTHON_FLOORS.keys() & {name.lower() for name in installed}


@pytest.mark.parametrize("image", ["runner", "runner-torch", "runner-music"])
@pytest.mark.parametrize("package", DEBIAN_FLOORS[DEBIAN_SUITE])
def test_a_debian_package_has_what_its_distribution_mended(product: Product, image: str, package: str) -> None:
    version = DEBIAN_FLOORS[DEBIAN_SUITE][package].version
    script = f"v=$(dpkg-query -W -f '${{Version}}' {package}) && echo $v && dpkg --compare-versions $v ge {version}"
    assert ask(product, image, "sh", "-c", f"{script} && echo new enough").splitlines()[-1] == "new enough"


@pytest.mark.parametrize("image", CONTENTS)
def test_an_image_has_the_licences_of_its_packages_and_no_other_program_under_the_gpl(
    product: Product, image: str
) -> None:
    there = ask(product, image, "sh", "-c", "cat /usr/share/doc/audiojob/NOTICE; dpkg-query -W -f '${Package}\\n'")
    assert "Mozilla Public License" in there
    packages = set(there.splitlines())
    assert {"python3"} <= packages
    own = OWN_PACKAGES.get(image, set())
    others = {package for packages in OWN_PACKAGES.values() for package in packages} - own
    assert own <= packages
    assert not others & packages
    assert not (DEBIAN_PACKAGES.keys() - packages) - {"ffmpeg"} - others
