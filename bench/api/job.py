"""The job that benchmarks of the API have many of."""

from __future__ import annotations

from typing import Any, Final

USERS: Final = 500
PIPELINES: Final = 8
QUEUES: Final = 6


def live_job(number: int) -> dict[str, Any]:
    """A job of about 3.1 KB, as separate leaves one."""
    phases = [
        {
            "name": name, "state": "Succeeded", "attempt": 1, "device": "CPU",
            "jobName": f"song-{number}-{name}-1-abcdef01", "nodeName": f"node-{number % 50}",
            "startTime": "2026-11-28T10:00:00Z", "reason": "Completed",
            "completionTime": "2026-11-28T10:05:00Z", "message": "Done.", "reuseKey": f"{number:064x}",
            "manifest": {
                "key": f"music/{number}/{name}/1-abcdef01/manifest.json", "sha256": f"{number * 7:064x}", "count": 4,
            },
        }
        for name in ("fetch", "normalize", "separate")
    ]  # fmt: skip
    outputs = [
        {"name": f"{stem}.flac", "phase": "separate", "mediaType": "audio/flac", "bytes": 20_000_000 + number,
         "sha256": f"{number * 31 + index:064x}"}
        for index, stem in enumerate(("vocals", "drums", "bass", "other"))
    ]  # fmt: skip
    state = "Succeeded" if number % 10 else "Queued"
    conditions = [
        {"type": kind, "status": "True", "reason": "Done", "message": "", "lastTransitionTime": "2026-11-28T10:05:00Z"}
        for kind in ("Admitted", "Complete", "Progressing")
    ]
    status = {
        "state": state, "percent": 100, "message": "Done.", "startTime": "2026-11-28T10:00:00Z",
        "conditions": conditions, "phases": phases, "outputs": outputs, "pipelineRevision": "separate-0123abcd",
        "outputPrefix": f"music/{number}/",
        "completionTime": f"2026-11-28T{number % 24:02d}:{number % 60:02d}:00Z",
    }  # fmt: skip
    metadata = {
        "name": f"song-{number}", "namespace": "music", "uid": f"00000000-0000-4000-8000-{number:012d}",
        "resourceVersion": str(number), "creationTimestamp": f"2026-11-{number % 28 + 1:02d}T{number % 24:02d}:00:00Z",
        "labels": {"audiojobs.dev/user": f"user-{number % USERS}"},
    }  # fmt: skip
    spec = {
        "pipeline": f"pipeline-{number % PIPELINES}", "queueName": f"queue-{number % QUEUES}",
        "source": {"url": f"https://example.org/songs/{number}.mp3"}, "priority": number % 10 + 1,
    }  # fmt: skip
    return {"metadata": metadata, "spec": spec, "status": status}
