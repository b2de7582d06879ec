"""Files of jobs: keys, put, signed link. The key carries the attempt: nothing is overwritten."""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

from django.conf import settings
from django.core.files import File
from django.core.files.storage import default_storage

from jobs.models import Artifact

CONTENT_TYPES = {"video.mp4": "video/mp4", "poster.png": "image/png"}


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


def put(job: UUID, attempt: int, name: str, path: Path) -> Stored:
    """Uploads a file. Raises StorageConflict, OSError, or the storage's own errors."""
    key = key_for(job, attempt, name)
    with path.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        size = path.stat().st_size
        file.seek(0)
        upload = File(file, name=name)
        upload.content_type = CONTENT_TYPES[name]  # type: ignore[attr-defined]  # storages reads it
        saved = default_storage.save(key, upload)
    if saved != key:
        default_storage.delete(saved)
        raise StorageConflict(f"{key} exists already")
    if default_storage.size(key) != size:
        raise StorageConflict(f"{key} has another size than what was sent")
    return Stored(name=name, key=key, content_type=CONTENT_TYPES[name], size=size, sha256=sha256)


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
