"""AudioPipelines as they are read."""

from __future__ import annotations

import pytest
from pydantic import TypeAdapter, ValidationError

from audiojob_types.resources.pipeline import AudioPipeline, AudioPipelineSpec
from audiojob_types.resources.podtemplate import Quantity

QUANTITIES = {
    "a quantity of mebibytes": ("512Mi", True),
    "a fraction of a core": ("0.5", True),
    "millicores": ("500m", True),
    "a negative quantity": ("-1", False),
    "a word for a quantity": ("lots", False),
}


@pytest.mark.parametrize(("text", "valid"), QUANTITIES.values(), ids=QUANTITIES.keys())
def test_quantities(text: str, valid: bool) -> None:
    adapter: TypeAdapter[str] = TypeAdapter(Quantity)
    if valid:
        assert adapter.validate_python(text) == text
    else:
        with pytest.raises(ValidationError):
            adapter.validate_python(text)


def test_a_pipeline_is_read_with_its_defaults() -> None:
    spec = {"phases": [{"name": "a", "task": "Simulate", "inputs": [{"name": "x", "from": "Job"}]}]}
    pipeline = AudioPipeline.model_validate({"metadata": {"name": "p"}, "spec": spec})
    phase = pipeline.spec.phases[0]
    assert (phase.device, phase.weight, phase.resources.memory, phase.start_timeout_seconds) == ("CPU", 1, "512Mi", 300)
    assert phase.inputs[0].from_ == "Job"
    assert AudioPipelineSpec.model_validate(pipeline.spec.to_wire()) == pipeline.spec
