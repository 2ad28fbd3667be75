"""The base of all wire models: camelCase on the wire, closed, frozen."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, JsonValue, PlainSerializer, WithJsonSchema
from pydantic.alias_generators import to_camel


class WireModel(BaseModel):
    """A record that crosses a process boundary. Unknown fields are refused; instances never change."""

    model_config = ConfigDict(
        alias_generator=to_camel,
        populate_by_name=True,
        extra="forbid",
        frozen=True,
        use_enum_values=False,
        serialize_by_alias=True,
    )

    def to_wire(self) -> dict[str, Any]:
        """The JSON form: camelCase keys, absent fields left out (Kubernetes has no nulls)."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)


class StatusModel(WireModel):
    """A record read back from a status, perhaps written by a newer operator: unknown fields are ignored."""

    model_config = ConfigDict(extra="ignore")


def format_time(moment: datetime) -> str:
    """RFC 3339 in UTC with whole seconds, as metav1.Time writes it."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


Time = Annotated[
    datetime,
    PlainSerializer(format_time, return_type=str, when_used="json"),
    WithJsonSchema({"type": "string", "format": "date-time"}),
]


# A DNS label (RFC 1123): the name of a Kubernetes object that names of its children can begin with.
ObjectName = Annotated[str, Field(pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$", min_length=1, max_length=63)]


def cel(*rules: tuple[str, str]) -> list[JsonValue]:
    """``x-kubernetes-validations`` from pairs of rule and the message that a user reads when it fails."""
    return [{"rule": rule, "message": message} for rule, message in rules]
