"""Where settings are read: a JSON file, and ``AUDIOJOB_…`` variables, each of which overrides its field of the file.

``AUDIOJOB_SETTINGS_FILE`` names the file; without it there are variables only. A field ``fetch.maxPerHost`` of the file
is the variable ``AUDIOJOB_FETCH__MAX_PER_HOST``. Lists, and ``store``, replace those of the file as a whole.

The file is found by a variable, not an argument, so that what is executed in the operator's pod finds it too.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from enum import Enum, auto
from pathlib import Path
from typing import Any, Final, NoReturn

from pydantic import BaseModel, ValidationError

from audiojob_operator.settings import ENV_PREFIX, Environment, OperatorSettings
from audiojob_operator.settings_groups import Group

SETTINGS_FILE: Final = "AUDIOJOB_SETTINGS_FILE"

# Variables that are written as JSON, with an example for whoever has not.
_JSON_EXAMPLES: Final = {
    "AUDIOJOB_JOB_NAMESPACES": '["music"]',
    "AUDIOJOB_FETCH__ALLOWED_CIDRS": '["10.20.0.0/16"]',
    "AUDIOJOB_STORE": '{"kind": "Folder"}',
    "AUDIOJOB_SITES": '[{"host": "youtube.com", "maxRunning": 2, "pauseSeconds": 5}]',
    "AUDIOJOB_LIBRARIES": '[{"name": "music", "claimName": "nas-music"}]',
}
_REMEDY: Final = "Correct the chart's values and run helm upgrade, which writes the file anew."
_NO_SUCH_SETTING: Final = "there is no such setting in this release; correct the name or leave it out"

_Values = dict[str, Any]


class SettingsError(Exception):
    """There are no valid settings; the message names file and field or the variable, and what is wrong with each."""


def load_settings() -> OperatorSettings:
    """Settings from the file, if one is named, and from the environment. Raises SettingsError."""
    named = os.environ.get(SETTINGS_FILE)
    file = Path(named) if named else None
    written: _Values = {}
    unknown: list[str] = []
    if file is not None:
        written = _by_field(OperatorSettings, _read(file), f"{file}: ", unknown)
    environment = Environment(OperatorSettings)()
    try:
        settings = OperatorSettings(**_override(OperatorSettings, written, environment))
    except ValidationError as error:
        raise _refusal([*unknown, *_problems(error, file, environment)], file) from error
    if unknown:
        raise _refusal(unknown, file)
    return settings


def _refusal(problems: list[str], file: Path | None) -> SettingsError:
    remedy = [_REMEDY] if file is not None else []
    return SettingsError("\n".join(["the settings are not valid:", *problems, *remedy]))


# ---------------------------------------------------------------- the file


def _read(file: Path) -> _Values:
    try:
        content = json.loads(file.read_text(encoding="utf-8"), object_pairs_hook=_once_each, parse_constant=_no_number)
    except OSError as error:
        raise SettingsError(
            f"{file}: the settings file cannot be read: {error.strerror}. Mount it there, or unset {SETTINGS_FILE} to "
            f"take all settings from {ENV_PREFIX}… variables."
        ) from error
    except (ValueError, RecursionError) as error:
        raise SettingsError(f"{file}: the settings file is not valid JSON: {error}. {_REMEDY}") from error
    if not isinstance(content, dict):
        raise SettingsError(f"{file}: the settings file must hold an object {{…}} at its top. {_REMEDY}")
    return content


def _once_each(pairs: list[tuple[str, Any]]) -> _Values:
    """Of a name that stands twice the second would replace the first unseen."""
    found: _Values = {}
    for name, value in pairs:
        if name in found:
            raise ValueError(f"{name} is written twice")
        found[name] = value
    return found


def _no_number(word: str) -> NoReturn:
    raise ValueError(f"{word} is not a number")


def _by_field(model: type[BaseModel], content: Mapping[str, Any], place: str, unknown: list[str]) -> _Values:
    """The file's values under the names of the model's fields; ``unknown`` takes what has none."""
    fields = {field.serialization_alias or name: name for name, field in model.model_fields.items()}
    found: _Values = {}
    for name, value in content.items():
        if name not in fields:
            unknown.append(f"{place}{name}: {_NO_SUCH_SETTING}")
            continue
        field = fields[name]
        group = _group(model, field)
        if group is not None and isinstance(value, dict):
            found[field] = _by_field(group, value, f"{place}{name}.", unknown)
        else:
            found[field] = value
    return found


def _group(model: type[BaseModel], field: str) -> type[Group] | None:
    """The group of settings that a field holds, if it holds one."""
    kind = model.model_fields[field].annotation if field in model.model_fields else None
    return kind if isinstance(kind, type) and issubclass(kind, Group) else None


# ---------------------------------------------------------------- the environment on top of it


def _override(model: type[BaseModel], below: _Values, above: _Values) -> _Values:
    """Groups are merged field by field; everything else is replaced as a whole."""
    merged = dict(below)
    for name, value in above.items():
        group = _group(model, name)
        if group is None or not isinstance(value, dict) or name not in below:
            merged[name] = value
        elif isinstance(below[name], dict):
            merged[name] = _override(group, below[name], value)
        # Else the file has no group where one belongs, which validation says: some of its fields cannot replace it.
    return merged


# ---------------------------------------------------------------- messages


class _Given(Enum):
    """How much of a field variables set."""

    NOT = auto()
    PARTLY = auto()  # some fields of a group
    WHOLE = auto()


def _problems(error: ValidationError, file: Path | None, environment: _Values) -> list[str]:
    """A line for each thing that is wrong."""
    return [_problem(each["loc"], _what(each["type"], each["msg"]), file, environment) for each in error.errors()]


def _what(kind: str, message: str) -> str:
    return _NO_SUCH_SETTING if kind == "extra_forbidden" else message.removeprefix("Value error, ")


def _problem(location: tuple[int | str, ...], what: str, file: Path | None, environment: _Values) -> str:
    """``AUDIOJOB_CAPACITY__GPUS: …`` or ``/etc/…/settings.json: capacity.gpus: …``; no field for what spans several."""
    variable = ENV_PREFIX + "__".join(str(part).upper() for part in location)
    given = _given(location, environment)
    if not location:
        return f"{file}: {what}" if file is not None else what
    if given is _Given.WHOLE or file is None:
        example = _JSON_EXAMPLES.get(variable)
        hint = f"; it is written as JSON, for example {variable}={example}" if example else ""
        return f"{variable}: {what}{hint}"
    variables = f", with the variables {variable}__…" if given is _Given.PARTLY else ""
    return f"{file}{variables}: {_name_in_file(location)}: {what}"


def _given(location: tuple[int | str, ...], environment: _Values) -> _Given:
    model: type[BaseModel] | None = OperatorSettings
    value: Any = environment
    for part in location:
        if model is None or not isinstance(value, dict):
            return _Given.WHOLE
        if part not in value:
            return _Given.NOT
        model, value = _group(model, str(part)), value[part]
    return _Given.PARTLY if model is not None and isinstance(value, dict) else _Given.WHOLE


def _name_in_file(location: tuple[int | str, ...]) -> str:
    """``fetch.allowedCIDRs`` for ``fetch``, ``allowed_cidrs``."""
    model: type[BaseModel] | None = OperatorSettings
    names = []
    for part in location:
        field = model.model_fields.get(str(part)) if model is not None else None
        names.append((field.serialization_alias if field is not None else None) or str(part))
        model = _group(model, str(part)) if model is not None else None
    return ".".join(names)
