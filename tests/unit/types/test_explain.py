"""Sentences about fields that do not fit: a misspelt name comes first, with the name that was meant."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from audiojob_types.explain import FieldError, explain, unknown
from audiojob_types.parameters import InvalidParameters, resolve_parameters
from audiojob_types.resources.job import AudioJobSpec
from audiojob_types.tasks import Task


def explained(body: Any) -> list[FieldError]:
    with pytest.raises(ValidationError) as caught:
        AudioJobSpec.model_validate(body)
    return explain(caught.value.errors(), AudioJobSpec.model_json_schema())


@pytest.mark.parametrize(
    ("name", "known", "message"),
    [
        pytest.param("pipelin", ["name", "pipeline"], "unknown field, did you mean pipeline?", id="a missing letter"),
        pytest.param("queuename", ["queueName"], "unknown field, did you mean queueName?", id="another case"),
        pytest.param("queue_name", ["queueName"], "unknown field, did you mean queueName?", id="another style"),
        pytest.param("image", ["key"], "unknown field; known fields are key", id="nothing is near"),
        pytest.param("x", [], "unknown field; leave it out", id="nothing is known"),
        pytest.param("zz", [f"f{n}" for n in range(13)], "unknown field; leave it out", id="too many to list"),
    ],
)
def test_an_unknown_field_is_explained(name: str, known: list[str], message: str) -> None:
    assert unknown("field", name, known) == message


@pytest.mark.parametrize(
    ("body", "path", "message"),
    [
        pytest.param({"pipelin": "x"}, ("pipelin",), "unknown field, did you mean pipeline?", id="at the top"),
        pytest.param(
            {"pipeline": "x", "source": {"job_reff": {"name": "a"}}},
            ("source", "job_reff"),
            "unknown field, did you mean jobRef?",
            id="in a nested model",
        ),
        pytest.param(
            {"pipeline": "x", "source": {"object": {"keys": "a"}}},
            ("source", "object", "keys"),
            "unknown field, did you mean key?",
            id="two models down, where the right one is missing",
        ),
        pytest.param(
            {"pipeline": "x", "inputs": [{"name": "a", "txt": "b"}]},
            ("inputs", 0, "txt"),
            "unknown field, did you mean text?",
            id="in a list",
        ),
    ],
)
def test_a_misspelt_field_comes_first(body: Any, path: tuple[int | str, ...], message: str) -> None:
    assert explained(body)[0] == FieldError(path, message)


@pytest.mark.parametrize(
    ("body", "path", "message"),
    [
        pytest.param(
            {"pipeline": "x", "source": "https://example.org/a"}, ("source",),
            "must be an object with fields of these: jobRef, library, object, url", id="text for an object",
        ),
        pytest.param({"pipeline": "x", "parameters": []}, ("parameters",), "must be an object", id="a list for a map"),
        pytest.param({"pipeline": "x", "inputs": "a"}, ("inputs",), "must be a list", id="text for a list"),
        pytest.param([], (), "must be an object", id="a list for a whole body"),
    ],
)  # fmt: skip
def test_what_is_of_another_kind_is_told_without_words_of_python(
    body: Any, path: tuple[int | str, ...], message: str
) -> None:
    assert explained(body) == [FieldError(path, message)]


def test_other_errors_keep_their_order_behind_it() -> None:
    errors = explained({"priority": 11, "pipelin": "x"})
    assert [error.path for error in errors] == [("pipelin",), ("pipeline",), ("priority",)]


def test_of_very_many_unknown_fields_only_the_first_are_compared() -> None:
    errors = explained({"pipeline": "x"} | {f"priority{number}": 1 for number in range(5_000)})
    suggested = ["did you mean" in error.message for error in errors]
    assert suggested == [True] * 16 + [False] * 4_984


@pytest.mark.parametrize(
    ("task", "given", "field", "message"),
    [
        (Task.SEPARATE, {"modle": "htdemucs"}, "parameters.separate.modle", "unknown field, did you mean model?"),
        (Task.CONTAINER, {"value": {}}, "parameters.container.value", "unknown field, did you mean values?"),
        (
            Task.ENGRAVE,
            {"key": "H dur"},
            "parameters.engrave.key",
            "is not written as it must be: key, as it sounds, such as 'Bb major' or 'F# minor'. Default: found.",
        ),
        (
            Task.ENGRAVE,
            {"keep": ["A"]},
            "parameters.engrave.keep.0",
            (
                "is not written as it must be: name of a part, as the phase names its input, such as vocals: lower "
                "case letters, digits and -."
            ),
        ),
    ],
)
def test_a_parameter_that_does_not_fit_is_explained_too(task: Task, given: Any, field: str, message: str) -> None:
    with pytest.raises(InvalidParameters) as caught:
        resolve_parameters(task, given)
    assert (caught.value.field, caught.value.message) == (field, message)
