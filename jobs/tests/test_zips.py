"""Many clips as one archive: whole, of a known length, and never broken by what is not there."""

import io
import json
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import Any, cast
from uuid import uuid4
from zipfile import ZipFile

import pytest
from asgiref.sync import async_to_sync
from django.http import StreamingHttpResponse
from django.test import Client

from accounts.models import User
from jobs import actions, zips
from jobs.actions import Claim
from jobs.artifacts import Stored
from jobs.models import Artifact, Job
from jobs.storage import Folder

pytestmark = pytest.mark.django_db
Clip = Callable[..., Job]


@pytest.fixture
def clip(
    submit: Callable[..., Job],
    claim: Callable[..., Claim],
    put: Callable[[Claim, str], Stored],
    alice: User,
    client: Client,
) -> Clip:
    """A clip of alice's, whose files lie in storage; she is signed in."""
    client.force_login(alice)

    def _clip(prompt: str = "a red circle, moving right") -> Job:
        job = submit(prompt)
        held = claim()
        actions.succeed(held, [put(held, name) for name in ("video.mp4", "poster.png")])
        return Job.objects.select_related("request").get(pk=job.pk)

    return _clip


@async_to_sync
async def read(parts: AsyncIterator[bytes]) -> bytes:
    return b"".join([part async for part in parts])


def download(client: Client, *jobs: object) -> tuple[Any, bytes]:
    answer = cast(
        StreamingHttpResponse, client.post("/library/zip", {"job": [str(job) for job in jobs]})
    )
    assert answer.status_code == 200, answer
    return answer, read(cast(AsyncIterator[bytes], answer.streaming_content))


def opened(content: bytes) -> ZipFile:
    archive = ZipFile(io.BytesIO(content))
    assert archive.testzip() is None
    return archive


def test_an_archive_holds_video_poster_and_recipe_of_each_clip(clip: Clip, client: Client) -> None:
    one, two = clip(), clip("Ünïcode? «星»")
    answer, content = download(client, one.pk, two.pk, one.pk)
    assert answer["Content-Type"] == "application/zip"
    assert answer["Content-Disposition"].startswith('attachment; filename="2-clips-20')
    assert answer["Content-Length"] == str(len(content))
    archive, day = opened(content), f"{one.created_at:%Y-%m-%d}"
    names = [f"{day}-a-red-circle-moving-right-{one.pk.hex[:8]}", f"{day}-unicode-{two.pk.hex[:8]}"]
    assert sorted(archive.namelist()) == sorted(
        f"{name}.{kind}" for name in names for kind in ("mp4", "png", "json")
    )
    assert archive.read(f"{names[0]}.mp4") == f"{one.pk} 1 video.mp4".encode()
    recipe = json.loads(archive.read(f"{names[1]}.json"))
    assert (recipe["job"], recipe["spec"]["prompt"]) == (str(two.pk), "Ünïcode? «星»")
    assert recipe["attempt"]["number"] == 1


def test_what_is_not_there_is_named_and_breaks_no_archive(
    clip: Clip, client: Client, submit: Callable[..., Job], media: Path, charlie: User
) -> None:
    lost, waiting = clip(), submit("a star that waits")
    foreign = actions.submit(owner=charlie, spec=lost.request.render_spec())
    (media / Artifact.objects.get(job=lost, name="video.mp4").key).unlink()
    answer, content = download(client, lost.pk, waiting.pk, foreign.pk)
    assert answer["Content-Length"] == str(len(content))
    archive = opened(content)
    assert sorted(name[-4:] for name in archive.namelist()) == [".png", ".txt", "json", "json"]
    told = archive.read("MISSING.txt").decode()
    assert f"{zips.name_of(lost)}.mp4: Storage has lost this file." in told
    assert "-a-star-that-waits-" in told
    assert "the job is queued" in told
    assert f"{foreign.pk}: There is no such job" in told


def test_what_storage_loses_while_it_is_sent_is_named_as_well(
    clip: Clip, client: Client, media: Path
) -> None:
    """As with S3, of which nobody knows beforehand."""
    jobs = [clip(), clip()]
    made = zips.bundle(jobs, {})
    (media / Artifact.objects.get(job=jobs[0], name="poster.png").key).unlink()
    archive = opened(read(zips.stream(made)))
    assert len(archive.namelist()) == 6
    assert f"{zips.name_of(jobs[0])}.png" in archive.read("MISSING.txt").decode()


def test_a_storage_that_does_not_answer_leaves_a_note(
    clip: Clip, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = zips.bundle([clip()], {})

    def away(storage: Folder, name: str, mode: str) -> None:
        raise OSError(5, "an input/output error")

    def nowhere(storage: Folder, name: str) -> None:
        raise OSError(5, "an input/output error")

    monkeypatch.setattr(Folder, "_open", away)
    archive = opened(read(zips.stream(made)))
    assert [name[-4:] for name in archive.namelist()] == ["json", ".txt"]
    monkeypatch.setattr(Folder, "size", nowhere)
    archive = opened(read(zips.stream(zips.checked(made))))
    assert [name[-4:] for name in archive.namelist()] == ["json", ".txt"]
    assert "did not give" in archive.read("MISSING.txt").decode()


def test_a_large_file_goes_through_in_parts(
    clip: Clip, media: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(zips, "PART", 1000)
    job = clip()
    path = media / Artifact.objects.get(job=job, name="video.mp4").key
    path.write_bytes(bytes(range(256)) * 400)
    made = zips.checked(zips.bundle([job], {}))
    parts: list[bytes] = []

    @async_to_sync
    async def collect() -> None:
        parts.extend([part async for part in zips.stream(made)])

    collect()
    assert max(map(len, parts)) < 2500
    assert len(b"".join(parts)) == zips.length(made)
    assert opened(b"".join(parts)).read(f"{zips.name_of(job)}.mp4") == path.read_bytes()


def test_who_goes_away_ends_it(clip: Clip, monkeypatch: pytest.MonkeyPatch) -> None:
    """And the file that is being read is closed: an open one would be a warning, so an error."""
    monkeypatch.setattr(zips, "PART", 4)
    made = zips.bundle([clip() for _ in range(2)], {})

    @async_to_sync
    async def leave() -> None:
        parts = zips.stream(made)
        await anext(parts)
        await parts.aclose()  # type: ignore[attr-defined]  # a generator has it

    leave()


def test_an_archive_beyond_four_gigabytes_is_written_in_longer_fields(clip: Clip) -> None:
    made = zips.bundle([clip()], {})
    (video, *rest) = made.entries
    large = zips.Bundle(entries=[replace(video, size=3 << 30), *rest])
    assert zips.length(large) is None
    assert opened(read(zips.stream(large))).read(video.name).endswith(b"video.mp4")


@pytest.mark.parametrize(
    ("jobs", "code", "status"),
    [
        ([], "bad_request", 400),
        (["no-id"], "bad_request", 400),
        ([uuid4() for _ in range(201)], "bad_request", 400),
        ([uuid4()], "not_found", 404),
    ],
)
def test_what_makes_no_archive_is_refused(
    jobs: list[object], code: str, status: int, clip: Clip, client: Client
) -> None:
    sent = {"job": [str(job) for job in jobs]}
    told = client.post("/library/zip", sent, headers={"accept": "application/json"})
    assert (told.status_code, told.json()["code"]) == (status, code)
    assert client.post("/library/zip", sent).status_code == 302


def test_an_archive_has_at_most_so_many_gigabytes(
    clip: Clip, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(zips, "_GIGABYTE", 10)
    sent = {"job": str(clip().pk)}
    told = client.post("/library/zip", sent, headers={"accept": "application/json"})
    assert (told.status_code, told.json()["code"]) == (413, "zip_too_large")


def test_an_archive_costs_two_queries_however_many(
    clip: Clip, django_assert_num_queries: Callable[[int], AbstractContextManager[Any]]
) -> None:
    jobs = [clip() for _ in range(3)]
    for several in (jobs[:1], jobs):
        with django_assert_num_queries(2):
            zips.bundle(several, {})
