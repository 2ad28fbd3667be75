"""Prints, as JSON, what an operator makes of a job that runs ReverseText: image, reuse key, what the pod is given."""

from __future__ import annotations

import json
import sys
from typing import Any

from tests.unit.operator.builders import World, audio_job, phase, phase_input_of, pipeline

from audiojob_types import constants as c

line = pipeline(phase("reverse", "ReverseText", inputs=[{"name": "source", "from": "Job", "output": "words"}]))
given: dict[str, Any] = {"inputs": [{"name": "words", "text": "abc"}], "parameters": {"reverseText": {"times": 3}}}
world = World(audiojob=audio_job(**given), pipeline=line)
world.turn()
job = world.newest("reverse")
json.dump(
    {
        "image": job["spec"]["template"]["spec"]["containers"][0]["image"],
        "reuseKey": job["metadata"]["annotations"][c.ANNOTATION_REUSE_KEY],
        "input": phase_input_of(job).to_wire(),
    },
    sys.stdout,
)
