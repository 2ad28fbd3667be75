"""Parameters of Container: words for the administrator's program, which it reads from files."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import Field, field_validator

from audiojob_types.base import WireModel, cel

MAX_VALUES = 32
NAME_PATTERN = r"^[a-zA-Z][-_a-zA-Z0-9]{0,62}$"


class ContainerParameters(WireModel):
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
