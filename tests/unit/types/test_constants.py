"""The strings that more than one part of audiojob must spell alike."""

from __future__ import annotations

import re

from audiojob_types import constants


def test_constants_that_are_labels_are_valid_ones() -> None:
    labels = [value for name, value in vars(constants).items() if name.startswith("LABEL_")]
    annotations = [value for name, value in vars(constants).items() if name.startswith("ANNOTATION_")]
    assert len(labels) == len(set(labels)) > 8
    assert len(annotations) == len(set(annotations)) > 0
    for key in labels + annotations:
        assert re.fullmatch(r"[a-z0-9.-]{1,253}/[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?", key), key


def test_a_pod_of_the_longest_job_name_is_never_cut() -> None:
    """Kubernetes cuts the base of a pod's name at 58 characters, with its dash; the policy relies on whole names."""
    job, attempt, digest = 30, len("1000"), 8
    longest = job + 1 + constants.MAX_PHASE_NAME + 1 + attempt + 1 + digest
    assert longest + len("-") <= 58
