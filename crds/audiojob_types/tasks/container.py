"""Container: the administrator's own program, in an image of its own."""

from __future__ import annotations

import re
from typing import Annotated, Final

from pydantic import Field, field_validator

from audiojob_types.base import cel
from audiojob_types.descriptor import Input, Output, Reuse, Served, TaskDescriptor, TaskParameters

MAX_VALUES = 32
NAME_PATTERN = r"^[a-zA-Z][-_a-zA-Z0-9]{0,62}$"


class ContainerParameters(TaskParameters):
    """Values by name. Which names there are, and their defaults, is the pipeline's to say."""

    values: Annotated[
        dict[str, Annotated[str, Field(max_length=1_024)]],
        Field(
            max_length=MAX_VALUES,
            description="values by name, for the program of the phase; only names that the pipeline has a default for.",
            json_schema_extra={
                "x-kubernetes-validations": cel(
                    (
                        f"self.all(name, name.matches('{NAME_PATTERN}'))",
                        "names in values must begin with a letter and have at most 63 letters, digits, '-' and '_'",
                    )
                )
            },
        ),
    ] = Field(default_factory=dict)

    @field_validator("values")
    @classmethod
    def _names_are_file_names(cls, values: dict[str, str]) -> dict[str, str]:
        for name in values:
            if not re.fullmatch(NAME_PATTERN, name):
                raise ValueError(f"{name!r} must begin with a letter and have at most 63 letters, digits, '-' and '_'")
        return values


TASK: Final = TaskDescriptor(
    name="Container",
    summary="Runs the administrator's own program, in an image of its own, on files and words.",
    page="custom-tasks.md",
    parameters=ContainerParameters,
    inputs=(Input("*", ("*/*",), optional=True),),
    outputs=(Output("*", ("*/*",)),),
    reuse=Reuse.IF_ALLOWED,
    reads_metadata=True,
    served=Served.NEVER,
    uses_gpu=True,
    runs_program=True,
)
