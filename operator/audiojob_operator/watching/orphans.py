"""Jobs of ours that work for nobody: no AudioJob owns them, so nothing but a person will end them.

Kubernetes deletes what an owner leaves behind, as long as the owner is written down. After a deletion with
``--cascade=orphan``, or when Jobs were put back from a backup without their owners, it is not. Somebody may have
wanted that: they are logged and kept.
"""

from __future__ import annotations

from collections.abc import Iterable

from audiojob_kube.objects import Object, key_of
from audiojob_operator.records.objects import Key
from audiojob_operator.state.projections import controller, job_is_finished
from audiojob_types import constants as c


def orphans(jobs: Iterable[Object]) -> dict[Key, str]:
    """Those that still work, or will, by key, each with the AudioJob that it was made for.

    What has ended goes by its own time to live.
    """
    return {key_of(job): job["metadata"]["labels"].get(c.LABEL_JOB, "") for job in jobs if _is_orphan(job)}


def _is_orphan(job: Object) -> bool:
    metadata = job["metadata"]
    ours = c.LABEL_UID in (metadata.get("labels") or {})
    return ours and not controller(job) and not job_is_finished(job) and "deletionTimestamp" not in metadata
