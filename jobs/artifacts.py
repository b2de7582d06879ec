"""Files of jobs: keys, put, fetch, signed link. A key carries the attempt and is written once."""

import hashlib
import io
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID

from boto3.exceptions import Boto3Error
from botocore.exceptions import BotoCoreError, ClientError
from django.conf import settings
from django.core.files import File
from django.core.files.storage import default_storage
from s3transfer.exceptions import RetriesExceededError

from jobs.errors import DISK_FULL_ERRNOS
from jobs.metrics import instruments
from jobs.models import Artifact

VIDEO = "video.mp4"
CONTENT_TYPES = {  # of all that people may fetch
    VIDEO: "video/mp4",
    "poster.png": "image/png",
    "sprite.jpg": "image/jpeg",
    "strip.jpg": "image/jpeg",
}
READ_BYTES = 1 << 20


class StorageConflict(Exception):
    """Something else lies under the key of this attempt, or what was put came back otherwise."""


class StorageUnavailable(Exception):
    """The storage did not take, give or list a file now; later it may."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """A file that lies in storage."""

    name: str  # one of CONTENT_TYPES, or a checkpoint's
    key: str
    content_type: str
    size: int  # bytes
    sha256: str
    # What a page needs to show it: of the two grids their layout (gpu_worker/sheets.py).
    facts: Mapping[str, Any] = field(default_factory=dict)


def folder_for(job: UUID, attempt: int) -> str:
    return f"jobs/{job}/{attempt}"


def key_for(job: UUID, attempt: int, name: str) -> str:
    return f"{folder_for(job, attempt)}/{name}"


@contextmanager
def answering(operation: str = "") -> Iterator[None]:
    """Turns what a storage says when it is out of order into StorageUnavailable.

    A full disk (OSError), a missing and an existing file come out as they are. operation: as the
    metrics tell it; empty where the time is not the storage's own.
    """
    began = time.perf_counter()
    failed = False
    try:
        yield
    except (FileNotFoundError, FileExistsError):
        raise
    except (BotoCoreError, ClientError, Boto3Error, RetriesExceededError) as error:
        failed = True
        raise StorageUnavailable(_words(error)) from error
    except OSError as error:
        failed = True
        if error.errno in DISK_FULL_ERRNOS:
            raise
        raise StorageUnavailable(_words(error)) from error
    finally:
        if failed and operation:
            instruments.storage_failed(operation)
        elif operation:
            instruments.storage_answered(operation, time.perf_counter() - began)


def _words(error: Exception) -> str:
    """Without what may stand in a message: addresses, keys, paths."""
    if isinstance(error, ClientError):
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", "?")
        return f"{error.response.get('Error', {}).get('Code', 'error')}, HTTP {status}"
    return type(error).__name__


def put(
    job: UUID,
    attempt: int,
    name: str,
    path: Path,
    *,
    sha256: str | None = None,
    facts: Mapping[str, Any] | None = None,
    on_read: Callable[[], object] = lambda: None,
) -> Stored:
    """Uploads a file in one pass; size and hash are those of the bytes that were sent.

    The same bytes under the same key are no conflict: an earlier try whose answer was lost.
    sha256: what it must be, where that is known; facts go along untouched; on_read is called as the
    upload gets on.
    Raises StorageConflict, StorageUnavailable, and OSError for a full disk.
    """
    key = key_for(job, attempt, name)
    content_type = CONTENT_TYPES.get(name, "application/octet-stream")
    with answering("put"):
        with _Hashed(path, on_read) as file:
            upload = File(file, name=name)
            upload.content_type = content_type  # type: ignore[attr-defined]  # storages reads it
            fresh = _save(key, upload)
            size, found = file.finish()
        if found != (sha256 or found):
            raise StorageConflict(f"{key} is not the file that was made")
        if not (size_of(key) == size if fresh else _is_same(key, size, found)):
            raise StorageConflict(f"{key} is another file than what was sent")
    return Stored(
        name=name,
        key=key,
        content_type=content_type,
        size=size,
        sha256=found,
        facts=facts or {},
    )


def _save(key: str, upload: "File[bytes]") -> bool:
    """Whether it was written; False when the key is taken."""
    try:
        saved = default_storage.save(key, upload)
    except FileExistsError:
        return False
    except OSError:
        default_storage.delete(key)  # half a file on a full disk helps nobody
        raise
    assert saved == key, "both storages say FileExistsError instead"
    return True


def size_of(key: str) -> int | None:
    """Bytes; None when there is no such file. Raises StorageUnavailable."""
    with answering("size"):
        try:
            return default_storage.size(key)
        except FileNotFoundError:
            return None


def _is_same(key: str, size: int, sha256: str) -> bool:
    return size_of(key) == size and sha256_of(key) == sha256


def sha256_of(key: str) -> str:
    """Reads all of it. Raises FileNotFoundError and StorageUnavailable."""
    with answering(), default_storage.open(key, "rb") as file:
        return _hash(iter(lambda: file.read(READ_BYTES), b""))


def _hash(chunks: Iterator[bytes]) -> str:
    digest = hashlib.sha256()
    for chunk in chunks:
        digest.update(chunk)
    return digest.hexdigest()


def fetch(key: str, path: Path, *, size: int, sha256: str) -> None:
    """Downloads a file whose size and hash are known.

    Raises FileNotFoundError, StorageConflict when it is another one, StorageUnavailable, and
    OSError for a full disk.
    """
    with answering("get"), default_storage.open(key, "rb") as file, path.open("wb") as copy:
        digest, came = hashlib.sha256(), 0
        while came <= size and (chunk := file.read(READ_BYTES)):
            digest.update(chunk)
            copy.write(chunk)
            came += len(chunk)
    if (came, digest.hexdigest()) != (size, sha256):
        raise StorageConflict(f"{key} is another file than what was put there")


def delete(key: str) -> None:
    """Nothing happens when it is gone already. Raises StorageUnavailable."""
    with answering("delete"):
        default_storage.delete(key)


def names_in(job: UUID, attempt: int) -> list[str]:
    """What lies in storage of one attempt. Raises StorageUnavailable."""
    with answering("list"):
        try:
            _, names = default_storage.listdir(folder_for(job, attempt))
        except FileNotFoundError:
            return []  # a file system has no folder where nothing was put
    return names


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
