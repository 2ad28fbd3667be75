"""Every string that more than one part of audiojob must spell alike."""

from __future__ import annotations

from typing import Final

RELEASE: Final = "0.1.0"  # as in pyproject.toml and the chart; images hold no metadata of distributions

GROUP: Final = "audiojobs.dev"
VERSION: Final = "v1alpha1"
API_VERSION: Final = f"{GROUP}/{VERSION}"

# What made a write, as the API server records it. The admission policy and the audit log tell writers apart by these.
MANAGER_OPERATOR: Final = "audiojob-operator"
MANAGER_RUNNER: Final = "audiojob-runner"
MANAGER_API: Final = "audiojob-api"

# Objects that an administrator (the chart) puts into each job namespace, found by name alone.
RUNNER_SERVICE_ACCOUNT: Final = "audiojob-runner"
STORE_CLAIM: Final = "audiojob-store"
STORE_SECRET: Final = "audiojob-store"  # noqa: S105 - the name of a Secret, not one
FETCH_SECRET: Final = "audiojob-fetch"  # noqa: S105 - the name of a Secret, not one
MODELS_CLAIM: Final = "audiojob-models"
FILES_KEYS_CONFIGMAP: Final = "audiojob-files-keys"  # public keys of the tickets that the API signs
MODELS_CONFIGMAP: Final = "audiojob-models"  # where the prefetch Job says how far it is
PREFETCH_SERVICE_ACCOUNT: Final = "audiojob-prefetch"

# The store: where containers mount it, and what an attempt leaves last.
STORE_ROOT: Final = "/store"
STORE_CREDENTIALS: Final = "/etc/audiojob/store"  # of a bucket, as a folder: accessKeyId, secretAccessKey
MANIFEST_NAME: Final = "manifest.json"

# Recommended labels: tools such as kubectl, Lens and Grafana group by them.
LABEL_NAME: Final = "app.kubernetes.io/name"
LABEL_PART_OF: Final = "app.kubernetes.io/part-of"
LABEL_MANAGED_BY: Final = "app.kubernetes.io/managed-by"
APP_NAME: Final = "audiojob"

# Values longer than 63 characters, or not allowed in a label, are replaced by a cut and a hash.
LABEL_JOB: Final = f"{GROUP}/job"
LABEL_UID: Final = f"{GROUP}/uid"
LABEL_PHASE: Final = f"{GROUP}/phase"
LABEL_ATTEMPT: Final = f"{GROUP}/attempt"
LABEL_QUEUE: Final = f"{GROUP}/queue"
LABEL_PIPELINE: Final = f"{GROUP}/pipeline"
LABEL_EGRESS: Final = f"{GROUP}/egress"  # what NetworkPolicies let a phase's pod reach: one of descriptor.Egress
LABEL_POOL: Final = f"{GROUP}/pool"  # the AudioWorkerPool of a worker: its Job and pod
LABEL_USER: Final = f"{GROUP}/user"  # set by the API alone, from the verified token

LABEL_BATCH: Final = f"{GROUP}/batch"  # the AudioBatch that an AudioJob is an item of

# Set by the API alone, once a finished AudioJob is in its archive: from then on its TTL may delete it.
ANNOTATION_ARCHIVED: Final = f"{GROUP}/archived"

# The release that made a CRD.
ANNOTATION_RELEASE: Final = f"{GROUP}/release"

# The phase input, mounted into the pod by the downward API.
ANNOTATION_PHASE: Final = f"{GROUP}/phase"
# Of a pod that begins before its inputs are there: "", then once the phase file with them, mounted beside the other.
ANNOTATION_INPUTS: Final = f"{GROUP}/inputs"
INPUTS_FILE: Final = "inputs.json"
# And how often it was told that again, for a kubelet that has missed it.
ANNOTATION_TOLD_AGAIN: Final = f"{GROUP}/told-again"
# When, after the telling, a pod that shows no sign of having read it is told again; so is a worker. A runner reports
# after a second.
TOLD_AGAIN_SECONDS: Final = (4.0, 15.0)
# Of a worker's pod: its terms and the phases that it is told, mounted as a file. The operator alone rewrites it.
ANNOTATION_WORK: Final = f"{GROUP}/work"
# Of a worker's Job: its number in the pool, and what it was built from, told apart from that of a changed pool.
ANNOTATION_WORKER: Final = f"{GROUP}/worker"
ANNOTATION_BUILT_FROM: Final = f"{GROUP}/built-from"
# Of a Job whose pod begins so.
ANNOTATION_EARLY: Final = f"{GROUP}/early"
# The pipeline revision a phase Job was built from: a restarted operator adopts it when its status write was lost.
ANNOTATION_REVISION: Final = f"{GROUP}/revision"
# The device of the attempt, told apart from its resources so that it can be read without the pod template.
ANNOTATION_DEVICE: Final = f"{GROUP}/device"
ANNOTATION_DEVICE_REASON: Final = f"{GROUP}/device-reason"
ANNOTATION_MEMORY: Final = f"{GROUP}/memory-bytes"
ANNOTATION_GPUS: Final = f"{GROUP}/gpus"
# The resource that the GPUs have on the node; absent: GPU_RESOURCE, which was the only one once.
ANNOTATION_GPU_RESOURCE: Final = f"{GROUP}/gpu-resource"
# What the attempt does, and whom it asks: identical work and the load on a site are counted from live Jobs.
ANNOTATION_REUSE_KEY: Final = f"{GROUP}/reuse-key"
# What stands for the attempt's work once its pod has found the inputs to be what was recorded.
ANNOTATION_DONOR: Final = f"{GROUP}/donor"
ANNOTATION_HOST: Final = f"{GROUP}/host"
# Names of the inputs that the phase's review handed in, with commas between them.
ANNOTATION_REVIEW_INPUTS: Final = f"{GROUP}/review-inputs"
# What the exit code of a Container phase's program means, told apart from its pipeline for the one who reads pods.
ANNOTATION_EXIT_CODES: Final = f"{GROUP}/exit-codes"

# The containers of a Container phase, before the one that publishes.
CONTAINER_FETCH: Final = "fetch"
CONTAINER_REPORT: Final = "report"
CONTAINER_PROGRAM: Final = "program"

CONDITION_COMPLETE: Final = "Complete"
CONDITION_FAILED: Final = "Failed"
CONDITION_ADMITTED: Final = "Admitted"
CONDITION_SUSPENDED: Final = "Suspended"
CONDITION_PROGRESSING: Final = "Progressing"

API_AUDIENCE: Final = "audiojob-api"
DEFAULT_QUEUE: Final = "default"
KUEUE_QUEUE_LABEL: Final = "kueue.x-k8s.io/queue-name"
GPU_RESOURCE: Final = "nvidia.com/gpu"
# What device plugins call GPUs and slices of them: nvidia.com/mig-1g.10gb, amd.com/gpu, gpu.intel.com/i915.
_DOMAIN: Final = "[a-z0-9]([-.a-z0-9]*[a-z0-9])?"
GPU_RESOURCE_PATTERN: Final = (
    f"^({_DOMAIN}/([-_.A-Za-z0-9]*gpu[-_.A-Za-z0-9]*|mig-[-_.A-Za-z0-9]+)|"
    r"([-.a-z0-9]*[-.])?gpu[-.][-.a-z0-9]*[a-z0-9]/[A-Za-z0-9][-_.A-Za-z0-9]*)$"
)

# Limits of Kubernetes that shape names and records.
MAX_PHASE_NAME: Final = 12  # leaves room for job, attempt and hash in 57 characters, so that pod names are never cut
MAX_PHASES: Final = 16
MAX_STATUS_WARNINGS: Final = 10
MAX_REVIEW_INPUTS: Final = 4
MAX_REVIEW_TAKES: Final = 32
MAX_STATUS_OUTPUTS: Final = 24

# Limits of metadata that users write: with all of them an object is far below the 1.5 MiB that etcd takes.
MAX_LABELS: Final = 64
MAX_LABELS_BYTES: Final = 16_384
MAX_ANNOTATIONS: Final = 64
MAX_ANNOTATIONS_BYTES: Final = 32_768  # without what kubectl applied last, which has a limit of its own
MAX_LAST_APPLIED_BYTES: Final = 131_072  # twice the texts that a spec may hold
MAX_FINALIZERS: Final = 16
MAX_FINALIZERS_BYTES: Final = 4_096
MAX_OWNERS: Final = 16
MAX_OWNERS_BYTES: Final = 8_192
MAX_MANAGERS: Final = 16
MAX_MANAGED_FIELDS_BYTES: Final = 65_536

# RBAC's verb on AudioJobs for those whose word about the user of a job is taken: labels and annotations of our domain.
VERB_ATTEST: Final = "attest"
# RBAC's verb on AudioJobs for accounts that may make API keys, which outlive the token that they are made with.
VERB_ISSUE_KEYS: Final = "issuekeys"
