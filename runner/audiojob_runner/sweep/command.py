"""The sweeper: one pass over the jobs' folders of one namespace. What it may remove is decided in ``sweep_plan``."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from pydantic import TypeAdapter, ValidationError

from audiojob_runner import logs
from audiojob_runner.errors import PhaseError, as_phase_error
from audiojob_runner.settings import Paths
from audiojob_runner.store import Store, open_store
from audiojob_runner.store.inventory import StoredObject, inventory, remove, remove_empty_folders
from audiojob_runner.store.manifest import MAX_MANIFEST_BYTES
from audiojob_runner.sweep.audiojobs import live_jobs
from audiojob_runner.sweep.index import FOLDER as INDEX_FOLDER
from audiojob_runner.sweep.index import (
    MAX_RECORD_BYTES,
    Noted,
    index_job,
    keys_by_file,
    note,
    outdated,
    strays,
    with_last_state,
)
from audiojob_runner.sweep.plan import Kind, Limits, LiveJobs, Removal, StoredAttempt, StoredJob, SweepPlan, plan_sweep
from audiojob_runner.sweep.uploads import RECORD, UPLOAD, StoredUpload, unused
from audiojob_store.layout import PARTIAL_FOLDER, UPLOADS_FOLDER
from audiojob_types.base import format_time
from audiojob_types.constants import MANIFEST_NAME
from audiojob_types.contract import ExitCode, FolderStore, Manifest, S3Store
from audiojob_types.reasons import Reason

MARK_NAME: Final = "absent-since.json"
MAX_MARK_BYTES: Final = 4_096
# Only folders of this form are ever looked at: uploads, libraries and whatever people put there are not.
_UID: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_ATTEMPT: Final = re.compile(r"[1-9][0-9]*-[0-9a-zA-Z-]{8}")
_NAMESPACE: Final = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
_UPLOAD_PARTS: Final = 3  # <namespace>/uploads/<id>
_ATTEMPT_PARTS: Final = 4  # <namespace>/<uid>/<phase>/<attempt>-<pod>
_STORE: Final[TypeAdapter[FolderStore | S3Store]] = TypeAdapter(FolderStore | S3Store)

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class SweepOptions:
    """One pass. ``dry_run`` removes nothing, notes nothing and says what it would do."""

    namespace: str
    store: FolderStore | S3Store
    limits: Limits
    dry_run: bool = False


@dataclass(slots=True)
class _Found:
    """A job's folder while its objects come in."""

    attempts: dict[str, list[StoredObject]] = field(default_factory=dict)
    others: list[StoredObject] = field(default_factory=list)
    notes: dict[str, Noted] = field(default_factory=dict)  # by the folder of the attempt


@dataclass(slots=True)
class _Contents:
    """A namespace's part of the store: jobs by folder, the index by key, uploads."""

    jobs: dict[str, _Found] = field(default_factory=dict)
    index: dict[str, StoredObject] = field(default_factory=dict)
    uploads: dict[str, list[StoredObject]] = field(default_factory=dict)
    """By folder; what people put there by hand is not among them."""


def parse_store(text: str) -> FolderStore | S3Store:
    """The store from its JSON form. Raises :class:`PhaseError` (64)."""
    try:
        return _STORE.validate_json(text)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        message = f"The sweeper's store is not valid: {first['msg']}."
        raise PhaseError(ExitCode.USAGE, Reason.INVALID_SPEC, message) from None


def run_sweep(options: SweepOptions, environ: Mapping[str, str], root: Path = Path("/")) -> int:
    """A pass; the exit code. Everything that goes wrong ends as a line of the log, and nothing more is removed."""
    logs.configure(logs.print_line)
    try:
        _sweep(options, environ, Paths.under(root))
    except Exception as failed:  # noqa: BLE001 - whatever it is, it must end in a line and a code
        error = as_phase_error(failed, "Sweep")
        _log.error("%s %s", error.message, error.suggestion, exc_info=None if error is failed else failed)
        return error.exit_code
    return int(ExitCode.OK)


def _sweep(options: SweepOptions, environ: Mapping[str, str], paths: Paths) -> None:
    if not _NAMESPACE.fullmatch(options.namespace):
        raise PhaseError(ExitCode.USAGE, Reason.INVALID_SPEC, f"{options.namespace!r} is not a namespace.")
    store = open_store(options.store, paths.credentials)
    now = datetime.now(UTC)
    # The store first: a job that is made meanwhile is in the list, and its folder is not among these.
    contents = _read(store, options.namespace)
    live = live_jobs(environ, paths.service_account, options.namespace)
    stored = tuple(_stored_job(store, folder, found, now) for folder, found in sorted(contents.jobs.items()))
    plan = plan_sweep(stored, live, options.limits, now)
    failed = _apply(store, plan, contents.jobs, now, dry_run=options.dry_run)
    failed += _remove_uploads(store, contents, live, now, dry_run=options.dry_run)
    if not options.dry_run:
        _write_index(store, contents, plan, live)
    would = "would be " if options.dry_run else ""
    _log.info(
        "%s: %d job folders with %d bytes, %d AudioJobs; %d folders with %d bytes %sremoved, %d held back",
        options.namespace,
        len(stored),
        sum(job.bytes for job in stored),
        len(live.uids),
        len(plan.removals) - len(failed),
        sum(removal.bytes for removal in plan.removals) - sum(removal.bytes for removal, _ in failed),
        would,
        len(plan.held_back),
    )
    if failed:
        raise failed[0][1]


def _read(store: Store, namespace: str) -> _Contents:
    """The jobs' folders of the namespace and all that is in them, and the index."""
    found = _Contents()
    for item in inventory(store, namespace):
        parts = item.key.split("/")
        if parts[:2] == [namespace, INDEX_FOLDER]:
            found.index[item.key] = item
        if len(parts) > _UPLOAD_PARTS and parts[:2] == [namespace, UPLOADS_FOLDER] and UPLOAD.fullmatch(parts[2]):
            found.uploads.setdefault("/".join(parts[:_UPLOAD_PARTS]), []).append(item)
        if len(parts) <= 2 or parts[0] != namespace or not _UID.fullmatch(parts[1]):
            continue
        job = found.jobs.setdefault("/".join(parts[:2]), _Found())
        if len(parts) > _ATTEMPT_PARTS and _ATTEMPT.fullmatch(parts[3]):
            job.attempts.setdefault("/".join(parts[:_ATTEMPT_PARTS]), []).append(item)
        else:
            job.others.append(item)
    return found


def _stored_job(store: Store, folder: str, found: _Found, now: datetime) -> StoredJob:
    mark = f"{folder}/{MARK_NAME}"
    marked = any(item.key == mark for item in found.others)
    return StoredJob(
        folder=folder,
        attempts=tuple(_stored_attempt(store, key, found) for key in sorted(found.attempts)),
        absent_since=_read_mark(store, mark, now) if marked else None,
        other_bytes=sum(item.bytes for item in found.others),
    )


def _stored_attempt(store: Store, folder: str, found: _Found) -> StoredAttempt:
    items, key = found.attempts[folder], f"{folder}/{MANIFEST_NAME}"
    published = any(item.key == key for item in items)
    if published and (noted := _note(store, key, folder)) is not None:
        found.notes[folder] = noted
    known = found.notes.get(folder)
    return StoredAttempt(
        folder=folder,
        bytes=sum(item.bytes for item in items),
        newest=max(item.written for item in items),
        published=published,
        expires=known.attempt.expires_time if known is not None else None,
        remnant_bytes=sum(item.bytes for item in items if item.key.startswith(f"{folder}/{PARTIAL_FOLDER}/")),
        intermediate=known is not None and known.intermediate,
    )


def _note(store: Store, key: str, folder: str) -> Noted | None:
    """What the manifest says; one that cannot be read keeps everything."""
    try:
        content = store.read(key, MAX_MANIFEST_BYTES)
        return note(Manifest.read(content), folder) if content is not None else None
    except (ValidationError, PhaseError, OverflowError) as error:  # the last: a time that UTC does not have
        _log.warning("%s cannot be read, so its job is kept: %s", key, type(error).__name__)
        return None


def _read_mark(store: Store, key: str, now: datetime) -> datetime:
    """Since when the job is absent. A mark that cannot be read, or lies ahead, counts from now on."""
    try:
        content = store.read(key, MAX_MARK_BYTES)
        since = datetime.fromisoformat(json.loads(content or b"{}")["absentSince"])
    except (ValueError, KeyError, TypeError, PhaseError):
        _log.warning("%s cannot be read; the time counts from now on", key)
        return now
    return min(now, since if since.tzinfo is not None else since.replace(tzinfo=UTC))


def _apply(
    store: Store, plan: SweepPlan, contents: dict[str, _Found], now: datetime, *, dry_run: bool
) -> list[tuple[Removal, PhaseError]]:
    """Do what is planned; what could not be removed. A folder that one job made so does not keep all others."""
    failed = []
    for removal in plan.held_back:
        _log.warning("held back %s (%d bytes): a pass removes a share of the store at most", *_words(removal))
    for removal in plan.removals:
        _log.info("%s %s (%d bytes): %s", "would remove" if dry_run else "removing", *_words(removal), removal.why)
        if dry_run:
            continue
        try:
            _remove(store, removal, contents)
        except PhaseError as error:
            if store.root is None:  # a bucket fails as a whole
                raise
            _log.warning("%s was not removed: %s", removal.folder, error.message)
            failed.append((removal, error))
    if dry_run:
        return failed
    content = json.dumps({"absentSince": format_time(now)}).encode()
    for folder in plan.mark:
        store.write(f"{folder}/{MARK_NAME}", content)
    for folder in plan.unmark:
        store.delete(f"{folder}/{MARK_NAME}")
    return failed


def _remove_uploads(
    store: Store, contents: _Contents, live: LiveJobs, now: datetime, *, dry_run: bool
) -> list[tuple[Removal, PhaseError]]:
    """Uploads that no job wants any more; what could not be removed. They take nothing of the share of a pass."""
    stored = [
        StoredUpload(folder, sum(item.bytes for item in items), record.written)
        for folder, items in contents.uploads.items()
        for record in items
        if record.key == f"{folder}/{RECORD}" and not record.folder
    ]
    failed = []
    for each in unused(stored, live.uploads, live.references, now):
        why = f"no job needs it, and it was last used at {each.used:%Y-%m-%dT%H:%MZ}"
        _log.info(
            "%s upload %s (%d bytes): %s", "would remove" if dry_run else "removing", each.folder, each.bytes, why
        )
        if dry_run:
            continue
        try:  # the record last: what a pass that was killed leaves is an upload still
            items = contents.uploads[each.folder]
            remove(store, sorted(items, key=lambda item: item.key.endswith(f"/{RECORD}")))
            remove_empty_folders(store, each.folder)
        except PhaseError as error:
            failed.append((Removal(Kind.UPLOAD, each.folder, each.bytes, why), error))
    return failed


def _write_index(store: Store, contents: _Contents, plan: SweepPlan, live: LiveJobs) -> None:
    """Bring the index up to date with the folders that remain."""
    gone = {removal.folder for removal in plan.removals}
    wanted, keys = set(), keys_by_file(contents.index)
    for folder, found in contents.jobs.items():
        if folder in gone or not found.notes:
            continue
        notes = [noted for attempt, noted in found.notes.items() if attempt not in gone]
        newest = max(item.written for attempt in found.notes for item in found.attempts[attempt])
        seen = live.seen.get(folder.rpartition("/")[2])
        entry = index_job(folder, notes, newest, seen, keys)
        if entry is None:
            continue
        wanted.add(entry.key)
        stored = contents.index.get(entry.key)
        if len(notes) < len(found.notes) or outdated(entry, stored, seen):
            before = _read_index(store, entry.key) if stored is not None and seen is None else None
            record = with_last_state(entry, before)
            store.write(entry.key, json.dumps(record.to_wire(), ensure_ascii=False, indent=1).encode() + b"\n")
    lost = strays(contents.index, frozenset(wanted))
    remove(store, [contents.index[key] for key in lost])
    for folder in {key.rpartition("/")[0] for key in lost}:
        remove_empty_folders(store, folder)


def _read_index(store: Store, key: str) -> bytes | None:
    """What an earlier pass wrote; None for what it cannot have written."""
    try:
        return store.read(key, MAX_RECORD_BYTES)
    except PhaseError as error:
        if error.reason is Reason.CHECKSUM_MISMATCH:  # it is too large
            return None
        raise


def _words(removal: Removal) -> tuple[str, int]:
    return f"{removal.kind.value} {removal.folder}", removal.bytes


def _remove(store: Store, removal: Removal, contents: dict[str, _Found]) -> None:
    """Manifests first: what is left by a pass that was killed is an attempt without one, and goes a day later."""
    if removal.kind is Kind.JOB:
        found = contents[removal.folder]
        items = [item for each in found.attempts.values() for item in each] + found.others
    else:
        items = contents[removal.folder.rpartition("/")[0].rpartition("/")[0]].attempts[removal.folder]
    assert all(item.key.startswith(f"{removal.folder}/") for item in items)
    remove(store, sorted(items, key=lambda item: (not item.key.endswith(f"/{MANIFEST_NAME}"), item.key)))
    remove_empty_folders(store, removal.folder)
