"""What an AudioJob costs the API server: ``python bench/writes.py``.

One two-phase AudioJob runs on the embedded cluster; the audit log tells every write about it, by writer and verb.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bench.product import NAMESPACE, apply_pipeline, open_client, run_audiojob, set_up

from audiojob_dev.paths import paths_from_environment

PHASES = 2
_WRITERS = ("audiojob-operator", "audiojob-runner", "kube-controller-manager", "kube-scheduler", "kubelet")
_SETTLE_SECONDS = 3


def writer(entry: dict[str, object]) -> str:
    """Who wrote: our own user agents, else the component's."""
    agent = str(entry.get("userAgent", ""))
    return next((name for name in _WRITERS if agent.startswith(name)), agent.split("/", maxsplit=1)[0])


def writes_since(log: Path, offset: int, name: str) -> Counter[tuple[str, str, str]]:
    """Writes of the namespace after ``offset`` bytes of the audit log, by (writer, verb, resource)."""
    counted: Counter[tuple[str, str, str]] = Counter()
    with log.open() as file:
        file.seek(offset)
        for line in file:
            entry = json.loads(line)
            target = entry.get("objectRef", {})
            if target.get("namespace") != NAMESPACE or entry.get("verb") in ("get", "list", "watch"):
                continue
            if name not in str(target.get("name", "")) and entry.get("verb") != "create":
                continue
            resource = "/".join(filter(None, (target.get("resource"), target.get("subresource"))))
            counted[writer(entry), entry["verb"], resource] += 1
    return counted


async def measure() -> None:
    """Run one job after a warm-up and print the table."""
    log = paths_from_environment().audit_log
    client = open_client()
    try:
        await apply_pipeline(client)
        await run_audiojob(client)
        await asyncio.sleep(_SETTLE_SECONDS)
        offset = log.stat().st_size
        done, _ = await run_audiojob(client)
        await asyncio.sleep(_SETTLE_SECONDS)
    finally:
        await client.aclose()
    counted = writes_since(log, offset, done["metadata"]["name"])
    print(f"{'writer':<26} {'verb':<8} {'resource':<24} {'writes':>6} {'per phase':>9}")
    for (who, verb, resource), count in sorted(counted.items()):
        print(f"{who:<26} {verb:<8} {resource:<24} {count:>6} {count / PHASES:>9.1f}")


if __name__ == "__main__":
    set_up()
    asyncio.run(measure())
