"""Live numbers of AudioQueues, written into their status: at most once a second, and only when they changed."""

from __future__ import annotations

import asyncio
import logging

from audiojob_kube.errors import ApiError, NotFound, TransportError
from audiojob_kube.protocol import KubeClient
from audiojob_kube.resources import AUDIOQUEUES
from audiojob_operator.admission.admitter import Admitter
from audiojob_operator.admission.scheduler import QueueNumbers
from audiojob_operator.state.caches import Caches
from audiojob_types.resources.queue import AudioQueue, AudioQueueStatus

_log = logging.getLogger(__name__)

_PAUSE_SECONDS = 1.0


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


class QueueReporter:
    """Follows the numbers of the last scheduling cycle."""

    def __init__(self, client: KubeClient, caches: Caches, admitter: Admitter) -> None:
        self._client = client
        self._caches = caches
        self._admitter = admitter

    async def run(self) -> None:
        """Report until cancelled."""
        while True:
            await asyncio.sleep(_PAUSE_SECONDS)
            for key, queue in list(self._caches.queues.items()):
                wanted = queue_status(queue, self._admitter.numbers.get(key, QueueNumbers()))
                if wanted != queue.status:
                    await self._write(key, wanted)

    async def _write(self, key: tuple[str, str], status: AudioQueueStatus) -> None:
        namespace, name = key
        try:
            body = {"status": status.to_wire()}
            written = await self._client.patch_merge(AUDIOQUEUES, name, body, namespace, subresource="status")
            self._caches.queues.put(written)
        except NotFound:
            pass  # deleted a moment ago
        except (ApiError, TransportError) as error:
            # Numbers for people: the next second brings newer ones.
            _log.warning("AudioQueue %s/%s: status was not written: %s", namespace, name, error)
