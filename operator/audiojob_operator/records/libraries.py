"""Libraries: folders of media that administrators name and users refer to by that name alone."""

from __future__ import annotations

from dataclasses import dataclass

from audiojob_operator.records.invalid import InvalidSpecError
from audiojob_types.constants import STORE_ROOT
from audiojob_types.contract import FolderStore, PhaseLibrary, S3Store
from audiojob_types.resources.job import AudioJobSpec


@dataclass(frozen=True, slots=True)
class Library:
    """One library: a claim of the job's namespace, or a prefix of the store. Exactly one of both is set.

    ``namespaces`` are those whose jobs may use it; empty is all.
    """

    name: str
    claim_name: str | None = None
    prefix: str | None = None
    read_only: bool = False
    namespaces: tuple[str, ...] = ()

    def key(self, namespace: str) -> str:
        """Its folder below the mounts of a pod: ``<namespace>/libraries/<name>``."""
        return f"{namespace}/libraries/{self.name}"

    def reached(self, namespace: str, store: FolderStore | S3Store) -> PhaseLibrary:
        """How a phase finds it: by its mount, or in the bucket of the store."""
        if isinstance(store, S3Store) and self.prefix is not None:
            prefix = "/".join(part for part in (store.prefix.strip("/"), self.prefix) if part)
            return PhaseLibrary(name=self.name, store=store.model_copy(update={"prefix": prefix}))
        return PhaseLibrary(name=self.name, store=FolderStore(root=f"{STORE_ROOT}/{self.key(namespace)}"))


def find_library(libraries: tuple[Library, ...], namespace: str, name: str, field: str) -> Library:
    """The library of that name. Raises :class:`InvalidSpecError` naming ``field`` and those that there are."""
    usable = [each for each in libraries if not each.namespaces or namespace in each.namespaces]
    for library in usable:
        if library.name == name:
            return library
    known = ", ".join(sorted(library.name for library in usable))
    there_are = (
        f"there are: {known}" if known else "the administrator has set up none (libraries in the chart's values)"
    )
    raise InvalidSpecError(field, f"there is no library {name} in namespace {namespace}; {there_are}")


def source_library(libraries: tuple[Library, ...], namespace: str, spec: AudioJobSpec) -> Library | None:
    """The library that the job reads from; None if its source is something else."""
    if spec.source is None or spec.source.library is None:
        return None
    return find_library(libraries, namespace, spec.source.library.name, "spec.source.library.name")


def destination_library(libraries: tuple[Library, ...], namespace: str, spec: AudioJobSpec) -> Library | None:
    """The library that the job publishes into; None if it keeps its results in the store alone."""
    if spec.destination is None:
        return None
    library = find_library(libraries, namespace, spec.destination.library, "spec.destination.library")
    if library.read_only:
        writable = ", ".join(
            each.name
            for each in libraries
            if not each.read_only and (not each.namespaces or namespace in each.namespaces)
        )
        raise InvalidSpecError(
            "spec.destination.library",
            f"library {library.name} is only read; libraries that take files: {writable or 'none'}",
        )
    return library
