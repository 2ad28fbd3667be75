"""AudioJobs that the API server accepts."""

from __future__ import annotations


def audio_job(name: str, **spec: object) -> dict[str, object]:
    return {
        "apiVersion": "audiojobs.dev/v1alpha1",
        "kind": "AudioJob",
        "metadata": {"name": name, "labels": {"parity": "even" if name[-1] in "02468" else "odd"}},
        "spec": {"pipeline": "separate", "source": {"url": "https://example.org/song.flac"}} | spec,
    }
