"""Which phases of a job to come another job has done already, as far as that shows before it starts. Pure.

The operator decides by content, which is known once inputs are read; here equal addresses and parameters count.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

from audiojob_api.jobs.estimates.steps import waits
from audiojob_api.jobs.listing.rows import milliseconds
from audiojob_store.ticket import UPLOAD_PATTERN
from audiojob_types.descriptor import Reuse
from audiojob_types.resources.job import PhaseState
from audiojob_types.resources.pipeline import AudioPipelineSpec, Phase
from audiojob_types.tasks import Task

Object = dict[str, Any]

_UPLOAD: Final = re.compile(UPLOAD_PATTERN.rstrip("$") + "/")
DOWNLOAD_MS: Final = 86_400_000
"""A download is reused for a day, where the administrator has not said otherwise."""


def same_input(wanted: Object, spec: Object) -> bool:
    """Whether two specs work on the same: an address, an upload, or another job's output. Any other file may have been
    replaced.
    """
    source, inputs = wanted.get("source") or {}, wanted.get("inputs") or []
    fixed = set(source) <= {"url", "jobRef"} or _UPLOAD.match((source.get("object") or {}).get("key", "")) is not None
    return fixed and all(set(each) <= {"name", "text"} for each in inputs) and works_on_the_same(wanted, spec)


def works_on_the_same(wanted: Object, spec: Object) -> bool:
    """Whether two specs name the same source and inputs."""
    return all((wanted.get(name) or None) == (spec.get(name) or None) for name in ("source", "inputs"))


def reused_phases(wanted: Object, pipeline: AudioPipelineSpec, jobs: Iterable[Object], now_ms: int) -> dict[str, str]:
    """By phase, the job whose work would stand for it: the one of ``jobs`` with which most phases are done."""
    if wanted.get("reuse", "Allowed") != "Allowed":
        return {}
    found = [_from(wanted, pipeline, job, now_ms) for job in jobs if same_input(wanted, job.get("spec") or {})]
    return max(found, key=len, default={})


def finished_before(job: Object, now_ms: int) -> dict[str, str]:
    """Phases that a retry of the job does not repeat."""
    return {
        str(each["name"]): str(job["metadata"]["name"])
        for each in (job.get("status") or {}).get("phases", ())
        if each.get("state") == PhaseState.SUCCEEDED and _is_kept(each, now_ms)
    }


def _from(wanted: Object, pipeline: AudioPipelineSpec, job: Object, now_ms: int) -> dict[str, str]:
    records = {each.get("name"): each for each in (job.get("status") or {}).get("phases", ())}
    mine, theirs = (each.get("parameters") or {} for each in (wanted, job.get("spec") or {}))
    found: dict[str, str] = {}
    for phase, before in waits(pipeline):
        record = records.get(phase.name)
        key = phase.task.parameter_key
        if (
            record is not None
            and all(name in found for name in before)
            and _may_stand(phase)
            and mine.get(key) == theirs.get(key)
            and _stands(phase, record, now_ms)
        ):
            found[phase.name] = str(record.get("reusedFrom") or job["metadata"]["name"])
    return found


def _may_stand(phase: Phase) -> bool:
    nature = phase.task.descriptor.reuse
    if nature is Reuse.NEVER:
        return False
    return nature is Reuse.BY_DEFAULT if phase.reuse is None else phase.reuse == "Allowed"


def _stands(phase: Phase, record: Mapping[str, Any], now_ms: int) -> bool:
    if record.get("state") != PhaseState.SUCCEEDED or not record.get("reuseKey") or not _is_kept(record, now_ms):
        return False
    done = milliseconds(record.get("completionTime"))
    return phase.task is not Task.DOWNLOAD or (done is not None and now_ms - done < DOWNLOAD_MS)


def _is_kept(record: Mapping[str, Any], now_ms: int) -> bool:
    expires = milliseconds(record.get("expiresTime"))
    return bool(record.get("manifest")) and (expires is None or expires > now_ms)
