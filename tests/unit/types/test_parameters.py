"""Parameters: layers, limits, and errors that name the field."""

from __future__ import annotations

from typing import Any

import pytest

from audiojob_types.parameters import InvalidParameters, parameters_schema, resolve_parameters
from audiojob_types.tasks import Task
from audiojob_types.tasks.separate import SeparateParameters


def test_every_task_has_a_key() -> None:
    assert [task.parameter_key for task in Task] == [task.value[0].lower() + task.value[1:] for task in Task]


@pytest.mark.parametrize("task", Task)
def test_the_built_in_defaults_are_valid(task: Task) -> None:
    assert resolve_parameters(task) == task.descriptor.parameters()


LAYERS: dict[str, tuple[list[dict[str, Any] | None], dict[str, Any]]] = {
    "nothing given": ([], {"model": "htdemucs", "stems": "FourStems", "format": "flac"}),
    "absent layers": ([None, None], {"model": "htdemucs"}),
    "the pipeline's": ([{"model": "mdx"}], {"model": "mdx"}),
    "the job's wins": (
        [{"model": "mdx", "format": "wav"}, {"model": "mdx_extra"}],
        {"model": "mdx_extra", "format": "wav"},
    ),
    "a field left out inherits": ([{"stems": "TwoStems"}, {"seed": 7}], {"stems": "TwoStems", "seed": 7}),
    "a preset": ([{"preset": "Best"}], {"model": "htdemucs_ft", "shifts": 2, "overlapPercent": 50}),
    "fields beside a preset win": (
        [{"preset": "Best", "shifts": 0, "model": "mdx"}],
        {"model": "mdx", "shifts": 0, "overlapPercent": 50},
    ),
    "the job's preset wins over the pipeline's fields": (
        [{"model": "mdx", "shifts": 5, "format": "wav"}, {"preset": "Fast"}],
        {"model": "htdemucs", "shifts": 0, "overlapPercent": 10, "format": "wav"},
    ),
    "the job's fields win over the pipeline's preset": (
        [{"preset": "Best"}, {"shifts": 1}],
        {"model": "htdemucs_ft", "shifts": 1, "overlapPercent": 50},
    ),
    "six stems by preset": ([{"preset": "Best", "stems": "SixStems"}], {"model": "htdemucs_6s", "shifts": 2}),
    "the proof model's own stems": ([{"model": "audiojob_proof"}], {"stems": "AllStems"}),
    "stems asked of the proof model": ([{"model": "audiojob_proof", "stems": "TwoStems"}], {"stems": "TwoStems"}),
    "six stems of the job with the pipeline's model": (
        [{"model": "htdemucs_6s"}, {"stems": "SixStems"}],
        {"model": "htdemucs_6s", "stems": "SixStems"},
    ),
}


@pytest.mark.parametrize(("layers", "expected"), LAYERS.values(), ids=LAYERS.keys())
def test_layers(layers: list[dict[str, Any] | None], expected: dict[str, Any]) -> None:
    assert expected.items() <= resolve_parameters(Task.SEPARATE, *layers).to_wire().items()


def test_the_entries_of_a_map_inherit_one_by_one() -> None:
    pipeline = {"values": {"voice": "en", "speed": "160"}}
    merged = resolve_parameters(Task.CONTAINER, pipeline, {"values": {"voice": "de"}})
    assert merged.to_wire() == {"values": {"voice": "de", "speed": "160"}}
    assert pipeline == {"values": {"voice": "en", "speed": "160"}}


def test_layers_are_not_changed() -> None:
    pipeline, job = {"model": "mdx"}, {"seed": 1}
    resolve_parameters(Task.SEPARATE, pipeline, job)
    assert (pipeline, job) == ({"model": "mdx"}, {"seed": 1})


VALUES = "parameters.container.values"
WRONG: dict[str, tuple[Task, dict[str, Any], str, str]] = {
    "an unknown model": (Task.SEPARATE, {"model": "spleeter"}, "parameters.separate.model", "htdemucs"),
    "a path for a model": (Task.SEPARATE, {"model": "../evil"}, "parameters.separate.model", "htdemucs"),
    "an unknown field": (Task.SEPARATE, {"gain": 1}, "parameters.separate.gain", "unknown field"),
    "too many shifts": (Task.SEPARATE, {"shifts": 11}, "parameters.separate.shifts", "10"),
    "a percent of 100": (Task.SEPARATE, {"overlapPercent": 96}, "parameters.separate.overlapPercent", "95"),
    "six stems of a model of four": (Task.SEPARATE, {"stems": "SixStems"}, "parameters.separate", "htdemucs_6s"),
    "float samples in FLAC": (Task.SEPARATE, {"bitDepth": "Float32"}, "parameters.separate", "format: wav"),
    "bits of an Ogg": (Task.SEPARATE, {"bitDepth": "Int16", "format": "ogg"}, "parameters.separate", "bitDepth"),
    "a stem that four stems have not": (
        Task.SEPARATE, {"keep": ["guitar"]}, "parameters.separate", "there are vocals, drums, bass, other"),
    "a stem that two stems have not": (
        Task.SEPARATE, {"stems": "TwoStems", "keep": ["drums"]}, "parameters.separate", "no stem drums"),
    "a stem that a model has not": (
        Task.SEPARATE, {"model": "audiojob_proof", "keep": ["vocals"]}, "parameters.separate", "tonal, percussive"),
    "a stem twice": (Task.SEPARATE, {"keep": ["bass", "bass"]}, "parameters.separate", "twice"),
    "an unknown preset": (Task.SEPARATE, {"preset": "Perfect"}, "parameters.separate.preset", "Balanced"),
    "an odd sample rate": (Task.SEPARATE, {"sampleRate": 44_000}, "parameters.separate.sampleRate", "44100"),
    "a negative size": (Task.DOWNLOAD, {"maxBytes": -1}, "parameters.download.maxBytes", "1"),
    "an exit code of 256": (Task.SIMULATE, {"exitCode": 256}, "parameters.simulate.exitCode", "255"),
    "a value whose name is a path": (Task.CONTAINER, {"values": {"../x": ""}}, VALUES, "begin with a letter"),
    "a value that is no text": (Task.CONTAINER, {"values": {"speed": 3}}, f"{VALUES}.speed", "string"),
    "a value of 1,025 characters": (Task.CONTAINER, {"values": {"a": "x" * 1_025}}, f"{VALUES}.a", "1024"),
    "33 values": (Task.CONTAINER, {"values": {f"v{n}": "" for n in range(33)}}, VALUES, "32"),
    "an image beside the values": (Task.CONTAINER, {"image": "evil"}, "parameters.container.image", "unknown field"),
    "a bit rate without loss": (
        Task.TRANSCODE, {"format": "flac", "bitrateKilobits": 128}, "parameters.transcode", "flac",
    ),
    "an encoder for a format": (Task.TRANSCODE, {"format": "libx264"}, "parameters.transcode.format", "mp3"),
    "a cover at a time": (
        Task.THUMBNAIL, {"origin": "Cover", "timeMilliseconds": 1}, "parameters.thumbnail", "no time",
    ),
    "a picture of 0 pixels": (Task.THUMBNAIL, {"maxWidth": 0}, "parameters.thumbnail.maxWidth", "16"),
    "a duration of zero": (Task.NORMALIZE, {"maxDurationSeconds": 0}, "parameters.normalize.maxDurationSeconds", "1"),
}  # fmt: skip


@pytest.mark.parametrize(("task", "given", "field", "word"), WRONG.values(), ids=WRONG.keys())
def test_errors_name_the_field(task: Task, given: dict[str, Any], field: str, word: str) -> None:
    with pytest.raises(InvalidParameters) as refused:
        resolve_parameters(task, given)
    assert refused.value.field == field
    assert word in refused.value.message
    assert str(refused.value) == f"{field}: {refused.value.message}"
    assert "Value error" not in refused.value.message


def test_the_schema_has_no_defaults_and_requires_nothing_so_that_layers_inherit() -> None:
    schema = parameters_schema()
    assert schema["properties"].keys() == {task.parameter_key for task in Task}
    for member in schema["properties"].values():
        assert "required" not in member
        assert all("default" not in field for field in member["properties"].values())


def test_models_can_only_be_named() -> None:
    field = SeparateParameters.model_json_schema()["properties"]["model"]
    assert "demucs_unittest" in field["enum"]
    assert all("/" not in name and "." not in name for name in field["enum"])


def test_resolved_parameters_resolve_to_themselves() -> None:
    """The operator resolves them, and the runner resolves what the operator wrote."""
    once = resolve_parameters(Task.SEPARATE, {"preset": "Best", "shifts": 1}, {"keep": ["vocals"]})
    assert resolve_parameters(Task.SEPARATE, once.to_wire()) == once


@pytest.mark.parametrize(
    "given",
    [
        pytest.param({"keep": ["other"]}, id="of four"),
        pytest.param({"stems": "TwoStems", "keep": ["accompaniment"]}, id="of two"),
        pytest.param({"stems": "SixStems", "model": "htdemucs_6s", "keep": ["piano"]}, id="of six"),
        pytest.param({"stems": "AllStems", "model": "htdemucs_6s", "keep": ["guitar"]}, id="of all that the model has"),
        pytest.param({"model": "audiojob_proof", "keep": ["percussive"]}, id="of the proof model"),
        pytest.param({"model": "repro_mdx_a", "keep": ["bass"]}, id="of a model with four networks"),
    ],
)
def test_a_stem_that_there_is_may_be_kept(given: dict[str, Any]) -> None:
    assert resolve_parameters(Task.SEPARATE, given).to_wire()["keep"] == given["keep"]
