"""The notes that basic-pitch's own program finds, for comparison. It has an environment of its own, without TensorFlow:

``python -m venv V; V/bin/pip install onnxruntime librosa pretty_midi "resampy<0.4.3"``
``V/bin/pip install --no-deps basic-pitch==0.4.0``

Usage: ``V/bin/python package_notes.py FILE ...``. Prints a line of JSON for each: notes as (onset, offset, pitch) with
the package's own settings, seconds of its inference (with decoding of the file) by the clock and of processor time.
"""

from __future__ import annotations

import json
import logging
import sys
import time

logging.disable(logging.WARNING)  # of the forms of the network that are not installed

from basic_pitch import FilenameSuffix, build_icassp_2022_model_path  # noqa: E402
from basic_pitch.inference import Model, run_inference  # noqa: E402
from basic_pitch.note_creation import model_frames_to_time, output_to_notes_polyphonic  # noqa: E402

model = Model(build_icassp_2022_model_path(FilenameSuffix.onnx))
for file in sys.argv[1:]:
    clock, used = time.perf_counter(), time.process_time()
    output = run_inference(file, model)
    clock, used = time.perf_counter() - clock, time.process_time() - used
    found = output_to_notes_polyphonic(
        output["note"], output["onset"], onset_thresh=0.5, frame_thresh=0.3, min_note_len=11,
        infer_onsets=True, max_freq=None, min_freq=None, melodia_trick=True,
    )  # fmt: skip
    times = model_frames_to_time(len(output["note"]))
    notes = [(float(times[first]), float(times[last]), int(pitch)) for first, last, pitch, _ in found]
    print(json.dumps({"notes": notes, "seconds": clock, "processor": used}), flush=True)
