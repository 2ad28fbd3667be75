"""Programs of the administrator's on a real cluster: the example that speaks, and one that looks around."""

from __future__ import annotations

import uuid
import wave
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.e2e.product import Product, assert_explained

from audiojob_dev.demo.store import FolderOnThisMachine
from audiojob_dev.paths import repository
from audiojob_types.constants import API_VERSION
from audiojob_types.resources.job import AudioJob, State

pytestmark = [pytest.mark.e2e, pytest.mark.beside_others, pytest.mark.timeout(600)]

SMALL = {"cpu": "50m", "memory": "64Mi", "scratch": "64Mi"}
# Everything that a program must not have, looked for from inside; what it finds goes into its only output.
LOOK_AROUND = """
set -u
found=/work/outputs/found.txt
: > "$found"
for place in /var/run/secrets/kubernetes.io /store /etc/audiojob /run/audiojob /scratch/.cache; do
  if [ -e "$place" ]; then echo "there is $place" >> "$found"; fi
done
if touch /here 2> /dev/null; then echo "the root can be written" >> "$found"; fi
if touch /work/inputs/here 2> /dev/null; then echo "inputs can be written" >> "$found"; fi
if [ "$(id -u)" != 10001 ]; then echo "it runs as $(id -u)" >> "$found"; fi
if env | grep -q -i -e token -e secret -e AUDIOJOB_POD; then echo "its environment tells" >> "$found"; fi
echo "end" >> "$found"
"""


def program(product: Product, image: str, script: str, **phase: Any) -> str:
    """A pipeline of one program; its name."""
    name = f"e2e-{uuid.uuid4().hex[:8]}"
    one = {
        "name": "run",
        "task": "Container",
        "image": image,
        "command": ["sh", "-c", script],
        "resources": SMALL,
        "retry": {"limit": 1},
        **phase,
    }
    product.apply(
        {"apiVersion": API_VERSION, "kind": "AudioPipeline", "metadata": {"name": name}, "spec": {"phases": [one]}}
    )
    return name


def submit(product: Product, pipeline: str, **spec: Any) -> str:
    return product.submit(f"program-{uuid.uuid4().hex[:8]}", {"pipeline": pipeline, **spec})


def output(product: Product, job: AudioJob, name: str) -> Path:
    """A published file on this machine."""
    ending = next(each for each in product.published(job) if each.endswith(f"/{name}"))
    store = product.store()
    assert isinstance(store, FolderOnThisMachine)
    return Path(store.place(f"{job.metadata.namespace}/{job.metadata.uid}")) / ending


def test_the_example_turns_a_script_into_speech_that_a_later_phase_reads(product: Product, speak_image: str) -> None:
    documents = yaml.safe_load_all((repository() / "examples" / "custom-task.yaml").read_text(encoding="utf-8"))
    pipeline, job = documents
    pipeline["metadata"]["name"] = "e2e-speak"
    pipeline["spec"]["phases"][0]["image"] = speak_image
    product.apply(pipeline)
    paragraphs = "\n\n".join(f"This is paragraph number {number} of a long evening." for number in range(200))
    spec = job["spec"] | {"pipeline": "e2e-speak", "inputs": [{"name": "script", "text": paragraphs}]}
    name = product.submit("good-evening", spec)

    product.until(
        name,
        lambda job: "Speaking paragraph" in (p.message if (p := job.status.progress.get("speak")) else ""),
        "the program's own words in status.progress",
        seconds=120,
    )
    done = product.finished(name, seconds=240)

    assert done.status.state is State.SUCCEEDED, product.story(name)
    assert [(each.phase, each.name, each.media_type) for each in done.status.outputs] == [
        ("speak", "speech", "audio/wav"),
        ("normalize", "audio", "audio/wav"),
    ]
    with wave.open(str(output(product, done, "speech.wav"))) as speech:
        assert speech.getnframes() / speech.getframerate() > 60
    pod = product.pods(name)[0]
    images = {each["name"]: each["image"] for each in pod["spec"]["initContainers"]}
    assert images["program"] == speak_image


def test_a_program_finds_no_token_no_store_and_nothing_to_write_to_but_its_folder(
    product: Product, speak_image: str
) -> None:
    done = product.finished(submit(product, program(product, speak_image, LOOK_AROUND)))
    assert done.status.state is State.SUCCEEDED, done.status
    assert output(product, done, "found.txt").read_text() == "end\n"


def test_a_program_that_fails_says_its_last_words(product: Product, speak_image: str) -> None:
    failing = program(product, speak_image, "echo first; echo 'no such key' >&2; exit 3")
    job = product.finished(submit(product, failing))
    assert_explained(job, "ProgramFailed", "exit code 3", "no such key")
    assert product.published(job) == [each for each in product.published(job) if "/log/" in each]


def test_a_code_of_the_contract_ends_the_job_at_once_where_the_pipeline_says_so(
    product: Product, speak_image: str
) -> None:
    retry = {"limit": 5, "baseSeconds": 0, "capSeconds": 1}
    failing = program(product, speak_image, "echo 'not a script' >&2; exit 65", exitCodes="Contract", retry=retry)
    job = product.finished(submit(product, failing))
    assert_explained(job, "NotMedia", "not a script")
    assert job.status.phases[0].attempt == 1


def test_a_program_that_falls_silent_is_taken_away(product: Product, speak_image: str) -> None:
    silent = program(product, speak_image, "echo '10 begins' > /work/progress; sleep 600", stallSeconds=3)
    name = submit(product, silent)
    job = product.finished(name)
    assert_explained(job, "Stalled", "3 seconds")
    product.nothing_runs(name)


def test_an_output_that_is_a_link_to_what_is_ours_is_not_published(product: Product, speak_image: str) -> None:
    linking = program(product, speak_image, "ln -s /etc/audiojob/phase.json /work/outputs/phase.json")
    job = product.finished(submit(product, linking))
    assert_explained(job, "ProgramFailed", "link")


def test_an_image_that_cannot_be_had_is_named(product: Product) -> None:
    lacking = program(product, "registry.invalid/none:1", "true", startTimeoutSeconds=15)
    job = product.finished(submit(product, lacking))
    assert_explained(job, "ImagePullFailed", "registry.invalid/none:1")


def test_cancelling_ends_a_program(product: Product, speak_image: str) -> None:
    name = submit(product, program(product, speak_image, "echo '1 sleeps' > /work/progress; exec sleep 600"))
    product.until(name, lambda job: "sleeps" in str(job.status.progress), "the program at work", seconds=60)
    product.patch(name, {"cancel": True})
    assert product.finished(name).status.state is State.CANCELLED
    product.nothing_runs(name)
