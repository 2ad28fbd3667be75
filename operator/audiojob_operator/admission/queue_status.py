"""The status of an AudioQueue: the numbers of the last scheduling cycle."""

from __future__ import annotations

from audiojob_operator.admission.scheduler import QueueNumbers
from audiojob_types.resources.queue import AudioQueue, AudioQueueStatus


def queue_status(queue: AudioQueue, numbers: QueueNumbers) -> AudioQueueStatus:
    """What status should say."""
    spec = queue.spec
    of = f" of {spec.max_running}" if spec.max_running is not None else ""
    message = f"{numbers.running}{of} jobs are running, {numbers.pending} wait."
    if spec.stop_policy != "None":
        message = f"Stopped ({spec.stop_policy}): {message}"
    return AudioQueueStatus(
        observed_generation=queue.metadata.generation,
        running=numbers.running,
        pending=numbers.pending,
        gpus=numbers.gpus,
        message=message,
    )
