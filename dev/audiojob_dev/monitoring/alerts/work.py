"""Alerts about the work: what does not start, what takes long, what fails."""

from __future__ import annotations

from typing import Final

from audiojob_dev.monitoring.model import Alert, Threshold
from audiojob_dev.monitoring.promql import any_of, longest, total
from audiojob_dev.monitoring.words import GPU_TROUBLE, SITE_TROUBLE, USERS, WAITS_BY_DESIGN
from audiojob_types.reasons import Reason


def _jobs(matchers: str) -> str:
    return total(f"audiojob_operator_audiojobs{{{matchers}}}")


def _waiting_for(reason: Reason) -> str:
    return _jobs(f'reason="{reason}"')


def _attempts(reasons: str, window: str) -> str:
    return f'sum(increase(audiojob_operator_attempts_total{{reason=~"{reasons}"}}[{window}]))'


_WAITING: Final = f'state=~"Pending|Queued",reason!~"{any_of(WAITS_BY_DESIGN)}"'
# Not `phase_wait_seconds_count`, which is born with the first phase of a pipeline and misses that one.
_STARTED: Final = 'sum(increase(audiojob_operator_writes_total{verb="create",resource="jobs",result="ok"}[30m]))'
_NOT_USERS: Final = f'reason!~"{any_of(USERS)}"'
_FAILED: Final = f'sum(increase(audiojob_operator_finished_audiojobs_total{{state="Failed",{_NOT_USERS}}}[1h]))'
_ENDED: Final = (
    f'sum(increase(audiojob_operator_finished_audiojobs_total{{state=~"Failed|Succeeded",{_NOT_USERS}}}[1h]))'
)
# Where no node offers a GPU, the CPU is what device Auto is for.
_FELL_BACK: Final = 'sum(increase(audiojob_operator_fallbacks_total{reason!="NoGpuOffered"}[1h]))'
_FELL_BACK_AT_ONCE: Final = 'sum(increase(audiojob_operator_fallbacks_total{reason="GpuWaitExpired"}[1h]))'
_ON_GPU: Final = '(sum(increase(audiojob_operator_phase_wait_seconds_count{device="GPU"}[1h])) or vector(0))'

_POOL: Final = ("job_namespace", "pool")
_WAITED: Final = longest("max_over_time(audiojob_operator_pool_waiting_phases[5m])", *_POOL)
_AT_WORK: Final = total('max_over_time(audiojob_operator_pool_workers{state=~"idle|busy"}[5m])', *_POOL)

_STUCK: Final = (
    Alert(
        "NothingStarts",
        "critical",
        "15m",
        f"{_jobs(_WAITING)} > 0 unless {_STARTED} > 0",
        "AudioJobs wait, and none has started for 30 minutes.",
        "{{ $value }} AudioJobs wait for something that should not last.",
    ),
    Alert(
        "ImagePullFails",
        "critical",
        "10m",
        f"{_waiting_for(Reason.IMAGE_PULL_FAILED)} > 0",
        "Nodes cannot pull the image of a phase.",
        "{{ $value }} AudioJobs wait for an image.",
    ),
    Alert(
        "VolumeMissing",
        "critical",
        "10m",
        f"{_waiting_for(Reason.VOLUME_MISSING)} > 0",
        "A volume or Secret that pods mount does not exist.",
        "{{ $value }} AudioJobs wait for it.",
    ),
    Alert(
        "Unschedulable",
        "warning",
        "20m",
        f"{total('audiojob_operator_unschedulable_pods', 'device')} > ${{unschedulablePods}}",
        "No node has room for pods of phases.",
        "{{ $value }} pods for {{ $labels.device }} phases wait for room.",
        (Threshold("unschedulablePods", 0, "Pods that no node has room for."),),
    ),
    Alert(
        "NoWorkers",
        "warning",
        "15m",
        f"{_WAITED} > 0 unless {_AT_WORK} > 0",
        "Phases wait for workers of a pool that has none.",
        "Phases wait for pool {{ $labels.pool }} in {{ $labels.job_namespace }}, and none of its workers has started.",
    ),
    Alert(
        "WaitLong",
        "warning",
        "30m",
        "max(audiojob:wait_seconds:p90_1h) > ${waitLongSeconds}",
        "Phases wait long before they start.",
        "One in ten phases that started in the last hour had waited longer than {{ $value | humanizeDuration }}.",
        (Threshold("waitLongSeconds", 3_600, "Seconds that nine in ten phases wait less than."),),
    ),
)

_FAILING: Final = (
    Alert(
        "JobsFail",
        "warning",
        "15m",
        f"{_FAILED} / ({_ENDED} > 0) > ${{jobsFailRatio}} and {_FAILED} > ${{jobsFail}}",
        "Many AudioJobs fail.",
        "{{ $value | humanizePercentage }} of the AudioJobs that ended in the last hour have failed. Left out are "
        "those whose failure lies in what a user asked for.",
        (
            Threshold("jobsFail", 20, "AudioJobs in an hour that fail for no reason of their users."),
            Threshold("jobsFailRatio", 0.2, "Their part of all that end; 0.2 is 20 %."),
        ),
    ),
    Alert(
        "OutOfMemory",
        "warning",
        "0m",
        f"{_attempts(Reason.OUT_OF_MEMORY, '1h')} > ${{outOfMemory}}",
        "Attempts run out of memory.",
        "{{ $value | humanize }} attempts were killed in the last hour.",
        (Threshold("outOfMemory", 5, "Attempts in an hour that run out of memory."),),
    ),
    Alert(
        "DiskFull",
        "warning",
        "0m",
        f"{_attempts(Reason.DISK_FULL, '1h')} > ${{diskFull}}",
        "Scratch disks or the store are full.",
        "{{ $value | humanize }} attempts ended with a full disk in the last hour.",
        (Threshold("diskFull", 3, "Attempts in an hour that end with a full disk."),),
    ),
    Alert(
        "GpuErrors",
        "warning",
        "0m",
        f"{_attempts(any_of(GPU_TROUBLE), '1h')} > ${{gpuErrors}}",
        "GPUs fail.",
        "{{ $value | humanize }} attempts failed on a GPU in the last hour.",
        (Threshold("gpuErrors", 3, "Attempts in an hour that fail on a GPU."),),
    ),
    Alert(
        "GpuFallbacks",
        "warning",
        "30m",
        f"{_FELL_BACK} / ({_FELL_BACK_AT_ONCE} + {_ON_GPU} > 0) > ${{gpuFallbacksRatio}} "
        f"and {_FELL_BACK} > ${{gpuFallbacks}}",
        "Phases that wanted a GPU run on the CPU.",
        "{{ $value | humanizePercentage }} of the phases that wanted a GPU in the last hour.",
        (
            Threshold("gpuFallbacks", 3, "Phases in an hour that move to the CPU."),
            Threshold("gpuFallbacksRatio", 0.25, "Their part of the phases that wanted a GPU; 0.25 is 25 %."),
        ),
    ),
    Alert(
        "Disruptions",
        "warning",
        "0m",
        "sum(increase(audiojob_operator_disruptions_total[1h])) > ${disruptions}",
        "Nodes take attempts away again and again.",
        "{{ $value | humanize }} attempts were lost to drains, evictions and lost nodes in the last hour.",
        (Threshold("disruptions", 20, "Attempts in an hour that are lost to drains, evictions and lost nodes."),),
    ),
    Alert(
        "SiteBlocks",
        "warning",
        "0m",
        f"{_attempts(any_of(SITE_TROUBLE), '1h')} > ${{siteBlocks}}",
        "Sites refuse downloads because of too many requests.",
        "{{ $value | humanize }} downloads were refused in the last hour.",
        (Threshold("siteBlocks", 20, "Downloads in an hour that sites refuse because of too many requests."),),
    ),
    Alert(
        "ExtractorOutdated",
        "warning",
        "0m",
        f"{_attempts(Reason.EXTRACTOR_OUTDATED, '6h')} > ${{extractorOutdated}}",
        "A site has changed, and yt-dlp does not know it yet.",
        "{{ $value | humanize }} downloads found nothing that this version of yt-dlp can download in the last 6 hours.",
        (Threshold("extractorOutdated", 3, "Downloads in 6 hours for which yt-dlp is too old."),),
    ),
)

WORK: Final = (*_STUCK, *_FAILING)
