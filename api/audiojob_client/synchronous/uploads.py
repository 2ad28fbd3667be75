"""Uploads: a file goes in by parts, and is then the source of jobs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from audiojob_client import calls
from audiojob_client.calls import request
from audiojob_client.errors import AudiojobError, UploadBroken
from audiojob_client.files import content_digest, media_type_of, part_of, sha256_of
from audiojob_client.models import Upload, read
from audiojob_client.synchronous.transport import Transport
from audiojob_client.waiting import run

Progress = Callable[[int, int], None]
"""Told the bytes that are there, and all."""


class Uploads:
    """``client.uploads``."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def send(self, path: Path | str, *, resume: str | None = None, progress: Progress | None = None) -> Upload:
        """A whole file, with its checksum. Its ``id`` is what ``source: {"upload": …}`` names.

        ``resume`` is the id of one that broke off, which goes on with the parts that lack. Raises
        :class:`UploadBroken` with that id.
        """
        file = Path(path)
        upload = self.announce_file(file) if resume is None else self.get(resume)
        if upload.complete:
            return upload
        try:
            size = (run(file.stat)).st_size
            if size != upload.bytes:
                raise AudiojobError(f"{file.name} has {size} bytes, and {upload.bytes} were announced")
            self._send_parts(file, upload, progress)
            return self.complete(upload.id)
        except AudiojobError as error:
            raise UploadBroken(upload.id, error) from error

    def announce_file(self, path: Path) -> Upload:
        """Announce a file by its name, its length and its sha256, which reads it once."""
        size, sha256 = (run(path.stat)).st_size, run(sha256_of, path)
        return self.announce(path.name, size, media_type=media_type_of(path.name), sha256=sha256)

    def announce(
        self, name: str, size: int, *, media_type: str = "application/octet-stream", sha256: str | None = None
    ) -> Upload:
        """A new upload, whose parts are sent by :meth:`send_part`."""
        body = {"name": name, "bytes": size, "mediaType": media_type}
        body |= {} if sha256 is None else {"sha256": sha256}
        return read(Upload, self._transport.send(request(calls.ANNOUNCE_UPLOAD, body=body)))

    def send_part(self, upload: str, part: int, content: bytes) -> None:
        """Part ``part``, from 1. The same bytes again are the same part."""
        names: dict[str, str | int] = {"upload": upload, "part": part}
        headers = {calls.DIGEST: content_digest(content)}
        self._transport.send(request(calls.SEND_PART, names, headers=headers, body=content))

    def complete(self, upload: str) -> Upload:
        """Make the parts a file that jobs can read. Raises :class:`Conflict` that names parts that lack."""
        return read(Upload, self._transport.send(request(calls.COMPLETE_UPLOAD, {"upload": upload})))

    def get(self, upload: str) -> Upload:
        """With the parts that are there."""
        return read(Upload, self._transport.send(request(calls.GET_UPLOAD, {"upload": upload})))

    def remove(self, upload: str) -> None:
        """Remove it. Raises :class:`Conflict` while a job that has not succeeded names it."""
        self._transport.send(request(calls.REMOVE_UPLOAD, {"upload": upload}))

    def _send_parts(self, file: Path, upload: Upload, progress: Progress | None) -> None:
        there = set(upload.parts)
        for number in range(1, upload.part_count + 1):
            if number not in there:
                self.send_part(upload.id, number, run(part_of, file, number, upload.part_bytes))
                there.add(number)
            if progress is not None:
                progress(min(number * upload.part_bytes, upload.bytes), upload.bytes)
