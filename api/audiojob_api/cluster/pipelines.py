"""AudioPipelines, read when they are asked for and remembered for a moment."""

from __future__ import annotations

import time
from collections import OrderedDict
from typing import Final

from pydantic import ValidationError

from audiojob_api.problems import unavailable
from audiojob_kube.errors import NotFound
from audiojob_kube.protocol import KubeClient
from audiojob_kube.resources import AUDIOPIPELINES
from audiojob_types.resources.pipeline import AudioPipeline, AudioPipelineSpec

_KEPT_SECONDS: Final = 10.0
_MOST_KEPT: Final = 256  # names come from requests


class KubePipelines:
    """The `Pipelines` of a cluster."""

    def __init__(self, client: KubeClient) -> None:
        self._client = client
        self._known: OrderedDict[str, tuple[float, AudioPipelineSpec | None]] = OrderedDict()

    async def find(self, name: str) -> AudioPipelineSpec | None:
        """The pipeline, as it was a moment ago at most; None if there is none."""
        now = time.monotonic()
        until, found = self._known.get(name, (0.0, None))
        if now >= until:
            found = await self._read(name)
            self._known.pop(name, None)
            self._known[name] = (now + _KEPT_SECONDS, found)
            if len(self._known) > _MOST_KEPT:
                self._known.popitem(last=False)
        return found

    async def _read(self, name: str) -> AudioPipelineSpec | None:
        try:
            return AudioPipeline.read(await self._client.get(AUDIOPIPELINES, name)).spec
        except NotFound:
            return None
        except ValidationError:
            raise unavailable(f"The pipeline {name!r} cannot be read by this version.") from None
