"""For each alert a situation in which it fires, and those in which it must not. Values are one a minute.

`0x9 8x60` is promtool's: ten times 0, then sixty-one times 8; `0+2x60` grows by 2 each minute.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

Series = dict[str, str]

LEADS: Final[Series] = {"audiojob_operator_leading": "1x240"}
STANDS_BY: Final[Series] = {"audiojob_operator_leading": "0x240"}


@dataclass(frozen=True)
class Situation:
    """What is scraped, and what to expect at this minute."""

    about: str
    alert: str
    fires: bool
    minute: int
    series: Series


def _jobs(state: str, reason: str) -> Series:
    return {f'audiojob_operator_audiojobs{{state="{state}",reason="{reason}"}}': "2x240"}


def _attempts(kind: str, reason: str, values: str) -> Series:
    return {f'audiojob_operator_attempts_total{{class="{kind}",reason="{reason}"}}': values}


def _created(values: str) -> Series:
    return {'audiojob_operator_writes_total{verb="create",resource="jobs",result="ok"}': values}


def _waits(within_an_hour: str, of_all: str) -> Series:
    place = 'pipeline="separate",phase="separate",device="CPU"'
    name = "audiojob_operator_phase_wait_seconds_bucket"
    return {
        f'{name}{{{place},le="3600.0"}}': within_an_hour,
        f'{name}{{{place},le="7200.0"}}': of_all,
        f'{name}{{{place},le="+Inf"}}': of_all,
    }


def _ended(state: str, reason: str, values: str) -> Series:
    return {f'audiojob_operator_finished_audiojobs_total{{state="{state}",reason="{reason}"}}': values}


def _fell_back(reason: str, values: str) -> Series:
    return {f'audiojob_operator_fallbacks_total{{reason="{reason}"}}': values}


def _on_gpu(values: str) -> Series:
    place = 'pipeline="separate",phase="separate",device="GPU"'
    return {f"audiojob_operator_phase_wait_seconds_count{{{place}}}": values}


def _answers(within_a_second: str, of_all: str) -> Series:
    name, place = "audiojob_api_request_seconds_bucket", 'route="/api/v1/jobs",method="GET",status="2xx"'
    return {
        f'{name}{{{place},le="1.0"}}': within_a_second,
        f'{name}{{{place},le="2.5"}}': of_all,
        f'{name}{{{place},le="+Inf"}}': of_all,
    }


def _answered(status: str, values: str) -> Series:
    return {f'audiojob_api_responses_total{{status="{status}"}}': values}


def _orphans(values: str) -> Series:
    return {'audiojob_operator_orphan_jobs{job_namespace="music"}': values}


def _without_room(values: str) -> Series:
    return {'audiojob_operator_unschedulable_pods{device="GPU"}': values}


def _pool(waiting: str, idle: str, busy: str = "0x240") -> Series:
    name, place = "audiojob_operator_pool", 'job_namespace="music",pool="gpu"'
    return {
        f"{name}_waiting_phases{{{place}}}": waiting,
        f'{name}_workers{{{place},state="starting"}}': "1x240",
        f'{name}_workers{{{place},state="idle"}}': idle,
        f'{name}_workers{{{place},state="busy"}}': busy,
    }


def _refused(values: str) -> Series:
    return {'audiojob_operator_refused_writes_total{resource="audiojobs"}': values}


def _throttled(values: str) -> Series:
    return {'audiojob_operator_writes_total{verb="patch",resource="audiojobs",result="429"}': values}


def _degraded(values: str) -> Series:
    return {'audiojob_operator_degraded{reason="LeaseNotRenewed"}': values}


def _old(age: int) -> Series:
    return {'audiojob_operator_watch_age_seconds{watch="jobs music"}': f"{age}x240"}


def _fires(alert: str, about: str, minute: int, *series: Series) -> Situation:
    return Situation(about, alert, True, minute, {name: values for each in series for name, values in each.items()})


def _quiet(alert: str, about: str, minute: int, *series: Series) -> Situation:
    return Situation(about, alert, False, minute, {name: values for each in series for name, values in each.items()})


ONE_LEADS_TWICE: Final[Series] = {
    'audiojob_operator_leading{pod="a"}': "1x240",
    'audiojob_operator_leading{pod="b"}': "1x240",
}
ONE_STANDS_BY: Final[Series] = {
    'audiojob_operator_leading{pod="a"}': "1x240",
    'audiojob_operator_leading{pod="b"}': "0x240",
}
ELSEWHERE: Final[Series] = {'audiojob_operator_leading{namespace="other"}': "1x240"}

_OPERATOR: Final = (
    _fires("NobodyLeads", "all stand by", 10, STANDS_BY),
    _fires("NobodyLeads", "nothing is scraped", 10, {"audiojob_api_jobs": "1x240"}),
    _fires("NobodyLeads", "only another release has a leader", 10, ELSEWHERE),
    _quiet("NobodyLeads", "one leads", 10, LEADS),
    _quiet("NobodyLeads", "a successor takes two minutes", 10, {"audiojob_operator_leading": "1x4 0x1 1x240"}),
    _fires("TwoLead", "two lead", 10, ONE_LEADS_TWICE),
    _quiet("TwoLead", "one stands by", 10, ONE_STANDS_BY),
    _quiet("TwoLead", "another release has its own", 10, LEADS, ELSEWHERE),
    _fires("Degraded", "one reason holds", 10, _degraded("1x240")),
    _quiet("Degraded", "none does", 10, _degraded("0x240")),
    _fires("WatchSilent", "five minutes of silence", 10, LEADS, _old(300)),
    _quiet("WatchSilent", "just below", 10, LEADS, _old(230)),
    _quiet("WatchSilent", "one that was paused and leads no more", 10, STANDS_BY, _old(300)),
    _fires("Throttled", "0.2 a second", 20, _throttled("0+12x240")),
    _quiet("Throttled", "0.05 a second", 20, _throttled("0+3x240")),
    _fires("RefusedWrites", "the first", 15, _refused("0x9 1x240")),
    _quiet("RefusedWrites", "none", 15, _refused("0x240")),
    _fires("Faults", "the first", 15, {'audiojob_operator_reconciles_total{result="fault"}': "0x9 1x240"}),
    _quiet("Faults", "all goes well", 15, {'audiojob_operator_reconciles_total{result="ok"}': "0+9x240"}),
    _fires("Parked", "two of them", 20, LEADS, {"audiojob_operator_parked_audiojobs": "2x240"}),
    _quiet("Parked", "one went on after a change", 20, LEADS, {"audiojob_operator_parked_audiojobs": "0x5 1x4 0x240"}),
    _quiet("Parked", "as a former leader knew it", 20, STANDS_BY, {"audiojob_operator_parked_audiojobs": "2x240"}),
    _fires("Unwritable", "one of them", 20, LEADS, {"audiojob_operator_unwritable_audiojobs": "1x240"}),
    _quiet("Unwritable", "one that was deleted", 20, LEADS, {"audiojob_operator_unwritable_audiojobs": "1x4 0x240"}),
    _fires("OrphanJobs", "for an hour", 65, LEADS, _orphans("2x240")),
    _quiet("OrphanJobs", "for half an hour", 65, LEADS, _orphans("2x30 0x240")),
    _fires("MissedEvents", "15 in an hour", 20, {"audiojob_operator_missed_events_total": "0x9 15x240"}),
    _quiet("MissedEvents", "5 in an hour", 20, {"audiojob_operator_missed_events_total": "0x9 5x240"}),
    _fires("KopfRestarts", "5 in an hour", 20, {"audiojob_operator_kopf_restarts_total": "0x9 5x240"}),
    _quiet("KopfRestarts", "2 in an hour", 20, {"audiojob_operator_kopf_restarts_total": "0x9 2x240"}),
)  # fmt: skip

_WORK: Final = (
    _fires("NothingStarts", "a model is missing", 60, LEADS, _jobs("Queued", "ModelMissing"), _created("5x240")),
    _fires("NothingStarts", "nobody sees them", 60, LEADS, _jobs("Pending", "WaitingForOperator"), _created("0x240")),
    _quiet("NothingStarts", "others start", 60, LEADS, _jobs("Queued", "ModelMissing"), _created("0+1x240")),
    _quiet("NothingStarts", "all wait by design", 60, LEADS, _jobs("Queued", "QueueFull"), _created("5x240")),
    _quiet("NothingStarts", "a misspelt name", 60, LEADS, _jobs("Queued", "PipelineNotFound"), _created("5x240")),
    _fires("ImagePullFails", "for a quarter of an hour", 15, LEADS, _jobs("Running", "ImagePullFailed")),
    _quiet("ImagePullFails", "one that leads no more says so", 15, STANDS_BY, _jobs("Running", "ImagePullFailed")),
    _fires("VolumeMissing", "for a quarter of an hour", 15, LEADS, _jobs("Running", "VolumeMissing")),
    _quiet("VolumeMissing", "pods start", 15, LEADS, _jobs("Running", "PodStarting")),
    _fires("Unschedulable", "a pod has no room", 25, LEADS, _without_room("1x240")),
    _quiet("Unschedulable", "all have", 25, LEADS, _without_room("0x240")),
    _fires("NoWorkers", "none starts", 20, LEADS, _pool("3x240", "0x240")),
    _fires("NoWorkers", "phases give up, and others come", 30, LEADS, _pool("1x4 0x1 1x4 0x1 1x240", "0x240")),
    _quiet("NoWorkers", "all are busy", 20, LEADS, _pool("3x240", "0x240", "2x240")),
    _quiet("NoWorkers", "the first starts after ten minutes", 20, LEADS, _pool("3x240", "0x9 1x240")),
    _quiet("NoWorkers", "nobody waits", 20, LEADS, _pool("0x240", "0x240")),
    _quiet("NoWorkers", "as a former leader knew it", 20, STANDS_BY, _pool("3x240", "0x240")),
    _fires("WaitLong", "nine of ten phases wait more than an hour", 100, _waits("0+1x240", "0+10x240")),
    _quiet("WaitLong", "all wait less", 100, _waits("0+10x240", "0+10x240")),
    _fires(
        "JobsFail", "half of them", 90,
        _ended("Failed", "GpuError", "0+1x240"), _ended("Succeeded", "Completed", "0+1x240"),
    ),
    _quiet(
        "JobsFail", "for reasons of their users", 90,
        _ended("Failed", "NotMedia", "0+1x240"), _ended("Succeeded", "Completed", "0+1x240"),
    ),
    _quiet("JobsFail", "all of three", 90, _ended("Failed", "GpuError", "0x60 3x240")),
    _quiet(
        "JobsFail", "many, and many more succeed", 90,
        _ended("Failed", "GpuError", "0+1x240"), _ended("Succeeded", "Completed", "0+9x240"),
    ),
    _fires("OutOfMemory", "8 in an hour", 20, _attempts("Memory", "OutOfMemory", "0x9 8x240")),
    _quiet("OutOfMemory", "4 in an hour", 20, _attempts("Memory", "OutOfMemory", "0x9 4x240")),
    _fires("DiskFull", "5 in an hour", 20, _attempts("Retry", "DiskFull", "0x9 5x240")),
    _quiet("DiskFull", "2 in an hour", 20, _attempts("Retry", "DiskFull", "0x9 2x240")),
    _fires("GpuErrors", "5 in an hour", 20, _attempts("Device", "GpuFailedBefore", "0x9 5x240")),
    _quiet("GpuErrors", "2 in an hour", 20, _attempts("Device", "GpuFailedBefore", "0x9 2x240")),
    _fires("GpuFallbacks", "half of them", 100, _fell_back("GpuWaitExpired", "0+1x240"), _on_gpu("0+1x240")),
    _fires("GpuFallbacks", "all of them", 100, _fell_back("GpuWaitExpired", "0+1x240")),
    _quiet("GpuFallbacks", "no node offers a GPU", 100, _fell_back("NoGpuOffered", "0+1x240")),
    _quiet("GpuFallbacks", "one in ten", 100, _fell_back("GpuWaitExpired", "0+1x240"), _on_gpu("0+9x240")),
    _quiet("GpuFallbacks", "one, and no other phase", 100, _fell_back("GpuWaitExpired", "0x60 1x240")),
    _fires("Disruptions", "30 in an hour", 20, {"audiojob_operator_disruptions_total": "0x9 30x240"}),
    _quiet("Disruptions", "10 in an hour", 20, {"audiojob_operator_disruptions_total": "0x9 10x240"}),
    _fires("SiteBlocks", "30 in an hour", 20, _attempts("CoolDown", "RateLimited", "0x9 30x240")),
    _quiet("SiteBlocks", "10 in an hour", 20, _attempts("CoolDown", "RateLimited", "0x9 10x240")),
    _fires("ExtractorOutdated", "5 in six hours", 20, _attempts("Permanent", "ExtractorOutdated", "0x9 5x240")),
    _quiet("ExtractorOutdated", "2 in six hours", 20, _attempts("Permanent", "ExtractorOutdated", "0x9 2x240")),
)  # fmt: skip

_API: Final = (
    _fires(
        "ApiErrors", "one in twenty", 20,
        _answered("500", "0+1x240"), _answered("200", "0+19x240"),
    ),
    _quiet(
        "ApiErrors", "only what clients did wrong", 20,
        _answered("404", "0+9x240"), _answered("500", "0x240"),
    ),
    _fires("ApiSlow", "half of the answers", 20, _answers("0+5x240", "0+10x240")),
    _quiet("ApiSlow", "all within a second", 20, _answers("0+10x240", "0+10x240")),
    _fires("ApiStale", "five minutes", 15, {"audiojob_api_read_model_age_seconds": "300x240"}),
    _quiet("ApiStale", "half a minute", 15, {"audiojob_api_read_model_age_seconds": "30x240"}),
    _fires("ArchiveLate", "half an hour", 15, {"audiojob_api_archive_lag_seconds": "1800x240"}),
    _quiet("ArchiveLate", "a minute", 15, {"audiojob_api_archive_lag_seconds": "60x240"}),
)  # fmt: skip

SITUATIONS: Final = (*_OPERATOR, *_WORK, *_API)
