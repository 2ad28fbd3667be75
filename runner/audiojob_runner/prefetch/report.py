"""Reports the state of each model to the ConfigMap that the operator and administrators read."""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Final

from audiojob_runner.phase.report import Target, find_object
from audiojob_runner.settings import Paths
from audiojob_types.constants import MODELS_CONFIGMAP
from audiojob_types.models import ModelRecord, ModelState

MIN_SECONDS: Final = 2.0
# So that a slow transfer can be distinguished from one whose pod is gone.
BEAT_SECONDS: Final = 30.0

_log = logging.getLogger(__name__)


def find_configmap(environ: Mapping[str, str], paths: Paths) -> Target | None:
    """The ConfigMap of this pod's namespace, or None outside a cluster."""
    try:
        namespace = (paths.service_account / "namespace").read_text(encoding="ascii").strip()
    except (OSError, ValueError):
        return None
    return find_object(environ, paths, f"/api/v1/namespaces/{namespace}/configmaps/{MODELS_CONFIGMAP}")


class ModelReporter:
    """A thread that writes the newest records, every ``MIN_SECONDS`` at most, and the last ones always."""

    def __init__(
        self, target: Target, min_seconds: float = MIN_SECONDS, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._target = target
        self._min_seconds = min_seconds
        self._clock = clock
        self._changed = threading.Condition()
        self._records: dict[str, ModelRecord] = {}
        self._unsent: set[str] = set()
        self._closing = False
        self._told: set[int] = set()
        self._thread = threading.Thread(target=self._run, name="model-report", daemon=True)
        self._thread.start()

    def set(self, name: str, record: ModelRecord) -> None:
        """Note where a model stands. Costs nothing; most updates are never sent."""
        with self._changed:
            if self._records.get(name) != record:
                self._records[name] = record
                self._unsent.add(name)
                self._changed.notify()

    def close(self, timeout: float) -> bool:
        """Send what is not sent yet, within ``timeout`` seconds; whether all of it was taken."""
        deadline = self._clock() + timeout
        with self._changed:
            self._closing = True
            self._changed.notify()
        while self._clock() < deadline and self._thread.is_alive():
            self._thread.join(0.1)
        return not self._unsent

    def _run(self) -> None:
        beat = self._clock() + BEAT_SECONDS
        while True:
            with self._changed:
                if not self._unsent and not self._closing:
                    self._changed.wait(max(0.0, beat - self._clock()))
                if self._clock() >= beat:
                    self._unsent |= {name for name, each in self._records.items() if each.state is ModelState.FETCHING}
                    beat = self._clock() + BEAT_SECONDS
                names, closing = set(self._unsent), self._closing
                records = {name: self._records[name] for name in names}
            if names and self._send(records):
                with self._changed:
                    # What has changed since is sent next time.
                    self._unsent -= {name for name in names if self._records[name] is records[name]}
            if closing and not self._unsent:
                return
            with self._changed:
                # The last report is not held back by the pace, and neither is its repetition for long.
                self._changed.wait(0.2 if self._closing else self._min_seconds) if names else None

    def _send(self, records: Mapping[str, ModelRecord]) -> bool:
        answer = self._target.patch(body_of(records, datetime.now(UTC)))
        if answer.status // 100 == 2:
            return True
        if answer.status not in self._told:
            self._told.add(answer.status)
            _log.warning("The API server refused a report (%s): %s", answer.status or "no answer", answer.detail)
        return False


def body_of(records: Mapping[str, ModelRecord], now: datetime) -> dict[str, Any]:
    """The merge patch that writes these records."""
    texts = {
        name: json.dumps(record.model_copy(update={"report_time": now}).to_wire(), ensure_ascii=False)
        for name, record in records.items()
    }
    return {"data": texts}
