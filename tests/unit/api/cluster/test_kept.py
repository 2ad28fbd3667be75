"""The read model keeps of an AudioJob what an answer reads, however large the object is."""

from __future__ import annotations

from typing import Any

from audiojob_api.jobs.idempotency import ANNOTATION_REQUEST
from audiojob_api.jobs.listing.rows import kept
from audiojob_api.jobs.views import view
from audiojob_types.constants import LABEL_USER

METADATA: dict[str, Any] = {
    "name": "song", "namespace": "team", "uid": "1", "resourceVersion": "2", "generation": 3,
    "creationTimestamp": "2026-01-01T00:00:00Z",
    "labels": {LABEL_USER: "ann", **{f"label-{number}": "x" * 63 for number in range(4_000)}},
    "annotations": {ANNOTATION_REQUEST: "a.b", "kubectl.kubernetes.io/last-applied-configuration": "x" * 200_000},
    "managedFields": [{"manager": "m", "fieldsV1": {"f:spec": {}}}] * 2_000,
    "finalizers": ["x"] * 1_000, "ownerReferences": [{"uid": "u"}] * 1_000,
}  # fmt: skip
JOB = {"kind": "AudioJob", "metadata": METADATA, "spec": {"pipeline": "separate"}, "status": {"state": "Running"}}


def test_what_no_answer_reads_is_not_kept() -> None:
    small = kept(JOB)
    assert view(small) == view(JOB)
    assert len(repr(small)) < 500
    assert small["metadata"]["labels"] == {LABEL_USER: "ann"}
    assert small["metadata"]["annotations"] == {ANNOTATION_REQUEST: "a.b"}


def test_a_mark_that_is_none_of_ours_is_not_kept_either() -> None:
    large = {**JOB, "metadata": {**METADATA, "annotations": {ANNOTATION_REQUEST: "x" * 200_000}}}
    assert "annotations" not in kept(large)["metadata"]


def test_an_object_without_spec_or_status_is_shown_empty() -> None:
    assert kept({"metadata": {"name": "song"}}) == {"metadata": {"name": "song"}, "spec": {}, "status": {}}
