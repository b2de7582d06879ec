"""Many clips as one ZIP, made while it is sent: no more of it than a part is ever in one place.

Written by the standard library's zipfile to what cannot be sought in. Nothing is compressed: videos
are already. What storage has lost, or who asks may not see, is named in a MISSING.txt.
"""

import json
from collections.abc import AsyncIterator, Generator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from uuid import UUID
from zipfile import ZIP_STORED, ZipFile, ZipInfo

from asgiref.sync import sync_to_async
from django.conf import settings
from django.core.files.storage import default_storage
from django.utils.text import slugify

from jobs import artifacts
from jobs.artifacts import VIDEO, StorageUnavailable, answering
from jobs.errors import Refusal, ZipTooLarge
from jobs.files_api import recipe_of
from jobs.models import Artifact, Attempt, Job

PART = 256 * 1024  # bytes read at a time
MISSING = "MISSING.txt"
_KINDS = {VIDEO: "mp4", "poster.png": "png"}
_MOST_SLUG = 40  # characters of a prompt in a name
_LARGE = 1 << 31  # bytes from which zipfile writes longer fields, which nobody counts beforehand
_GIGABYTE = 10**9


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A file of the archive: one in storage, or one that is written here."""

    name: str
    at: datetime
    size: int  # bytes
    key: str = ""
    content: bytes = b""

    def info(self) -> ZipInfo:
        at = max(self.at, datetime(1980, 1, 1, tzinfo=UTC))  # before that a ZIP has no time
        info = ZipInfo(self.name, date_time=at.astimezone(UTC).timetuple()[:6])
        info.external_attr = 0o644 << 16
        return info


@dataclass(frozen=True, slots=True, kw_only=True)
class Bundle:
    entries: Sequence[Entry]
    missing: Mapping[str, str] = field(default_factory=dict)  # by name, why it is not there

    @property
    def size(self) -> int:
        """Bytes of the files; names and the like come to 300 more for each."""
        return sum(entry.size for entry in self.entries)


def bundle(jobs: Sequence[Job], refused: Mapping[UUID, Refusal]) -> Bundle:
    """Video, poster and recipe of each. Two queries, however many. Raises ZipTooLarge."""
    files: dict[UUID, list[Artifact]] = {}
    for file in Artifact.objects.filter(job__in=jobs, name__in=_KINDS).order_by("-name"):
        files.setdefault(file.job_id, []).append(file)
    attempts = Attempt.objects.filter(job__in=jobs).order_by("number")
    newest = {attempt.job_id: attempt for attempt in attempts}
    entries: list[Entry] = []
    missing = {str(job): str(why) for job, why in refused.items()}
    for job in jobs:
        name, at = name_of(job), job.finished_at or job.created_at
        entries += [
            Entry(name=f"{name}.{_KINDS[file.name]}", at=at, size=file.size, key=file.key)
            for file in files.get(job.pk, ())
        ]
        if VIDEO not in {file.name for file in files.get(job.pk, ())}:
            missing[f"{name}.mp4"] = f"There is no video: the job is {job.state}."
        recipe = json.dumps(recipe_of(job, newest.get(job.pk)), indent=2, ensure_ascii=False)
        text = f"{recipe}\n".encode()
        entries.append(Entry(name=f"{name}.json", at=at, size=len(text), content=text))
    made = Bundle(entries=entries, missing=missing)
    if made.size > settings.T2V_ZIP_GB * _GIGABYTE:
        raise ZipTooLarge(settings.T2V_ZIP_GB, size=made.size)
    return made


def name_of(job: Job) -> str:
    """As 2026-11-26-a-red-circle-1a2b3c4d: by day, readable, and no two alike."""
    words = slugify(job.request.prompt)[:_MOST_SLUG].strip("-")
    return "-".join(part for part in (f"{job.created_at:%Y-%m-%d}", words, job.pk.hex[:8]) if part)


def checked(made: Bundle) -> Bundle:
    """With the sizes that the files have, and without those that are not there.

    Only a folder is asked: it answers at once, and S3 would be asked hundreds of times.
    """
    entries, missing = [], dict(made.missing)
    for entry in made.entries:
        try:
            size = artifacts.size_of(entry.key) if entry.key else entry.size
        except StorageUnavailable:
            missing[entry.name] = _AWAY
            continue
        if size is None:
            missing[entry.name] = _GONE
        else:
            entries.append(replace(entry, size=size))
    return Bundle(entries=entries, missing=missing)


def length(made: Bundle) -> int | None:
    """Bytes of the whole archive, if every file is there; None for one of 2 GiB and more."""
    if made.size >= _LARGE:
        return None
    empty = [replace(entry, key="", content=b"") for entry in made.entries]
    around = sum(map(len, _parts(Bundle(entries=empty, missing=made.missing))))
    return around + made.size


_GONE = "Storage has lost this file."
_AWAY = "Storage did not give this file; ask again later."
_SHORT = "Storage gave only a part of this file."


async def stream(made: Bundle) -> AsyncIterator[bytes]:
    """The archive. Who goes away ends it, and the file that is being read is closed."""
    parts = _parts(made)
    try:
        while (part := await sync_to_async(partial(next, parts, None))()) is not None:
            yield part
    finally:
        await sync_to_async(parts.close)()


def _parts(made: Bundle) -> Generator[bytes]:
    missing, sink = dict(made.missing), _Sink()
    with ZipFile(sink, "w", ZIP_STORED) as archive:
        for entry in made.entries:
            content = _content(entry, missing)
            first = next(content, None)
            if first is None:
                continue  # an archive has no file of which nothing is known
            with (
                closing(content),
                archive.open(entry.info(), "w", force_zip64=entry.size >= _LARGE) as file,
            ):
                file.write(first)
                yield sink.taken()
                for part in content:
                    file.write(part)
                    yield sink.taken()
        if missing:
            lines = [f"{name}: {why}" for name, why in missing.items()]
            text = "These are not in this archive:\n\n" + "\n".join(lines) + "\n"
            archive.writestr(_note(made), text)
    yield sink.taken()


def _note(made: Bundle) -> ZipInfo:
    newest = max((entry.at for entry in made.entries), default=datetime.now(UTC))
    return Entry(name=MISSING, at=newest, size=0).info()


def _content(entry: Entry, missing: dict[str, str]) -> Generator[bytes]:
    """Nothing, and why in missing, where storage has none of it."""
    if not entry.key:
        yield entry.content
        return
    begun = False
    try:
        with answering(), default_storage.open(entry.key, "rb") as file:
            while part := file.read(PART):
                begun = True
                yield part
            if not begun:
                yield b""
    except FileNotFoundError:
        missing[entry.name] = _GONE
    except StorageUnavailable:
        missing[entry.name] = _SHORT if begun else _AWAY


class _Sink:
    """What zipfile writes to: it keeps what was written until that is taken."""

    def __init__(self) -> None:
        self._written: list[bytes] = []

    def write(self, part: bytes, /) -> int:
        self._written.append(bytes(part))
        return len(part)

    def flush(self) -> None: ...

    def close(self) -> None: ...

    def taken(self) -> bytes:
        taken = b"".join(self._written)
        self._written.clear()
        return taken
