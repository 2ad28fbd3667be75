"""The base of all wire models: camelCase on the wire, closed, frozen.

Strict or tolerant is decided by who wrote the record. What a person wrote is validated strictly
(``model_validate``): an unknown field is a mistake to report. What another version of audiojob may have written
is read with :meth:`WireModel.read`, which passes over unknown fields at any depth.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any, Final, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    JsonValue,
    PlainSerializer,
    ValidationInfo,
    WithJsonSchema,
)
from pydantic.alias_generators import to_camel
from pydantic.fields import FieldInfo


@dataclass(frozen=True, slots=True)
class Since:
    """The contract that brought a field, as an annotation of it: readers of an earlier one are not sent the field."""

    contract: int


_READING: Final = {"reading": True}


class WireModel(BaseModel):
    """A record that crosses a process boundary. Unknown fields are refused; instances never change."""

    model_config = ConfigDict(
        alias_generator=to_camel,
        populate_by_name=True,
        extra="forbid",
        frozen=True,
        use_enum_values=False,
        serialize_by_alias=True,
        allow_inf_nan=False,  # JSON has no way to write them
    )

    def to_wire(self) -> dict[str, Any]:
        """The JSON form: camelCase keys, absent fields left out (Kubernetes has no nulls)."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)

    def to_wire_for(self, contract: int) -> dict[str, Any]:
        """The JSON form for a reader of that contract: fields that a later one brought are left out."""
        return _without_newer(self, self.to_wire(), contract)

    @classmethod
    def read(cls, content: bytes | str | Mapping[str, Any]) -> Self:
        """What another version may have written: unknown fields are passed over. Raises ``ValidationError``."""
        if isinstance(content, bytes | str):
            return cls.model_validate_json(content, extra="ignore", context=_READING)
        return cls.model_validate(content, extra="ignore", context=_READING)


def _finite(value: Any) -> Any:
    """Raises ValueError for numbers that JSON cannot write: parsers make infinity of 1e999."""
    match value:
        case float() if not math.isfinite(value):
            raise ValueError("has a number that is not finite")
        case dict():
            for each in value.values():
                _finite(each)
        case list():
            for each in value:
                _finite(each)
    return value


JsonObject = Annotated[dict[str, Any], AfterValidator(_finite)]
"""An object whose fields somebody else defines. It is written as it was read."""


def is_reading(info: ValidationInfo) -> bool:
    """For validators: whether this is :meth:`WireModel.read`."""
    return info.context is _READING


Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$", max_length=64)]
Key = Annotated[str, Field(min_length=1, max_length=1024)]
"""The name of a file in the store."""


def since(field: FieldInfo) -> int:
    """The contract that brought the field; 0 for the first ones."""
    return max((each.contract for each in field.metadata if isinstance(each, Since)), default=0)


def _without_newer(model: WireModel, wire: dict[str, Any], contract: int) -> dict[str, Any]:
    kept = {}
    for name, field in type(model).model_fields.items():
        key = field.serialization_alias or name
        if key in wire and since(field) <= contract:
            kept[key] = _each_without_newer(getattr(model, name), wire[key], contract)
    return kept


def _each_without_newer(value: object, wire: Any, contract: int) -> Any:
    if isinstance(value, WireModel):
        return _without_newer(value, wire, contract)
    if isinstance(value, tuple):
        return [_each_without_newer(one, form, contract) for one, form in zip(value, wire, strict=True)]
    return wire


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


_LEAP_YEAR: Final = "(19(7[26]|8[048]|9[26])|2[0-9](0[48]|[2468][048]|[13579][26])|2[048]00)"
_MONTH_AND_DAY: Final = (
    "((0[13578]|1[02])-(0[1-9]|[12][0-9]|3[01])|(0[469]|11)-(0[1-9]|[12][0-9]|30)|02-(0[1-9]|1[0-9]|2[0-8]))"
)
_CLOCK: Final = "([01][0-9]|2[0-3]):[0-5][0-9]"
TIME_PATTERN: Final = (
    f"^((19[7-9][0-9]|2[0-9]{{3}})-{_MONTH_AND_DAY}|{_LEAP_YEAR}-02-29)"
    f"T{_CLOCK}:[0-5][0-9]([.][0-9]{{1,9}})?(Z|[+-]{_CLOCK})$"
)
"""A time that people and pods may write: RFC 3339, as every parser reads it, from 1970 to 2999.

`format: date-time` admits more than the API server's own CEL can read (`t` and `z`, offsets such as +99:99, text after
the zone), and CEL reads a field of that format wherever a rule names it: the object could never be written again.
"""
TIME_MESSAGE: Final = (
    "must be a time such as 2026-01-31T08:00:00Z, with capital T and Z, or with an offset such as +01:00 in place of "
    "Z; from 1970 to 2999"
)
BAD_TIME: Final = datetime.min.replace(tzinfo=UTC)
"""In place of a stored time that is none. Earlier than all others, so that no sum or comparison with it fails."""

_TIME: Final = re.compile(TIME_PATTERN)


def is_time(text: str) -> bool:
    """Whether a time that somebody wrote is one that we take."""
    return _TIME.fullmatch(text) is not None


def _written_time(value: object) -> object:
    if isinstance(value, datetime) or (isinstance(value, str) and is_time(value)):
        return value
    raise ValueError(TIME_MESSAGE)


WrittenTime = Annotated[
    datetime,
    BeforeValidator(_written_time),
    PlainSerializer(format_time, return_type=str, when_used="json"),
    WithJsonSchema(
        {
            "type": "string",
            "maxLength": 40,
            "x-kubernetes-validations": [{"rule": f"self.matches('{TIME_PATTERN}')", "message": TIME_MESSAGE}],
        }
    ),
]
"""A time that people or pods write, and not the operator."""


# A DNS label (RFC 1123): the name of a Kubernetes object that names of its children can begin with.
ObjectName = Annotated[str, Field(pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$", min_length=1, max_length=63)]


def cel(*rules: tuple[str, str]) -> list[JsonValue]:
    """``x-kubernetes-validations`` from pairs of rule and the message that a user reads when it fails."""
    return [{"rule": rule, "message": message} for rule, message in rules]
