"""Resolves the inputs of a phase file to local files, fetched where needed and verified by their sha256."""

from __future__ import annotations

import hashlib
import os
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import BinaryIO, Final, NoReturn

from pydantic import ValidationError

from audiojob_runner.errors import PhaseError
from audiojob_runner.settings import Paths
from audiojob_runner.store import open_store
from audiojob_runner.store.base import Store
from audiojob_runner.store.manifest import MAX_MANIFEST_BYTES
from audiojob_runner.task import TaskInput
from audiojob_types.contract import (
    ALL_OUTPUTS,
    MAX_PHASE_INPUTS,
    MAX_RESULT_INPUTS,
    ExitCode,
    Manifest,
    ManifestOutput,
    ManifestRef,
    PhaseInput,
    PhaseInputFile,
    ReadInput,
)
from audiojob_types.reasons import Reason

_SAFE_NAME = re.compile(r"[A-Za-z0-9][-_.A-Za-z0-9]{0,127}")
_SAFE_SUFFIX = re.compile(r"\.[A-Za-z0-9]{1,10}")
FALLBACK_NAME: Final = "input"


@dataclass(frozen=True, slots=True)
class Ahead:
    """What was fetched before its phase began, where its task cannot write: files by library and key, with their
    sha256."""

    files: dict[tuple[str, str], tuple[Path, str]] = field(default_factory=dict)
    manifests: dict[tuple[str, str], Manifest] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Fetcher:
    """Makes inputs local. ``folder`` takes what is fetched; ``on_bytes`` is called with the size of each piece
    and may raise.

    ``held`` takes the open files of a folder store that are read where they lie, by input; None: they are copied like
    any other. Whoever can write there may put another file, or a link, in the place of one whose hash was taken: only
    the open file is surely what was read here.

    What is copied is moved from ``ahead`` where it lies there, or noted in ``into`` for a later one.
    """

    store: Store
    folder: Path
    max_bytes: int | None
    on_bytes: Callable[[int], None]
    libraries: Mapping[str, Store] = field(default_factory=dict)
    held: dict[str, BinaryIO] | None = None
    ahead: Ahead = field(default_factory=Ahead)  # its manifests are compared ones, by key and sha256
    into: Ahead | None = None
    library: str = ""  # the one that ``store`` is

    def expand(self, items: Sequence[PhaseInputFile]) -> tuple[PhaseInputFile, ...]:
        """The inputs one by one, where some stand for all outputs of a phase. Raises :class:`PhaseError`."""
        found = list[PhaseInputFile]()
        for item in items:
            if item.manifest is None or item.output != ALL_OUTPUTS:
                found.append(item)
                continue
            outputs = self._manifest(item.name, item.manifest).outputs
            found += [item.model_copy(update={"name": output.name, "output": output.name}) for output in outputs]
        twice = [name for name, count in Counter(item.name for item in found).items() if count > 1]
        if twice or len(found) > MAX_PHASE_INPUTS:
            wrong = f"two inputs named {twice[0]!r}" if twice else f"{len(found)} inputs; at most {MAX_PHASE_INPUTS}"
            raise PhaseError(
                ExitCode.USAGE, Reason.INVALID_SPEC, f"The phase has {wrong}{'' if twice else ' are allowed'}.",
                "Name the outputs that the phase reads in inputs[].output of the pipeline.",
            )  # fmt: skip
        return tuple(found)

    def fetch(self, number: int, item: PhaseInputFile) -> TaskInput:
        """One input; ``number`` is its place. Raises :class:`PhaseError`: InputMissing, ChecksumMismatch, TooLarge."""
        if item.url is not None:
            return TaskInput(name=item.name, url=item.url)
        if item.text is not None:
            return TaskInput(name=item.name, path=self._write(number, item.text), media_type="text/plain")
        if item.manifest is not None:
            output = self._find_output(item)
            if item.about:
                return TaskInput(name=item.name, media_type=output.media_type, metadata=output.metadata)
            key = _key_of(item.manifest, output)
            path = self._local(number, item.name, key, output.sha256)
            return TaskInput(
                name=item.name,
                path=path,
                media_type=output.media_type,
                metadata=output.metadata,
                sha256=output.sha256,
            )
        assert item.key is not None
        if item.library is not None:
            there = replace(self, store=self.libraries[item.library], library=item.library)
            return there.fetch(number, item.model_copy(update={"library": None}))
        # Uploads and libraries are people's own folders, where a link to another file of theirs is no fault.
        path = self._local(number, item.name, self.store.without_links(item.key), item.sha256)
        return TaskInput(name=item.name, path=path, sha256=item.sha256)

    def check(self, item: PhaseInputFile) -> ReadInput | None:
        """An output of an earlier phase, read through but not kept; None for what is none. Raises as ``fetch``."""
        if item.manifest is None or item.output is None or item.about:
            return None
        if item.output == ALL_OUTPUTS:
            for each in self.expand([item]):
                self.check(each)
            return ReadInput(name=item.name, sha256=item.manifest.sha256)
        output = self._find_output(item)
        key = _key_of(item.manifest, output)
        try:
            digest = self._digest(self.store.stream(key))
        except FileNotFoundError:
            _missing(item.name, key)
        if digest != output.sha256:
            _differs(item.name, key)
        return ReadInput(name=item.name, sha256=digest)

    def _write(self, number: int, text: str) -> Path:
        path = self.folder / str(number) / "input.txt"
        path.parent.mkdir(parents=True)
        path.write_text(text, encoding="utf-8")
        return path

    def _find_output(self, item: PhaseInputFile) -> ManifestOutput:
        """What the manifest says of the output, where it says what the operator has recorded."""
        assert item.manifest is not None  # the contract's own rule: with an output
        name, ref = item.name, item.manifest
        manifest = self._manifest(name, ref)
        for output in manifest.outputs:
            if output.name == item.output:
                if item.recorded_sha256 not in (None, output.sha256):
                    _not_recorded(name, ref.key)
                return output
        known = ", ".join(output.name for output in manifest.outputs) or "none"
        raise PhaseError(
            ExitCode.USAGE,
            Reason.INVALID_SPEC,
            f"Input {name!r}: phase {manifest.phase!r} published no output {item.output!r}; it published: {known}.",
            "Correct inputs[].output of the phase in the pipeline and create a new job.",
        )

    def _manifest(self, name: str, ref: ManifestRef) -> Manifest:
        if (known := self.ahead.manifests.get((ref.key, ref.sha256))) is not None:
            return known
        content = self.store.read(ref.key, MAX_MANIFEST_BYTES)
        if content is None:
            _missing(name, ref.key)
        if hashlib.sha256(content).hexdigest() != ref.sha256:
            _differs(name, ref.key)
        try:
            manifest = Manifest.read(content)
        except ValidationError as error:
            raise PhaseError(
                ExitCode.USAGE,
                Reason.INVALID_SPEC,
                f"Input {name!r}: {ref.key} is not a manifest that this runner can read.",
            ) from error
        if ref.key.split("/")[:-2] != [manifest.namespace, manifest.uid, manifest.phase]:
            raise PhaseError(
                ExitCode.SOURCE_UNAVAILABLE,
                Reason.CHECKSUM_MISMATCH,
                f"Input {name!r}: {ref.key} is the manifest of another phase: of {manifest.phase!r} of AudioJob "
                f"{manifest.namespace}/{manifest.job}.",
            )
        self.ahead.manifests[(ref.key, ref.sha256)] = manifest
        return manifest

    def _local(self, number: int, name: str, key: str, sha256: str | None) -> Path:
        digest = None
        try:
            if self.held is not None and self.store.root is not None:
                file = self.held[name] = self.store.open(key)
                size = os.fstat(file.fileno()).st_size
                self._check_size(name, size)
                if sha256 is not None:
                    digest = self._digest(self.store.chunks(file, key))
                else:
                    self.on_bytes(size)  # the task will read it
                path = self.store.root / key
            else:
                path = self.folder / str(number) / local_name(key)
                path.parent.mkdir(parents=True)
                digest = self._bring(name, key, path)
        except FileNotFoundError:
            _missing(name, key)
        if sha256 is not None and digest != sha256:
            _differs(name, key)
        return path

    def _bring(self, name: str, key: str, path: Path) -> str:
        """Put the file at that path, by a copy where it was not fetched already; its sha256."""
        there = self.ahead.files.pop((self.library, key), None)
        if there is not None:
            size = there[0].stat().st_size
            self._check_size(name, size)
            there[0].rename(path)
            self.on_bytes(size)
            return there[1]
        found = self.store.size(key)
        if found is None:
            _missing(name, key)
        self._check_size(name, found)
        digest = self._copy(self.store.stream(key), path)
        if self.into is not None:
            self.into.files[(self.library, key)] = (path, digest)
        return digest

    def _check_size(self, name: str, size: int) -> None:
        if self.max_bytes is not None and size > self.max_bytes:
            raise PhaseError(
                ExitCode.NOT_MEDIA,
                Reason.TOO_LARGE,
                f"Input {name!r} has {size} bytes; the limit is {self.max_bytes}.",
            )

    def _digest(self, chunks: Iterator[bytes]) -> str:
        digest = hashlib.sha256()
        for chunk in chunks:
            digest.update(chunk)
            self.on_bytes(len(chunk))
        return digest.hexdigest()

    def _copy(self, chunks: Iterator[bytes], path: Path) -> str:
        digest = hashlib.sha256()
        with path.open("wb") as file:
            for chunk in chunks:
                file.write(chunk)
                digest.update(chunk)
                self.on_bytes(len(chunk))
        return digest.hexdigest()


def open_libraries(phase_input: PhaseInput, paths: Paths) -> dict[str, Store]:
    """Those that inputs are read from, and no others: a bucket needs credentials, a folder its mount."""
    named = {item.library for item in phase_input.inputs}
    return {
        library.name: open_store(library.store, paths.credentials)
        for library in phase_input.libraries
        if library.name in named
    }


def _key_of(ref: ManifestRef, output: ManifestOutput) -> str:
    """Files lie beside the manifest that lists them."""
    return f"{ref.key.rpartition('/')[0]}/{output.file}"


def read_inputs(files: Sequence[PhaseInputFile], fetched: Sequence[TaskInput]) -> tuple[ReadInput, ...]:
    """What the operator is told of outputs of earlier phases: the hash of their bytes, which :class:`Fetcher` took.

    Of all outputs of a phase at once it is the hash of their manifest, which names those of the bytes.
    """
    hashes = {read.name: read.sha256 for read in fetched}
    told = list[ReadInput]()
    for file in files:
        if file.manifest is None:
            continue
        digest = file.manifest.sha256 if file.output == ALL_OUTPUTS else hashes[file.name]
        if digest is not None:
            told.append(ReadInput(name=file.name, sha256=digest))
    return tuple(told)[:MAX_RESULT_INPUTS]


def local_name(key: str) -> str:
    """A safe file name for a key: its last part, or a fixed name with the key's ending where that part is unsafe."""
    last = key.rsplit("/", 1)[-1]
    if _SAFE_NAME.fullmatch(last):
        return last
    suffix = Path(last).suffix
    return FALLBACK_NAME + (suffix if _SAFE_SUFFIX.fullmatch(suffix) else "")


def _missing(name: str, key: str) -> NoReturn:
    raise PhaseError(ExitCode.SOURCE_UNAVAILABLE, Reason.INPUT_MISSING, f"Input {name!r} is not in the store: {key}.")


def _differs(name: str, key: str) -> NoReturn:
    raise PhaseError(
        ExitCode.SOURCE_UNAVAILABLE,
        Reason.CHECKSUM_MISMATCH,
        f"Input {name!r} was changed after it was published: the sha256 of {key} differs.",
    )


def _not_recorded(name: str, key: str) -> NoReturn:
    raise PhaseError(
        ExitCode.SOURCE_UNAVAILABLE,
        Reason.CHECKSUM_MISMATCH,
        f"Input {name!r}: {key} names another sha256 than the result of the phase that published it.",
        "Create a new job. If it fails in the same way, the phase that made the input reported a wrong sha256.",
    )
