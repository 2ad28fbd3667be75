"""docs/older-services.md: every command of it is run, and the answers have what clients of the old services read."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from starlette.testclient import TestClient
from tests.unit.api.curl import commands, request_of
from tests.unit.api.fakes import GOOD_TOKEN, MemoryBackend, MemoryFiles

from audiojob_api.app import create_app
from audiojob_api.settings import ApiSettings
from audiojob_types.documents.scenes import SceneList

PAGE = (Path(__file__).parents[4] / "docs/older-services.md").read_text(encoding="utf-8")
SECTIONS = {
    part.partition("\n")[0]: part for part in re.split(r"^## ", PAGE, flags=re.MULTILINE)[1:] if "```sh" in part
}
SCORE = {"score": b"<score-partwise/>", "midi": b"MThd", "midi-piano": b"MThd", "preview": b"PNG", "pdf": b"%PDF"}
TOLD = {
    "title": "A piece", "key": "Bb major", "timeSignature": "3/4", "quartersPerMinute": 92.5, "steady": True,
    "bars": 12, "pages": 1, "parts": ["piano"],
}  # fmt: skip


@pytest.fixture
def client(backend: MemoryBackend) -> Iterator[TestClient]:
    files = MemoryFiles()
    backend.put("song", state="Running", percent=42, message="Separating")
    outputs = [{"name": "score", "phase": "engrave"}, {"name": "midi-piano", "phase": "engrave"}]
    backend.put("scored", state="Succeeded", phases=[files.publish("engrave", SCORE, **TOLD)], outputs=outputs)
    backend.put("working", state="Running", phases=[])
    backend.put("broken", state="Failed")
    backend.put("plain", state="Succeeded", phases=[files.publish("other", {"score": b"x"}, bars=True, key=1)])
    whole = replace(backend.backend(), files=files)
    with TestClient(create_app(ApiSettings(namespace="team"), whole, backend.stopping)) as found:
        found.headers["Authorization"] = f"Bearer {GOOD_TOKEN}"
        yield found


@pytest.mark.parametrize("name", SECTIONS, ids=[name.partition(":")[0] for name in SECTIONS])
def test_the_calls_of_an_old_service(client: TestClient, name: str) -> None:
    wanted = (
        json.loads(re.findall(r"^```json\n(.*?)^```", SECTIONS[name], re.MULTILINE | re.DOTALL)[0])
        if ("```json" in SECTIONS[name])
        else {}
    )
    answers = []
    for words in commands(SECTIONS[name], "curl"):
        method, address, headers, body = request_of(words)
        address = address.replace("NAME", "song").replace("SCORED", "scored").replace("BROKEN", "broken")
        answer = client.request(method, address, headers=headers, content=body)
        assert answer.status_code in (200, 201, 202), (address, answer.text)
        if "v1-compat" in address and "/jobs" in address:
            answers += answer.json().get("items", [answer.json()])
        if "/bulk/" in address:
            answers += [each["job"] for each in answer.json()["items"]]
    assert answers
    for answer in answers:
        for field, value in wanted.items():
            assert field in answer
            assert None in (value, answer[field]) or type(value) is type(answer[field]), field


def test_a_score_and_its_parts_have_addresses_of_their_own(client: TestClient) -> None:
    for path, content in (
        ("scores/scored", b"<score-partwise/>"), ("scores/scored/pdf", b"%PDF"), ("scores/scored/preview", b"PNG"),
        ("scores/scored/midi", b"MThd"), ("midi/scored/piano", b"MThd"),
    ):  # fmt: skip
        answer = client.get(f"/api/v1/{path}")
        assert (answer.status_code, answer.content) == (200, content), path
    assert client.get("/api/v1/jobs/scored?format=v1-compat").json()["result_url"] == "/api/v1/scores/scored"
    found = client.get("/api/v1/scores/scored/metadata").json()
    assert found == {**TOLD, "instruments": ["piano"]}
    assert client.get("/api/v1/scores/scored/metadata?format=v1-compat").json() == {
        "tempo": 92.5, "key_signature": "Bb major", "time_signature": {"numerator": 3, "denominator": 4},
    }  # fmt: skip


@pytest.mark.parametrize(
    ("path", "status", "said"),
    [
        ("midi/scored/vocals", 404, "instrument: the job has no MIDI file of 'vocals'; it has: piano."),
        ("midi/plain/vocals", 404, "it has: none."),
        ("midi/scored/..%2Fx", 404, "nothing at this path"),
        ("midi/scored/Vocals", 422, "instrument"),
        ("scores/plain/pdf", 404, "makes no score"),
        ("scores/working", 202, "Running"),
        ("midi/working/piano", 202, "Running"),
        ("scores/nothing", 404, "There is no job 'nothing'."),
        ("scores/scored/metadata?format=v2", 422, "format"),
    ],
)
def test_what_is_not_there_says_why(client: TestClient, path: str, status: int, said: str) -> None:
    answer = client.get(f"/api/v1/{path}")
    assert (answer.status_code, said in answer.json()["detail"]) == (status, True), answer.text


def test_what_a_pod_wrote_of_a_score_is_not_believed(client: TestClient) -> None:
    assert client.get("/api/v1/scores/plain/metadata").json() == {"parts": [], "instruments": []}
    old: Any = client.get("/api/v1/scores/plain/metadata?format=v1-compat").json()
    assert old == {"tempo": None, "key_signature": None, "time_signature": None}


# ---------------------------------------------------------------- a client that is moved with an adapter

OLD_CREATE = """
```sh
curl -X POST http://localhost:8012/api/v1/jobs/ -H 'Content-Type: application/json' -d '{
    "video_request": {"script_id": "test-123", "user_id": "user-456", "title": "My First Video",
      "script_content": "This is a test video script.", "language": "en-US", "platform": "youtube", "duration": 15,
      "voice_provider": "azure"},
    "priority": 5}'
curl http://localhost:8012/api/v1/jobs/JOB
curl 'http://localhost:8012/api/v1/jobs/?user_id=user-456&page=1&page_size=20'
curl http://localhost:8012/api/v1/jobs/stats/counts
curl -X DELETE http://localhost:8012/api/v1/jobs/JOB
```
"""
"""The commands with which the video service's own page explained it."""


def adapters() -> Any:
    """What the page has."""
    found: dict[str, Any] = {}
    for code in re.findall(r"^```python\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL):
        exec(code, found)
    return SimpleNamespace(**found)


class Adapter:
    """The video service's addresses, by what the page has and one line for each call."""

    def __init__(self, client: TestClient) -> None:
        self.client = client
        self.page = adapters()

    def answer(self, words: list[str], job: str) -> Any:
        method, address, _, body = request_of(words)
        path = address.replace("JOB", job).partition("/api/v1/jobs")[2]
        if path == "/stats/counts":
            return self.page.counts(self._all())
        if path.startswith("/?"):
            return {"jobs": self._all(), "page": 1, "page_size": 20}
        sent = self.page.wanted(json.loads(body)) if body else None
        answer = self.client.request(method, f"/api/v1/jobs{path.rstrip('/')}?format=v1-compat", json=sent)
        assert answer.status_code in (200, 201, 202), answer.text
        return self.page.told(answer.json())

    def _all(self) -> list[Any]:
        items = self.client.get("/api/v1/jobs?format=v1-compat&limit=20").json()["items"]
        return [self.page.told(item) for item in items if item["type"] == "video"]


def test_the_video_services_own_commands_work_through_the_pages_adapter(
    client: TestClient, backend: MemoryBackend
) -> None:
    adapter = Adapter(client)
    create, poll, listing, counting, cancel = commands(OLD_CREATE, "curl")
    made = adapter.answer(create, "")
    assert (made["status"], made["progress"], made["error"]) == ("pending", 0.0, None)
    name = made["job_id"]
    spec = backend.objects[name]["spec"]
    assert (spec["pipeline"], spec["priority"], spec["parameters"]) == (
        "video", 5, {"compose": {"platform": "YouTube"}},
    )  # fmt: skip
    texts = {each["name"]: each["text"] for each in spec["inputs"]}
    assert texts["script"] == "This is a test video script."
    assert SceneList.model_validate_json(texts["scenes"]).title == "My First Video"
    other = adapter.answer(create, "")["job_id"]
    for state, word in {"Running": "processing", "Succeeded": "success", "Failed": "failure"}.items():
        backend.put(other, state=state)
        assert adapter.answer(poll, other)["status"] == word
    assert {job["job_id"]: job["status"] for job in adapter.answer(listing, "")["jobs"]} == {
        name: "pending", other: "failure",
    }  # fmt: skip
    assert adapter.answer(counting, "") == {
        "pending": 1, "processing": 0, "success": 0, "failure": 1, "cancelled": 0, "total": 2,
    }  # fmt: skip
    assert adapter.answer(cancel, name)["job_id"] == name
    assert backend.objects[name]["spec"]["cancel"] is True


OLD_TRANSCRIBE = """
```sh
curl -X POST http://localhost:8000/api/v1/transcribe -H 'Content-Type: application/json' -d '{
    "youtube_url": "https://www.youtube.com/watch?v=dQw4w9WgXcQ"}'
curl http://localhost:8000/api/v1/jobs/JOB
curl http://localhost:8000/api/v1/scores/JOB
curl http://localhost:8000/api/v1/midi/JOB/piano
```
"""


def test_the_sheet_music_services_own_commands_work_through_the_pages_adapter(
    client: TestClient, backend: MemoryBackend
) -> None:
    page, create, poll, *files = adapters(), *commands(OLD_TRANSCRIBE, "curl")
    body = page.transcription(json.loads(request_of(create)[3] or ""))
    made = client.post("/api/v1/jobs?format=v1-compat", json=body)
    assert made.status_code == 201, made.text
    name = made.json()["job_id"]

    def polled(job: str) -> Any:
        address = request_of(poll)[1].removeprefix("http://localhost:8000").replace("JOB", job)
        return client.get(f"{address}?format=v1-compat").json()

    error = {"reason": "RateLimited", "message": "Too often.", "retryable": True}
    phases = [{"name": "separate", "state": "Running", "startTime": "2026-01-01T00:01:00Z"}]
    for status, told, message in (
        ({}, {"status": "processing", "progress": 0, "current_stage": None}, {"type": "progress", "progress": 0}),
        (
            {"state": "Running", "percent": 37, "phases": phases},
            {"status": "processing", "progress": 37, "current_stage": "separation"},
            {"type": "progress", "progress": 37, "stage": "separation", "timestamp": "2026-01-01T00:01:00Z"},
        ),
        (
            {"state": "Failed", "error": error},
            {"status": "failed", "error": {"message": "Too often.", "retryable": True}},
            {"type": "error", "error": {"message": "Too often.", "retryable": True}},
        ),
        ({"state": "Cancelled"}, {"status": "failed", "error": None}, {"type": "error"}),
    ):
        backend.put(name, **status)
        assert told.items() <= page.as_status(polled(name)).items()
        assert message.items() <= page.as_message(polled(name)).items()
    assert page.as_status(polled("scored"))["output_path"] == "/api/v1/scores/scored"
    assert page.as_message(polled("scored"))["result_url"] == "/api/v1/scores/scored"
    for words in files:
        address = request_of(words)[1].removeprefix("http://localhost:8000").replace("JOB", "scored")
        assert client.get(address).status_code == 200


def test_the_download_services_own_calls_work_through_the_pages_adapter(
    client: TestClient, backend: MemoryBackend
) -> None:
    page, videos = adapters(), {"7": "https://example.org/v/7", "8": "https://example.org/v/8"}
    one = client.post("/api/v1/jobs?format=v1-compat", json=page.download(videos["7"]))
    assert one.status_code == 201, one.text
    many = client.post("/api/v1/bulk/create?format=v1-compat", json=page.downloads(videos.values()))
    names = [one.json()["job_id"], *(item["job"]["job_id"] for item in many.json()["items"])]
    spec = backend.objects[names[1]]["spec"]
    assert (spec["source"], spec["parameters"]) == ({"url": videos["7"]}, {"download": {"format": "Video720p"}})
    for form, wanted in {"best": "BestVideo", "bestaudio": "BestAudio", "best[height<=1080]": "Video1080p"}.items():
        made = client.post("/api/v1/jobs", json=page.download(videos["8"], form))
        assert made.json()["spec"]["parameters"]["download"]["format"] == wanted
    cancelled = client.post(f"/api/v1/jobs/{names[1]}/cancel?format=v1-compat").json()
    assert cancelled["cancellation_requested"] is True
    for state, result in {"Running": 202, "Failed": 400, "Cancelled": 410}.items():
        backend.put(names[0], state=state)
        job = client.get(f"/api/v1/jobs/{names[0]}?format=v1-compat").json()
        outputs = client.get(f"/api/v1/jobs/{names[0]}/outputs")
        assert page.result_status(outputs.status_code, job) == result
