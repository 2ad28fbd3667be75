"""The published demucs models as data, and the record of those that an administrator has fetched ahead of time.

Names, members and checksums are those of the demucs package (``demucs/remote``), which the light image does not have;
a test compares them. Only the first 8 hex digits of each sha256 are published: the whole one is recorded when a file
is first fetched, and never made up here.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Annotated, Final

from pydantic import Field, ValidationError

from audiojob_types.base import Sha256, StatusModel, Time
from audiojob_types.contract import MAX_MESSAGE_CHARACTERS

DEFAULT_BASE_URL: Final = "https://dl.fbaipublicfiles.com/demucs/"
"""Where demucs' authors publish the files; the paths below are relative to it."""


@dataclass(frozen=True, slots=True)
class KnownModel:
    """One name: the networks that it averages, and how.

    ``files`` are paths below the base address, such as ``hybrid_transformer/955717e8-8726e21a.th``: a signature and
    the first 8 hex digits of the file's sha256. A network may be used more than once. ``weights`` has a row for each
    network and a column for each source; ``segment`` is in seconds.
    """

    files: tuple[str, ...]
    weights: tuple[tuple[float, ...], ...] | None = None
    segment: int | None = None

    @property
    def signatures(self) -> tuple[str, ...]:
        """What demucs calls the networks."""
        return tuple(file_name(path).partition("-")[0] for path in self.files)


def file_name(path: str) -> str:
    """The name that a file has in the models volume."""
    return path.rpartition("/")[2]


def published_prefix(name: str) -> str:
    """The published first digits of the sha256 of a file, from its name; "" for a name that tells none."""
    return name.removesuffix(".th").rpartition("-")[2] if "-" in name else ""


def _mdx(*names: str) -> tuple[str, ...]:
    return tuple(f"mdx_final/{name}.th" for name in names)


def _transformer(*names: str) -> tuple[str, ...]:
    return tuple(f"hybrid_transformer/{name}.th" for name in names)


_HYBRID: Final = _mdx("fa0cb7f9-100d8bf4", "902315c2-b39ce9c9")
_TIME_ONLY: Final = _mdx("9a6b4851-03af0aa6", "1ef250f1-592467ce")
_BY_SOURCE: Final = ((1.0, 0.0, 0.0, 0.0), (0.0, 1.0, 0.0, 0.0), (0.0, 0.0, 1.0, 0.0), (0.0, 0.0, 0.0, 1.0))
_MDX_WEIGHTS: Final = ((1.0, 1.0, 0.0, 0.0), (0.0, 1.0, 0.0, 0.0), (1.0, 0.0, 1.0, 1.0), (1.0, 0.0, 1.0, 1.0))

KNOWN_MODELS: Final[Mapping[str, KnownModel]] = {
    "htdemucs": KnownModel(_transformer("955717e8-8726e21a")),
    "htdemucs_ft": KnownModel(
        _transformer("f7e0c4bc-ba3fe64a", "d12395a8-e57c48e6", "92cfc3b6-ef3bcb9c", "04573f0d-f3cf25b2"), _BY_SOURCE
    ),
    "htdemucs_6s": KnownModel(_transformer("5c90dfd2-34c22ccb")),
    "hdemucs_mmi": KnownModel(_transformer("75fc33f5-1941ce65"), segment=44),
    "mdx": KnownModel(
        _mdx("0d19c1c6-0f06f20e", "7ecf8ec1-70f50cc9", "c511e2ab-fe698775", "7d865c68-3d5dd56b"),
        _MDX_WEIGHTS,
        segment=44,
    ),
    "mdx_extra": KnownModel(
        _mdx("e51eebcc-c1b80bdd", "a1d90b5c-ae9d2452", "5d2d6c55-db83574e", "cfa93e08-61801ae1"), segment=44
    ),
    "repro_mdx_a": KnownModel((*_TIME_ONLY, *_HYBRID), segment=44),
    "repro_mdx_a_hybrid_only": KnownModel((*_HYBRID, *_HYBRID), segment=44),
    "repro_mdx_a_time_only": KnownModel((_TIME_ONLY[0], _TIME_ONLY[0], _TIME_ONLY[1], _TIME_ONLY[1]), segment=44),
}

# demucs' own network for tests: the real code path, with weights drawn at random from the seed. It needs no files.
UNTRAINED_MODEL: Final = "demucs_unittest"

# Their files need the package diffq, whose licence allows no commercial use: they can be neither named nor fetched.
QUANTIZED_MODELS: Final = frozenset({"mdx_q", "mdx_extra_q"})


# ---------------------------------------------------------------- the ConfigMap audiojob-models

WANTED_KEY: Final = "models"
"""What the chart writes: the names to be fetched, as a JSON list. Every other key is a name, with its record."""


class ModelState(StrEnum):
    """Where the fetching of a model stands."""

    FETCHING = "Fetching"
    READY = "Ready"
    FAILED = "Failed"


class ModelRecord(StatusModel):
    """One model, as the prefetch Job records it. Display only, but for ``state``."""

    state: ModelState
    percent: Annotated[int, Field(ge=0, le=100)] = 0
    message: Annotated[str, Field(max_length=MAX_MESSAGE_CHARACTERS)] = ""
    suggestion: Annotated[str, Field(max_length=MAX_MESSAGE_CHARACTERS)] = ""
    files: dict[str, Sha256] = Field(default_factory=dict)  # by name, the whole sha256
    report_time: Time | None = None


@dataclass(frozen=True, slots=True)
class ModelBook:
    """What is known about the models of a namespace: which are wanted, and where each stands."""

    wanted: frozenset[str] = frozenset()
    records: Mapping[str, ModelRecord] = field(default_factory=dict)

    @classmethod
    def read(cls, data: Mapping[str, str]) -> ModelBook:
        """From the ConfigMap's data. What cannot be read is passed over: a model without a record is not begun."""
        records = {}
        for name, text in data.items():
            if name == WANTED_KEY:
                continue
            try:
                records[name] = ModelRecord.read(text)
            except ValidationError:
                continue
        return cls(_names(data.get(WANTED_KEY, "[]")), records)

    @property
    def unready(self) -> frozenset[str]:
        """Models that are wanted and not there yet. Of any other name nothing is known: it may be there by hand."""
        ready = {name for name, record in self.records.items() if record.state is ModelState.READY}
        return self.wanted - ready


def _names(text: str) -> frozenset[str]:
    try:
        names = json.loads(text)
    except ValueError:
        return frozenset()
    return frozenset(name for name in names if isinstance(name, str)) if isinstance(names, list) else frozenset()
