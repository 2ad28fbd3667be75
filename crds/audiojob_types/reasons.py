"""Every reason that a condition, a phase, an event or an error can carry, with its meaning and the way out."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class Reason(StrEnum):
    """Stable CamelCase names: scripts and alerts may depend on them."""

    # Waiting
    WAITING_FOR_OPERATOR = "WaitingForOperator"
    QUEUE_FULL = "QueueFull"
    QUEUE_NOT_FOUND = "QueueNotFound"
    HELD = "Held"
    WAITING_FOR_GPU = "WaitingForGPU"
    WAITING_FOR_WORKER = "WaitingForWorker"
    TOLD_TO_WORKER = "ToldToWorker"
    WAITING_FOR_JOB = "WaitingForJob"
    WAITING_FOR_KUEUE = "WaitingForKueue"
    EVICTED_BY_KUEUE = "EvictedByKueue"
    COOLING_DOWN = "CoolingDown"
    SITE_BUSY = "SiteBusy"
    WAITING_FOR_SAME_WORK = "WaitingForSameWork"
    AWAITING_REVIEW = "AwaitingReview"
    START_TIME_AHEAD = "StartTimeAhead"
    SUSPENDED = "Suspended"
    BACKING_OFF = "BackingOff"
    NAMESPACE_NOT_PREPARED = "NamespaceNotPrepared"
    PIPELINE_NOT_FOUND = "PipelineNotFound"
    REVISION_UNREADABLE = "RevisionUnreadable"
    UNSCHEDULABLE = "Unschedulable"
    IMAGE_PULL_FAILED = "ImagePullFailed"
    VOLUME_MISSING = "VolumeMissing"
    POD_STARTING = "PodStarting"
    STARTED_EARLY = "StartedEarly"
    CREATE_REFUSED = "CreateRefused"
    STATUS_REFUSED = "StatusRefused"
    OPERATOR_FAULT = "OperatorFault"
    ADMITTED = "Admitted"
    # Running and done
    RUNNING = "Running"
    PHASE_STARTED = "PhaseStarted"
    PHASE_RETRIED = "PhaseRetried"
    PHASE_REUSED = "PhaseReused"
    REUSE_FAILED = "ReuseFailed"
    REVIEW_IGNORED = "ReviewIgnored"
    COMPLETED = "Completed"
    # Failures of a job
    CANCELLED = "Cancelled"
    INVALID_SPEC = "InvalidSpec"
    DEADLINE_EXCEEDED = "DeadlineExceeded"
    QUEUE_TIMEOUT = "QueueTimeout"
    REVIEW_REJECTED = "ReviewRejected"
    REVIEW_TIMEOUT = "ReviewTimeout"
    SOURCE_JOB_FAILED = "SourceJobFailed"
    # Failures of an attempt
    NOT_MEDIA = "NotMedia"
    CORRUPT_MEDIA = "CorruptMedia"
    EMPTY_MEDIA = "EmptyMedia"
    SOURCE_UNAVAILABLE = "SourceUnavailable"
    SOURCE_FORBIDDEN = "SourceForbidden"
    LOGIN_REQUIRED = "LoginRequired"
    AGE_RESTRICTED = "AgeRestricted"
    SOURCE_PRIVATE = "SourcePrivate"
    GEO_BLOCKED = "GeoBlocked"
    DRM_PROTECTED = "DrmProtected"
    LIVE_NOT_ALLOWED = "LiveNotAllowed"
    TOO_MANY_REDIRECTS = "TooManyRedirects"
    TOO_SLOW = "TooSlow"
    DNS_ERROR = "DnsError"
    BOT_CHECK = "BotCheck"
    EXTRACTOR_OUTDATED = "ExtractorOutdated"
    BLOCKED_ADDRESS = "BlockedAddress"
    TOO_LARGE = "TooLarge"
    TOO_LONG = "TooLong"
    MODEL_MISSING = "ModelMissing"
    INPUT_MISSING = "InputMissing"
    CHECKSUM_MISMATCH = "ChecksumMismatch"
    TEMPORARY_FAILURE = "TemporaryFailure"
    CREDENTIALS_REFUSED = "CredentialsRefused"
    RATE_LIMITED = "RateLimited"
    DISK_FULL = "DiskFull"
    GPU_ERROR = "GpuError"
    GPU_OUT_OF_MEMORY = "GpuOutOfMemory"
    OUT_OF_MEMORY = "OutOfMemory"
    STALLED = "Stalled"
    TOO_MANY_ATTEMPTS = "TooManyAttempts"
    SOFT_LIMIT = "SoftLimitExceeded"
    STOPPED = "Stopped"
    PROGRAM_FAILED = "ProgramFailed"
    NO_RESULT = "NoResult"
    DISRUPTED = "Disrupted"
    CHILD_LOST = "ChildLost"
    POD_LOST = "PodLost"
    START_TIMEOUT = "StartTimeout"
    # Why an attempt runs on its device
    DEVICE_REQUESTED = "Requested"
    GPU_OFFERED = "GpuOffered"
    NO_GPU_OFFERED = "NoGpuOffered"
    GPU_WAIT_EXPIRED = "GpuWaitExpired"
    GPU_FAILED_BEFORE = "GpuFailedBefore"


def _between(first: Reason, last: Reason) -> tuple[Reason, ...]:
    """A group of the reasons above, which are written in this order."""
    words = tuple(Reason)
    return words[words.index(first) : words.index(last) + 1]


JOB_FAILURES: Final = _between(Reason.INVALID_SPEC, Reason.SOURCE_JOB_FAILED)
ATTEMPT_FAILURES: Final = _between(Reason.NOT_MEDIA, Reason.START_TIMEOUT)


@dataclass(frozen=True, slots=True)
class Explanation:
    """What a reason means, and what a user or an administrator can do."""

    meaning: str
    suggestion: str


EXPLANATIONS: Final[dict[Reason, Explanation]] = {
    Reason.WAITING_FOR_OPERATOR: Explanation(
        "The job is stored, but the operator has not seen it yet.",
        "If this lasts, check that the operator's Deployment is ready.",
    ),
    Reason.QUEUE_FULL: Explanation(
        "The queue's limit, its limit for one user, or the cluster's capacity is reached.",
        "Wait, raise the job's priority, or ask the administrator for a higher limit of the queue, users or capacity.",
    ),
    Reason.QUEUE_NOT_FOUND: Explanation(
        "No AudioQueue of the job's namespace has the name in spec.queueName.",
        "See the names with: kubectl get audioqueues. The job starts when the queue appears.",
    ),
    Reason.HELD: Explanation(
        "The queue's stopPolicy keeps its jobs from starting.",
        "Ask the administrator; the job starts when the queue's stopPolicy is None again.",
    ),
    Reason.WAITING_FOR_GPU: Explanation(
        "The phase needs GPUs, and all that the queue or the cluster may use are busy.",
        "Wait. With device Auto the phase moves to the CPU after gpuWaitSeconds of its pipeline.",
    ),
    Reason.WAITING_FOR_WORKER: Explanation(
        "All workers of the phase's pool are busy or starting.",
        "Wait. After workerPool.fallbackSeconds the phase takes a Job of its own.",
    ),
    Reason.TOLD_TO_WORKER: Explanation(
        "A worker at work fetches the phase's inputs, and begins it next.", "Wait; one that is free before takes it."
    ),
    Reason.WAITING_FOR_JOB: Explanation(
        "The AudioJob in source.jobRef has not succeeded yet or does not exist; or the AudioJob in source.jobRef or "
        "retryOf was written by a newer version and cannot be read.",
        "Wait. If there is no such AudioJob, create it or cancel this one; if it cannot be read, upgrade the operator.",
    ),
    Reason.WAITING_FOR_KUEUE: Explanation(
        "Kueue has not admitted the phase's Job.", "See why with: kubectl get workloads."
    ),
    Reason.EVICTED_BY_KUEUE: Explanation(
        "Kueue evicted the phase's Job.", "Wait; the phase starts again when Kueue admits it."
    ),
    Reason.COOLING_DOWN: Explanation(
        "The source's site limits requests, so no job asks it for a while.", "Wait until the time in the message."
    ),
    Reason.SITE_BUSY: Explanation(
        "The limit of downloads from the source's site is reached, or one started less than pauseSeconds ago.",
        "Wait; the download starts by itself. The limits are sites and fetch.maxPerHost in the Helm values.",
    ),
    Reason.WAITING_FOR_SAME_WORK: Explanation(
        "Another job of the namespace is doing the same work; this job will reuse its result.",
        "Wait; if that job fails or stops, this one does the work. A new job with spec.reuse: Never does not wait.",
    ),
    Reason.AWAITING_REVIEW: Explanation(
        "The pipeline stops before the phase until a review approves it.",
        "Add {phase, approved: true} to spec.reviews, or approved: false to end the job.",
    ),
    Reason.START_TIME_AHEAD: Explanation("spec.startTime is in the future.", "Wait until then."),
    Reason.SUSPENDED: Explanation("spec.suspend is true.", "Set spec.suspend to false to continue."),
    Reason.BACKING_OFF: Explanation("An attempt failed and the next one waits.", "Wait; status.phases shows the time."),
    Reason.NAMESPACE_NOT_PREPARED: Explanation(
        "The administrator has not prepared this namespace for jobs.",
        "Ask the administrator to add the namespace to jobNamespaces: "
        "helm upgrade audiojob charts/audiojob -n audiojob-system --reuse-values --set 'jobNamespaces={…}'.",
    ),
    Reason.PIPELINE_NOT_FOUND: Explanation(
        "No AudioPipeline has the name in spec.pipeline.",
        "See the names with: kubectl get audiopipelines. The job starts when the pipeline appears.",
    ),
    Reason.REVISION_UNREADABLE: Explanation(
        "A later version of the operator started the job, and this one cannot read its pipeline revision.",
        "Upgrade the operator again, or cancel the job and create it again. An attempt that runs is not stopped.",
    ),
    Reason.UNSCHEDULABLE: Explanation(
        "No node has room for the pod.", "See the numbers in the message; free resources or add a node."
    ),
    Reason.IMAGE_PULL_FAILED: Explanation(
        "A node cannot pull the image.",
        "Check the image's name (in the Helm values; for a Container phase in its pipeline) and that nodes can reach "
        "the registry.",
    ),
    Reason.VOLUME_MISSING: Explanation(
        "A volume or Secret that the pod mounts does not exist.",
        "Create the claim or Secret that the message names, in the job's namespace.",
    ),
    Reason.STARTED_EARLY: Explanation("The pod loads what it needs while the phase before works.", "Nothing to do."),
    Reason.CREATE_REFUSED: Explanation(
        "The API server refuses the phase's Job.",
        "See the message: a quota, a policy of the cluster, or the pipeline's resources prevent it.",
    ),
    Reason.STATUS_REFUSED: Explanation(
        "The API server refuses each write of the job's status: nothing more is done for it, and others get its slot.",
        "Delete the job, or correct what the message names: each change of its spec, labels or annotations brings one "
        "more try.",
    ),
    Reason.OPERATOR_FAULT: Explanation(
        "The operator fails on the job, by a fault of its own: nothing new is begun, and others get its slot.",
        "Tell the administrator: the operator's log has the traceback. A mended operator goes on with the job.",
    ),
    Reason.POD_STARTING: Explanation("The pod is starting.", "If the message names a problem, tell the administrator."),
    Reason.ADMITTED: Explanation("The job may run.", "Nothing to do."),
    Reason.RUNNING: Explanation("A phase runs.", "Nothing to do."),
    Reason.PHASE_STARTED: Explanation(
        "The job's first Job was created, that of a further attempt, or one in place of a worker.", "Nothing to do."
    ),
    Reason.PHASE_RETRIED: Explanation("An attempt failed, and the phase is retried.", "Nothing to do."),
    Reason.PHASE_REUSED: Explanation(
        "The result of another job that did the same work is reused.",
        "Nothing to do; to do the work again, create a job with spec.reuse: Never.",
    ),
    Reason.REUSE_FAILED: Explanation(
        "Reused files of another job are no longer in the store.", "Nothing to do; the phase runs after all."
    ),
    Reason.REVIEW_IGNORED: Explanation("A review names a phase without a gate.", "Name the phase in the message."),
    Reason.COMPLETED: Explanation("All phases succeeded.", "The outputs are listed in status.outputs."),
    Reason.CANCELLED: Explanation(
        "spec.cancel was set.", "To continue, create a new job with retryOf; it keeps the finished phases."
    ),
    Reason.INVALID_SPEC: Explanation(
        "The spec does not fit its pipeline.", "Correct the field that the message names and create a new job."
    ),
    Reason.DEADLINE_EXCEEDED: Explanation(
        "The job or an attempt of a phase ran longer than its limit.",
        "Use a shorter input, a higher spec.activeDeadlineSeconds, or ask for a higher hardLimitSeconds of the phase.",
    ),
    Reason.QUEUE_TIMEOUT: Explanation(
        "The job did not start within spec.queueTimeoutSeconds, or what it waits for did not exist for a day.",
        "Create it again when the queue is shorter, or when what the message names exists.",
    ),
    Reason.REVIEW_REJECTED: Explanation(
        "A review did not approve the phase.",
        "Correct the problem and create a new job; with retryOf it keeps the phases that need no change.",
    ),
    Reason.REVIEW_TIMEOUT: Explanation(
        "Nobody reviewed the phase within reviewTimeoutSeconds.", "Create the job again when somebody can review it."
    ),
    Reason.SOURCE_JOB_FAILED: Explanation(
        "The AudioJob in source.jobRef did not succeed, or has no such output.",
        "Name an AudioJob of the same namespace that has succeeded, and one of its status.outputs.",
    ),
    Reason.NOT_MEDIA: Explanation(
        "The source is not audio or video in a supported format.",
        "Check that the file plays; wav, flac, mp3, ogg, opus, m4a, mp4, mkv and webm are supported.",
    ),
    Reason.CORRUPT_MEDIA: Explanation("The file is damaged.", "Check that the file plays from start to end."),
    Reason.EMPTY_MEDIA: Explanation(
        "The file has no audio, or no length.", "Use a file with audio that is longer than 0 seconds."
    ),
    Reason.SOURCE_UNAVAILABLE: Explanation(
        "The source does not exist or is not accessible.", "Open the address in a browser; check it for typos."
    ),
    Reason.SOURCE_FORBIDDEN: Explanation(
        "The server refuses access to the source.",
        "Use an address that needs no login, or ask the administrator for cookies of the site (fetch.secret).",
    ),
    Reason.LOGIN_REQUIRED: Explanation(
        "The site shows the source only to logged-in users.",
        "Use a source that needs no login, or ask the administrator for cookies of the site (fetch.secret).",
    ),
    Reason.AGE_RESTRICTED: Explanation(
        "The site shows the source only to logged-in users of sufficient age.",
        "Use a source that needs no login, or ask the administrator for cookies of the site (fetch.secret).",
    ),
    Reason.SOURCE_PRIVATE: Explanation(
        "The source is private, or for paying members.", "Ask its owner to make it public."
    ),
    Reason.GEO_BLOCKED: Explanation(
        "The source is not available in the country of this cluster.",
        "Use another source, or ask the administrator for a proxy in another country (fetch.secret).",
    ),
    Reason.DRM_PROTECTED: Explanation(
        "The source is protected against copying (DRM).", "Use a source without copy protection."
    ),
    Reason.LIVE_NOT_ALLOWED: Explanation(
        "The source is live, or has not been broadcast yet.",
        "Create the job again when there is a recording, or set allowLive and maxRecordingSeconds.",
    ),
    Reason.TOO_MANY_REDIRECTS: Explanation(
        "The source's address redirects too often.", "Use the address that a browser ends at."
    ),
    Reason.TOO_SLOW: Explanation(
        "The source sends next to nothing, or the download took longer than its limit.",
        "Use another source, or raise timeoutSeconds.",
    ),
    Reason.DNS_ERROR: Explanation(
        "The name of the source's host cannot be resolved.",
        "Check the address; if it is right, ask the administrator to check the cluster's DNS.",
    ),
    Reason.BOT_CHECK: Explanation(
        "The site takes the downloader for a robot.",
        "Download less at once, or ask the administrator for cookies of the site or another proxy (fetch.secret).",
    ),
    Reason.EXTRACTOR_OUTDATED: Explanation(
        "The site offers nothing that this version of yt-dlp can download.",
        "If this lasts, ask the administrator for a newer runner image.",
    ),
    Reason.BLOCKED_ADDRESS: Explanation(
        "The source leads to a private or local network address.",
        "Use a public address, or ask the administrator to allow it with its port in fetch.allowedCIDRs.",
    ),
    Reason.TOO_LARGE: Explanation(
        "The source is larger than the limit.", "Use a smaller file or ask for a higher limit."
    ),
    Reason.TOO_LONG: Explanation(
        "The source plays longer than the limit.", "Use a shorter file or ask for a higher limit."
    ),
    Reason.MODEL_MISSING: Explanation(
        "The model is not installed in this namespace, or not yet.",
        "If the message shows a prefetch, wait: the phase starts by itself. Otherwise ask the administrator to add the "
        "model to models.prefetch.models of the chart, or to put it into the models volume.",
    ),
    Reason.INPUT_MISSING: Explanation(
        "An input is not in the store.", "Check the key. Results of earlier phases may have expired: run the job again."
    ),
    Reason.CHECKSUM_MISMATCH: Explanation(
        "A stored file is not what was published.", "Check the store's health and run the job again."
    ),
    Reason.TEMPORARY_FAILURE: Explanation(
        "Something failed that may work later, such as a connection to the source or the store.",
        "Check that the source and the store can be reached; the log at logKey has the details.",
    ),
    Reason.CREDENTIALS_REFUSED: Explanation(
        "A site or store refused the credentials.", "Ask the administrator to renew them."
    ),
    Reason.RATE_LIMITED: Explanation(
        "The source's site refuses because of too many requests. Such attempts are not counted as failures.",
        "Download less from the site at once, or wait longer before the next try.",
    ),
    Reason.DISK_FULL: Explanation(
        "The scratch disk or the store is full.", "Use a smaller input, or ask for a larger scratch volume or store."
    ),
    Reason.GPU_ERROR: Explanation("The GPU failed.", "With device Auto the phase is repeated on the CPU."),
    Reason.GPU_OUT_OF_MEMORY: Explanation(
        "The GPU has too little memory.", "With device Auto the phase is repeated on the CPU."
    ),
    Reason.OUT_OF_MEMORY: Explanation(
        "The phase used more memory than its limit.",
        "Raise resources.memory of the phase in the pipeline, or resources.memoryCap up to which it may grow.",
    ),
    Reason.STALLED: Explanation(
        "The phase made no progress for stallSeconds.",
        "See the log at logKey for where it stood; raise stallSeconds of the phase if it only needs more time.",
    ),
    Reason.TOO_MANY_ATTEMPTS: Explanation(
        "The phase has had as many attempts as can be recorded: it was suspended or drained too often.",
        "Create the job again, and leave it running.",
    ),
    Reason.SOFT_LIMIT: Explanation(
        "The phase ran longer than its soft limit.", "Raise the limit or use a shorter input."
    ),
    Reason.STOPPED: Explanation(
        "The phase's process was stopped.", "See the events of the pod and its node for what stopped it."
    ),
    Reason.PROGRAM_FAILED: Explanation(
        "The administrator's own program of a Container phase failed, or left outputs that cannot be published.",
        "See the last lines of its log in the message, and the log of the pod's container program.",
    ),
    Reason.NO_RESULT: Explanation(
        "The process ended without reporting a result.", "See the log of the pod, and report it if it happens twice."
    ),
    Reason.DISRUPTED: Explanation(
        "The node was drained or the pod was evicted. This is not counted as a failure.",
        "If it happens again and again, ask the administrator to check the nodes.",
    ),
    Reason.CHILD_LOST: Explanation(
        "The phase's Job was deleted. This is not counted as a failure.",
        "If it happens again and again, find out who deletes Jobs in the namespace.",
    ),
    Reason.POD_LOST: Explanation(
        "The phase's pod was lost, with its node or before its result was read. This is not counted as a failure.",
        "If it happens again and again, ask the administrator to check the nodes.",
    ),
    Reason.START_TIMEOUT: Explanation("The pod could not be started in time.", "See the message for what was missing."),
    Reason.DEVICE_REQUESTED: Explanation("The job or its pipeline names the device.", "Nothing to do."),
    Reason.GPU_OFFERED: Explanation("A node offers a GPU.", "Nothing to do."),
    Reason.NO_GPU_OFFERED: Explanation("No Ready node offers enough GPUs.", "The CPU does the work."),
    Reason.GPU_WAIT_EXPIRED: Explanation("No GPU became free within gpuWaitSeconds.", "The CPU does the work."),
    Reason.GPU_FAILED_BEFORE: Explanation("An earlier attempt failed on the GPU.", "The CPU does the work."),
}
