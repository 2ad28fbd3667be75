from __future__ import annotations

from pathlib import Path

import pytest

from audiojob_runner.errors import PhaseError
from audiojob_runner.models.demucs import find_files
from audiojob_types.reasons import Reason


def test_the_files_of_a_model_are_its_list_and_its_weights(tmp_path: Path) -> None:
    (tmp_path / "mdx.yaml").write_text("models: ['aaaa', 'bbbb']\nsegment: 44\n")
    (tmp_path / "aaaa-0123.th").touch()
    (tmp_path / "bbbb.th").touch()
    (tmp_path / "unrelated-4567.th").touch()
    assert [path.name for path in find_files("mdx", tmp_path)] == ["mdx.yaml", "aaaa-0123.th", "bbbb.th"]


@pytest.mark.parametrize(
    ("files", "part"),
    [
        pytest.param({}, "mdx.yaml is not in", id="an empty folder"),
        pytest.param({"mdx.yaml": "models: ['aaaa']"}, "aaaa-….th is not in", id="no weights"),
        pytest.param(
            {"mdx.yaml": "models: ['aaaa']", "aaaa-x.pt": ""}, "aaaa-….th is not in", id="another kind of file"
        ),
        pytest.param(
            {"mdx.yaml": "models: ['aaaa']", "aaaab-1.th": ""}, "aaaa-….th is not in", id="a longer signature"
        ),
        pytest.param({"mdx.yaml": "models: ['aaaa']", "aaaa-1.th": "", "aaaa-2.th": ""}, "2 files", id="two weights"),
        pytest.param({"mdx.yaml": "["}, "not a list of models", id="no YAML"),
        pytest.param({"mdx.yaml": "models: 5"}, "not a list of models", id="a number of models"),
        pytest.param({"mdx.yaml": "- a"}, "not a list of models", id="a list alone"),
        pytest.param({"mdx.yaml": ""}, "not a list of models", id="an empty list file"),
    ],
)
def test_what_is_missing_is_named(tmp_path: Path, files: dict[str, str], part: str) -> None:
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    with pytest.raises(PhaseError) as caught:
        find_files("mdx", tmp_path)
    assert (caught.value.exit_code, caught.value.reason) == (64, Reason.MODEL_MISSING)
    assert part in caught.value.message


def test_a_models_volume_that_is_not_mounted(tmp_path: Path) -> None:
    with pytest.raises(PhaseError, match=r"htdemucs\.yaml"):
        find_files("htdemucs", tmp_path / "absent")
