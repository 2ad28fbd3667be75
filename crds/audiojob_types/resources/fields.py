"""Kinds of values that both the spec and the status of an AudioJob hold."""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import Field

from audiojob_types.constants import MAX_PHASE_NAME

PhaseName = Annotated[str, Field(pattern=r"^[a-z]([-a-z0-9]*[a-z0-9])?$", min_length=1, max_length=MAX_PHASE_NAME)]
OutputName = Annotated[str, Field(pattern=r"^[a-z0-9][-_.a-z0-9]*$", min_length=1, max_length=63)]
Message = Annotated[str, Field(max_length=1_024)]
ReasonText = Annotated[str, Field(max_length=63)]
Generation = Annotated[int, Field(ge=0, le=2**53)]

Atomic = {"x-kubernetes-list-type": "atomic"}
"""A list that its field manager owns as a whole."""

TERMINAL_STATES: Final = "['Succeeded','Failed','Cancelled']"
"""States in which a job never changes again, as a list in CEL."""
