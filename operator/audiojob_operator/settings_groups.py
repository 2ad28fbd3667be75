"""Groups of settings that stand for themselves: the Lease, and when things are looked at, reported and given up."""

from __future__ import annotations

from typing import Annotated, Final, Literal

from pydantic import AliasGenerator, BaseModel, ConfigDict, Field, model_validator
from pydantic.alias_generators import to_camel

from audiojob_operator.records.settings import Overlap

# The names of fields in the settings file. Variables take the fields' own names.
FILE_NAMES: Final = AliasGenerator(serialization_alias=to_camel)


class Group(BaseModel):
    """A nested group of settings: an unknown name is an error, so that a typing mistake cannot stay unseen."""

    model_config = ConfigDict(extra="forbid", frozen=True, alias_generator=FILE_NAMES, populate_by_name=True)


class LeaseSettings(Group):
    """The Lease that keeps one operator active. Seconds.

    ``identity`` names this process. Inside a pod it should be the pod's uid: a restarted container then goes on at
    once, because its predecessor is known to be dead. Left out, a random one is made.
    """

    namespace: Annotated[str, Field(min_length=1)] = "audiojob-system"
    name: Annotated[str, Field(min_length=1)] = "audiojob-operator"
    identity: str = ""
    duration_seconds: Annotated[float, Field(gt=0)] = 15.0
    renew_deadline_seconds: Annotated[float, Field(gt=0)] = 10.0
    retry_seconds: Annotated[float, Field(gt=0)] = 2.0

    @model_validator(mode="after")
    def _ordered(self) -> LeaseSettings:
        if not self.retry_seconds < self.renew_deadline_seconds < self.duration_seconds:
            raise ValueError("needs retry_seconds < renew_deadline_seconds < duration_seconds")
        return self


class Progress(Group):
    """How often runners may report: never more often than this, and less where many jobs run."""

    min_interval_milliseconds: Annotated[int, Field(ge=0, le=3_600_000)] = 1_000


class DisruptionSettings(Group):
    """Pods whose node stops answering, or that are deleted. Seconds.

    ``node_lost_seconds``: how long a pod stays on a node that does not answer before it is deleted.
    ``grace_seconds``: how long it may take to end. ``lost_after_seconds``: how much later it counts as lost, and the
    phase begins anew elsewhere. ``protect_running``: autoscalers leave a node alone that runs an attempt.
    """

    node_lost_seconds: Annotated[int, Field(ge=0, le=86_400)] = 60
    grace_seconds: Annotated[int, Field(ge=1, le=3_600)] = 30
    lost_after_seconds: Annotated[int, Field(ge=1, le=86_400)] = 60
    protect_running: bool = False


class Sweep(Group):
    """Periodic sweeps: seconds between two, how long a revision that no job names is kept, how long beyond its
    TTL a job that is not archived (0: no archive)."""

    finished_seconds: Annotated[float, Field(gt=0)] = 120.0
    active_seconds: Annotated[float, Field(gt=0)] = 300.0
    revisions_seconds: Annotated[float, Field(gt=0)] = 3_600.0
    revision_unused_seconds: Annotated[float, Field(ge=0)] = 86_400.0
    archive_wait_seconds: Annotated[int, Field(ge=0, le=7 * 86_400)] = 0


class Watch(Group):
    """How long a watch may bring nothing, not even a bookmark, before it is replaced. Seconds.

    The API server sends a bookmark about once a minute: with less than that every quiet watch is begun again and again.
    """

    silence_seconds: Annotated[float, Field(ge=1, le=120)] = 70.0


class Preflight(Group):
    """The check of the operator's own permissions.

    ``wait_seconds``: how long the start waits for an API server that does not answer, or for the CRDs.
    ``interval_seconds``: pause between two checks while all is well.
    """

    wait_seconds: Annotated[float, Field(gt=0)] = 60.0
    interval_seconds: Annotated[float, Field(gt=0)] = 60.0


class OverlapSettings(Group):
    """Pods that begin, and load, while the phase before works, where nobody waits for a slot, a GPU or a node. Seconds.

    One begins when the phase before says that it needs ``lead_seconds`` more at most, or says nothing, and ends by
    itself when it was not needed for ``max_hold_seconds``. ``max_pods`` wait so at the same time. ``gpu``: whether
    phases on a GPU that lies free begin so too. A pipeline's phase leaves itself out with `overlap: Never`.
    """

    enabled: bool = True
    lead_seconds: Annotated[int, Field(ge=1, le=600)] = 20
    max_hold_seconds: Annotated[int, Field(ge=5, le=3_600)] = 120
    max_pods: Annotated[int, Field(ge=1, le=1_000)] = 4
    gpu: Literal["WhenFree", "Never"] = "WhenFree"

    def for_decisions(self) -> Overlap:
        """The same, as decisions know it."""
        return Overlap(**self.model_dump())
