"""Events on an AudioJob or a pool of workers: what `kubectl describe` lists."""

from __future__ import annotations

from datetime import datetime

from audiojob_kube.objects import Object
from audiojob_kube.resources import AUDIOJOBS, EVENTS, Resource
from audiojob_operator.records.plan import EventRecord
from audiojob_types import constants as c
from audiojob_types.base import format_time
from audiojob_types.resources.metadata import Metadata

_MESSAGE_LIMIT = 1_024


def event_object(
    record: EventRecord, about: Metadata, reporter: str, now: datetime, kind: Resource = AUDIOJOBS
) -> Object:
    """A core/v1 Event. Its name is the record's, so that the same fact recorded twice is one event."""
    moment = format_time(now)
    return {
        "apiVersion": EVENTS.api_version,
        "kind": EVENTS.kind,
        "metadata": {"name": record.name, "namespace": about.namespace},
        "involvedObject": {
            "apiVersion": kind.api_version,
            "kind": kind.kind,
            "name": about.name,
            "namespace": about.namespace,
            "uid": about.uid,
        },
        "type": record.type,
        "reason": record.reason,
        "message": record.message[:_MESSAGE_LIMIT],
        "firstTimestamp": moment,
        "lastTimestamp": moment,
        "count": 1,
        "source": {"component": c.MANAGER_OPERATOR},
        "reportingComponent": c.MANAGER_OPERATOR,
        "reportingInstance": reporter[:128],
    }
