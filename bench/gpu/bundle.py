"""Fetches what Separate needs on a machine without a network: ``python bench/gpu/bundle.py DIR``.

DIR gets this commit's tree and the wheels of the GPU image's lock, checked by its hashes. torch and the CUDA libraries
(3 GB) come only with ``--torch``; without, the other machine's own torch and numpy are used.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tarfile
from collections.abc import Iterable
from io import BytesIO
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[2]
LOCK: Final = ROOT / "requirements" / "runner-torch.txt"
TREE: Final = ("bench", "crds", "dev/audiojob_dev", "runner")
# What only downloads need; deno alone is 40 MB. The last ones are of a hub that demucs is kept from.
_UNUSED: Final = re.compile(
    r"deno|yt-dlp.*|curl-cffi|pycryptodomex|websockets|huggingface-hub|hf-xet|http.*2|truststore|safetensors|anyio|click"
)
_TORCH: Final = re.compile(
    r"torch|numpy|nvidia-.*|cuda-.*|sympy|mpmath|networkx|jinja2|markupsafe|fsspec|filelock|setuptools"
)
_PLATFORMS: Final = ("manylinux1", "manylinux2010", "manylinux2014", *(f"manylinux_2_{n}" for n in range(5, 36)))
_NAME: Final = re.compile(r"^([a-z0-9][a-z0-9._-]*)==")


def chosen(lock: str, with_torch: bool) -> str:
    """The lock's lines of the packages that travel, with their hashes."""
    kept, taking = [], False
    for line in lock.splitlines(keepends=True):
        named = _NAME.match(line)
        if named:
            left = _UNUSED.fullmatch(named[1]) or (not with_torch and _TORCH.fullmatch(named[1]))
            taking = not left
        elif not line.startswith((" ", "\t")):
            taking = False
        if taking and not line.lstrip().startswith("#"):
            kept.append(line)
    return "".join(kept)


def fetch(folder: Path, python: str, with_torch: bool) -> None:
    """The wheels, for that Python on x86-64 Linux."""
    folder.mkdir(parents=True, exist_ok=True)
    requirements = folder.parent / "requirements.txt"
    requirements.write_text(chosen(LOCK.read_text(encoding="utf-8"), with_torch), encoding="utf-8")
    platforms: Iterable[str] = (f"--platform={each}_x86_64" for each in _PLATFORMS)
    subprocess.run(
        [
            sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps",
            "--require-hashes", "--only-binary=:all:", "--implementation=cp", f"--python-version={python}",
            *platforms, "--dest", str(folder), "--requirement", str(requirements),
        ],
        check=True,
    )  # fmt: skip


def main() -> int:
    """Fill the folder, and tell what is in it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, metavar="DIR")
    parser.add_argument("--python", default="3.12", metavar="VERSION", help="the other machine's; default: %(default)s")
    parser.add_argument("--torch", action="store_true", help="torch and the CUDA libraries too")
    options = parser.parse_args()
    archive = subprocess.run(["git", "archive", "HEAD", *TREE], cwd=ROOT, check=True, capture_output=True).stdout
    with tarfile.open(fileobj=BytesIO(archive)) as files:
        files.extractall(options.folder / "tree", filter="data")
    fetch(options.folder / "wheels", options.python, options.torch)
    sizes = [path.stat().st_size for path in options.folder.rglob("*") if path.is_file()]
    print(f"{options.folder}: {len(sizes)} files, {sum(sizes) / 2**20:.1f} MiB, for Python {options.python}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
