"""The files of a video under /v1/videos/ID/content."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.conf import LazySettings
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.test import AsyncClient

from accounts import actions as accounts
from accounts.models import User
from accounts.roles import Scope
from jobs import actions, artifacts
from jobs.actions import Claim
from jobs.artifacts import Stored
from jobs.models import Job
from jobs.openai_shapes import video_id

pytestmark = pytest.mark.django_db(transaction=True)
FILES = {"video.mp4": b"film " * 100, "poster.png": b"png", "sprite.jpg": b"jpg"}


@pytest.fixture
def done(submit: Callable[..., Job], claim: Callable[..., Claim], media: Path) -> str:
    """The id of a video whose files are there."""
    job, held = submit(), claim()
    stored = []
    for name, content in FILES.items():
        key = artifacts.key_for(job.pk, held.attempt, name)
        default_storage.save(key, ContentFile(content))
        kind = artifacts.CONTENT_TYPES[name]
        stored.append(
            Stored(name=name, key=key, content_type=kind, size=len(content), sha256=64 * "0")
        )
    actions.succeed(held, stored)
    return video_id(job.pk)


@pytest.fixture
async def get(async_db: None, alice: User) -> Callable[..., Any]:
    """A GET by a token to read."""
    client = AsyncClient()
    issue = sync_to_async(accounts.issue_token)
    _, token = await issue(alice, name="test", scopes=[Scope.JOBS_READ])

    async def _get(path: str, query: Any = None, **headers: str) -> Any:
        sent = {"Authorization": f"Bearer {token}"} | headers
        return await client.get(f"/v1/videos/{path}", query, headers=sent)

    return _get


async def body_of(answer: Any) -> bytes:
    return b"".join([chunk async for chunk in answer.streaming_content])


@pytest.mark.parametrize(
    ("variant", "name"),
    [
        (None, "video.mp4"),
        ("video", "video.mp4"),
        ("thumbnail", "poster.png"),
        ("spritesheet", "sprite.jpg"),
    ],
)
async def test_content_has_three_variants_whatever_accept_says(
    variant: str | None, name: str, done: str, get: Callable[..., Any]
) -> None:
    query = {} if variant is None else {"variant": variant}
    for accept in ("application/binary", "*/*", "video/mp4", "text/html"):
        answer = await get(f"{done}/content", query, Accept=accept)
        assert answer.status_code == 200, accept
        assert answer["Content-Type"] == artifacts.CONTENT_TYPES[name]
        assert await body_of(answer) == FILES[name]
        assert done in answer["Content-Disposition"]


async def test_content_by_range_and_what_lies_outside(done: str, get: Callable[..., Any]) -> None:
    answer = await get(f"{done}/content", Range="bytes=5-9")
    assert (answer.status_code, answer["Content-Range"]) == (206, "bytes 5-9/500")
    assert await body_of(answer) == FILES["video.mp4"][5:10]
    answer = await get(f"{done}/content", Range="bytes=900-")
    assert (answer.status_code, answer["Content-Range"]) == (416, "bytes */500")
    assert answer.json()["error"]["code"] == "bad_range"
    answer = await get(f"{done}/content", {"variant": "gif"})
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "variant")


async def test_content_before_completion_is_a_404_of_its_own_code(
    submit: Callable[..., Job], get: Callable[..., Any]
) -> None:
    waiting = await sync_to_async(submit)()
    answer = await get(f"{video_id(waiting.pk)}/content")
    error = answer.json()["error"]
    assert (answer.status_code, error["code"]) == (404, "not_ready")
    assert error["type"] == "invalid_request_error"


async def test_content_that_is_gone_from_storage_is_a_404_in_the_same_shape(
    done: str, get: Callable[..., Any], media: Path
) -> None:
    next(media.rglob("video.mp4")).unlink()  # noqa: ASYNC240 - of a test
    answer = await get(f"{done}/content")
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "not_found")


async def test_content_lies_on_s3_by_a_link_that_is_made_for_this_answer(
    done: str,
    get: Callable[..., Any],
    settings: LazySettings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made: list[dict[str, str]] = []

    def url(self: object, name: str, parameters: dict[str, str]) -> str:
        made.append(parameters)
        return f"https://s3.example/{name}?signature={len(made)}"

    settings.S3_BUCKET = "videos"
    monkeypatch.setattr("jobs.storage.Folder.url", url, raising=False)
    first = await get(f"{done}/content")
    second = await get(f"{done}/content", {"variant": "thumbnail"})
    assert (first.status_code, first["Cache-Control"]) == (302, "no-store")
    assert first["Location"].startswith("https://s3.example/jobs/")
    assert first["Location"].endswith("video.mp4?signature=1")
    assert second["Location"].endswith("poster.png?signature=2")
    assert f"{done}.mp4" in made[0]["ResponseContentDisposition"]
