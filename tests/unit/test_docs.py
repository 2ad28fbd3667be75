"""Rules about the documentation: links lead somewhere, examples are valid, README and docs agree."""

from __future__ import annotations

import importlib
import inspect
import re
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from audiojob_types.base import WireModel
from audiojob_types.resources.job import AudioJobSpec
from audiojob_types.resources.pipeline import AudioPipelineSpec
from audiojob_types.resources.queue import AudioQueueSpec

ROOT = Path(__file__).parents[2]
PAGES = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md", "bench/RESULTS.md")),
    *sorted((ROOT / "docs").rglob("*.md")),
]
NAMES = [str(page.relative_to(ROOT)) for page in PAGES]
SPECS: dict[str, type[WireModel]] = {
    "AudioJob": AudioJobSpec,
    "AudioPipeline": AudioPipelineSpec,
    "AudioQueue": AudioQueueSpec,
}


@cache
def text_of(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def without_code(text: str) -> str:
    """The text with code blocks and inline code taken out."""
    return re.sub(r"`[^`\n]*`", "", re.sub(r"^ *```.*?^ *```", "", text, flags=re.MULTILINE | re.DOTALL))


def anchors(page: Path) -> set[str]:
    """What a link into a page may name: its headings, as GitHub spells them, and ids that it sets."""
    text = text_of(page)
    prose = re.sub(r"^ *```.*?^ *```", "", text, flags=re.MULTILINE | re.DOTALL)
    headings = re.findall(r"^#+ +(.+)$", prose, re.MULTILINE)
    return {anchor(heading) for heading in headings} | set(re.findall(r'<a id="([^"]+)">', text))


def anchor(heading: str) -> str:
    plain = re.sub(r"[^\w\- ]", "", heading.replace("`", "").strip().lower())
    return plain.replace(" ", "-")


# ---------------------------------------------------------------- links


@pytest.mark.parametrize("name", NAMES)
def test_every_link_of_a_page_leads_somewhere(name: str) -> None:
    page = ROOT / name
    broken = []
    for target in re.findall(r"\]\(([^)\s]+)\)", without_code(text_of(page))):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, fragment = target.partition("#")
        place = (page.parent / path).resolve() if path else page
        if not place.exists() or (fragment and fragment not in anchors(place)):
            broken.append(target)
    assert broken == []


def test_every_page_of_docs_is_linked_from_the_readme() -> None:
    linked = set(re.findall(r"\]\(docs/([a-z-]+\.md)", text_of(ROOT / "README.md")))
    assert {page.name for page in (ROOT / "docs").glob("*.md")} - linked == set()


# ---------------------------------------------------------------- README and features


def test_the_readme_is_short() -> None:
    assert len(text_of(ROOT / "README.md").split()) < 1_000


def test_the_readme_and_the_feature_page_agree_on_every_row() -> None:
    rows = re.findall(r'<a id="\w+"></a>(\S+) \| (works|partly|not yet) \|', text_of(ROOT / "docs/features.md"))
    groups = re.findall(r"^\| (works|partly|not yet) \| .* \| (.*) \|$", text_of(ROOT / "README.md"), re.MULTILINE)
    shown = [(row, state) for state, links in groups for row in re.findall(r"\[(\w+)\]", links)]
    assert sorted(shown) == sorted(rows)


# ---------------------------------------------------------------- examples


def documents() -> list[tuple[str, dict[str, Any]]]:
    """Every whole object of ours in examples/ and in the YAML blocks of the pages."""
    texts = [(str(file.relative_to(ROOT)), file.read_text()) for file in sorted((ROOT / "examples").rglob("*.yaml"))]
    for page in PAGES:
        blocks = re.findall(r"^```yaml\n(.*?)^```", text_of(page), re.MULTILINE | re.DOTALL)
        texts += [(f"{page.relative_to(ROOT)}, block {number}", block) for number, block in enumerate(blocks, 1)]
    return [
        (where, document)
        for where, text in texts
        for document in yaml.safe_load_all(text)
        if isinstance(document, dict) and document.get("kind") in SPECS
    ]


DOCUMENTS = documents()


@pytest.mark.parametrize(
    "document", [each for _, each in DOCUMENTS], ids=[f"{each['kind']} of {where}" for where, each in DOCUMENTS]
)
def test_every_example_has_the_fields_of_its_type(document: dict[str, Any]) -> None:
    assert document["apiVersion"] == "audiojobs.dev/v1alpha1"
    SPECS[document["kind"]].model_validate(document["spec"])


@pytest.mark.parametrize("name", NAMES)
def test_a_command_names_only_files_that_exist(name: str) -> None:
    commands = "\n".join(re.findall(r"^```(?:sh|console)?\n(.*?)^```", text_of(ROOT / name), re.MULTILINE | re.DOTALL))
    named = set(re.findall(r"(?<![\w./-])(?:examples|charts|crds|bench)/[\w./-]*", commands))
    assert sorted(path for path in named if not (ROOT / path).exists()) == []


# ---------------------------------------------------------------- faults

FAULT_PATHS = {
    "op/": "integration/operator/",
    "rows/": "integration/operator/faults/test_",
    "tasks/": "integration/runner/tasks/",
    "runner/": "integration/runner/",
}


def test_every_file_that_the_page_of_faults_names_exists() -> None:
    missing = []
    for named in re.findall(r"`([\w/-]+\.py)`", text_of(ROOT / "docs/faults.md")):
        short = next((prefix for prefix in FAULT_PATHS if named.startswith(prefix)), None)
        path = named if short is None else FAULT_PATHS[short] + named.removeprefix(short)
        if not (ROOT / "tests" / path).exists() and not (ROOT / named).exists():
            missing.append(named)
    assert missing == []


# ---------------------------------------------------------------- architecture

ARCHITECTURE = ROOT / "docs/architecture.md"
PACKAGES = (
    "audiojob_operator", "audiojob_runner", "audiojob_api", "audiojob_files", "audiojob_kube", "audiojob_store",
    "audiojob_types",
)  # fmt: skip


def found(dotted: str) -> bool:
    """Whether a name is that of a module, or of something in one, in one of our packages."""
    for package in PACKAGES:
        with suppress(ImportError, AttributeError):
            value: object = importlib.import_module(package)
            for part in dotted.split("."):
                if inspect.ismodule(value) and not hasattr(value, part):
                    value = importlib.import_module(f"{value.__name__}.{part}")
                else:
                    value = getattr(value, part)
            return True
    return False


def named_in_architecture() -> list[str]:
    """Dotted names of code on the page; file names have a dot too."""
    names = re.findall(r"`([a-z_]+(?:\.\w+)+)`", text_of(ARCHITECTURE))
    return sorted({name for name in names if not name.endswith((".json", ".md", ".py"))})


def test_the_page_of_the_architecture_names_much_code() -> None:
    assert len(named_in_architecture()) > 30


@pytest.mark.parametrize("dotted", named_in_architecture())
def test_every_name_on_the_page_of_the_architecture_exists(dotted: str) -> None:
    assert found(dotted), f"{dotted} was moved or renamed; say in docs/architecture.md where it is now"


@pytest.mark.parametrize(
    "package", ["audiojob_operator", "audiojob_runner", "audiojob_api", "audiojob_files", "audiojob_types"]
)
def test_the_page_of_the_architecture_lists_the_folders_that_there_are(package: str) -> None:
    table = re.search(rf"^\| `{package}` \| what \|\n\|[-|]+\|\n((?:\|.*\n)+)", text_of(ARCHITECTURE), re.MULTILINE)
    assert table
    listed = [name for row in table[1].splitlines() for name in re.findall(r"`(\w+)`", row.split("|")[1])]
    folder = Path(str(importlib.import_module(package).__file__)).parent
    assert sorted(listed) == sorted(path.parent.name for path in folder.glob("*/__init__.py"))
