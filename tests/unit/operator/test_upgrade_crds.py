"""CRDs are never taken back to an earlier release."""

from __future__ import annotations

from typing import Any

import pytest

from audiojob_operator.upgrade_crds import going_back, main
from audiojob_types.constants import ANNOTATION_RELEASE, VERSION

Object = dict[str, Any]


def crd(release: str | None, *fields: str) -> Object:
    """A CRD whose spec has these fields."""
    schema = {"properties": {"spec": {"properties": {name: {"type": "string"} for name in fields}}}}
    metadata: Object = {"name": "audiojobs.audiojobs.dev"}
    if release is not None:
        metadata["annotations"] = {ANNOTATION_RELEASE: release}
    return {
        "metadata": metadata,
        "spec": {"versions": [{"name": VERSION, "served": True, "schema": {"openAPIV3Schema": schema}}]},
    }


@pytest.mark.parametrize(
    ("installed", "ours", "says"),
    [
        pytest.param(crd("0.1.0", "a"), crd("0.2.0", "a", "b"), None, id="a later release adds a field"),
        pytest.param(crd("0.1.0", "a"), crd("0.1.0", "a"), None, id="the same again"),
        pytest.param(crd(None, "a"), crd("0.1.0", "a", "b"), None, id="installed before CRDs named their release"),
        pytest.param(crd("0.2.0-rc.1", "a"), crd("0.2.0", "a"), None, id="from a candidate to its release"),
        pytest.param(crd("0.10.0", "a"), crd("0.9.9", "a"), "of release 0.10.0, this chart's of 0.9.9", id="back"),
        pytest.param(crd("0.2.0", "a"), crd("0.2.0-rc.1", "a"), "of release 0.2.0", id="back to a candidate"),
        pytest.param(
            crd("0.1.0", "a", "b"), crd("0.1.0", "a"), "lacks 1 of its fields (spec.b)", id="a field of a later commit"
        ),
        pytest.param(
            crd(None, *"abcde"), crd("0.1.0", "a"), "of release unknown, this chart's of 0.1.0, which lacks 4 of its "
            "fields (spec.b, spec.c, spec.d, …)", id="fields of nobody knows which release",
        ),
    ],
)  # fmt: skip
def test_row_10_which_crds_may_follow_which(installed: Object, ours: Object, says: str | None) -> None:
    found = going_back(installed, ours)
    assert (found is None) == (says is None)
    assert (says or "") in (found or "")
    assert found is None or "set crds.upgrade to false" in found


def test_without_files_it_says_what_it_needs(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 64
    assert "name the files" in capsys.readouterr().err
