"""Files of jobs: keys, put, signed link. The key carries the attempt: nothing is overwritten."""

import hashlib
import io
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

from django.conf import settings
from django.core.files import File
from django.core.files.storage import default_storage

from jobs.models import Artifact

CONTENT_TYPES = {
    "video.mp4": "video/mp4",
    "poster.png": "image/png",
    "sprite.jpg": "image/jpeg",
    "strip.jpg": "image/jpeg",
}


class StorageConflict(Exception):
    """Something else lies under the key of this attempt, or what was put came back otherwise."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """A file that lies in storage."""

    name: str  # one of CONTENT_TYPES
    key: str
    content_type: str
    size: int  # bytes
    sha256: str


def key_for(job: UUID, attempt: int, name: str) -> str:
    return f"jobs/{job}/{attempt}/{name}"


def put(
    job: UUID,
    attempt: int,
    name: str,
    path: Path,
    *,
    sha256: str | None = None,
    on_read: Callable[[], object] = lambda: None,
) -> Stored:
    """Uploads a file in one pass; size and hash are those of the bytes that were sent.

    sha256: what it must be, where that is known; on_read is called as the upload gets on.
    Raises StorageConflict, OSError, or the storage's own errors.
    """
    key = key_for(job, attempt, name)
    if default_storage.exists(key):
        raise StorageConflict(f"{key} exists already")
    with _Hashed(path, on_read) as file:
        upload = File(file, name=name)
        upload.content_type = CONTENT_TYPES[name]  # type: ignore[attr-defined]  # storages reads it
        try:
            saved = default_storage.save(key, upload)
        except OSError:
            default_storage.delete(key)  # half a file on a full disk helps nobody
            raise
        size, found = file.finish()
    if saved != key:
        default_storage.delete(saved)
        raise StorageConflict(f"{key} exists already")
    if default_storage.size(key) != size:
        raise StorageConflict(f"{key} has another size than what was sent")
    if found != (sha256 or found):
        raise StorageConflict(f"{key} is not the file that was made")
    return Stored(name=name, key=key, content_type=CONTENT_TYPES[name], size=size, sha256=found)


class _Hashed(io.FileIO):
    """A file that hashes what is read from it.

    S3's client seeks and reads some parts twice, for checksums of its own: each byte counts once.
    """

    def __init__(self, path: Path, on_read: Callable[[], object]) -> None:
        super().__init__(path, "rb")
        self._sha256, self._hashed, self._on_read = hashlib.sha256(), 0, on_read

    def read(self, size: int | None = -1, /) -> bytes:
        began = self.tell()
        content = super().read(-1 if size is None else size) or b""
        fresh = self._hashed - began  # where in content the unhashed bytes begin
        if 0 <= fresh < len(content):
            self._sha256.update(content[fresh:] if fresh else content)
            self._hashed = began + len(content)
        self._on_read()
        return content

    def finish(self) -> tuple[int, str]:
        """Size and hash, after reading what nobody has read."""
        self.seek(self._hashed)
        while self.read(1 << 20):
            pass
        return self._hashed, self._sha256.hexdigest()


def signed_link(artifact: Artifact, *, file_name: str | None) -> str | None:
    """A link of 5 minutes to the file itself; None where the site serves files (no S3).

    Made for each request and never kept. With a file_name the browser saves instead of showing.
    """
    if not settings.S3_BUCKET:
        return None
    parameters = {"ResponseContentType": artifact.content_type}
    if file_name is not None:
        parameters["ResponseContentDisposition"] = f'attachment; filename="{file_name}"'
    return str(default_storage.url(artifact.key, parameters=parameters))  # type: ignore[call-arg]
