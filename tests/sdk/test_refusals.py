"""/v1/videos with the unmodified SDKs: errors of the right class, and nothing done twice."""

import base64
import io
from typing import Any
from uuid import uuid4

import pytest
from PIL import Image

from accounts.roles import Scope
from jobs.models import Job
from tests.sdk import site as sites
from tests.sdk.client import Sdk, file
from tests.sdk.site import Site

pytestmark = [pytest.mark.whole, pytest.mark.django_db]
QUICK = {"steps": 4, "seed": 7}


def jobs_with(prompt: str) -> int:
    return Job.objects.filter(request__prompt=prompt).count()


@pytest.fixture
def prompt() -> str:
    """One that no other test uses."""
    return f"a red circle moving right {uuid4().hex[:8]}"


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"seconds": "8"}, "seconds"),
        ({"size": "1280x720"}, "size"),
        ({"model": "sora-2"}, "model"),
        ({"extra_body": {"n": 4}}, "n"),
        ({"extra_body": {"steps": "many"}}, "steps"),
        ({"extra_body": {"guidance_scale": {"a": 1}}}, "guidance_scale"),
    ],
)
def test_nonsense_is_a_bad_request_that_names_its_field(
    fields: dict[str, Any], param: str, sdk: Sdk, prompt: str
) -> None:
    wrong = sdk("videos.create", prompt=prompt, **fields).wrong
    assert (wrong["class"], wrong["status_code"]) == ("BadRequestError", 400)
    assert (wrong["param"], wrong["type"]) == (param, "invalid_request_error")
    assert wrong["code"]
    assert wrong["request_id"].startswith("req_")
    assert jobs_with(prompt) == 0


def test_who_may_not_gets_the_class_that_says_so(sdk: Sdk, prompt: str) -> None:
    made = sdk("videos.create", prompt=prompt, extra_body=QUICK).fine
    wrong = sdk("videos.list", token="t2v_nobody", retries=2).wrong
    assert (wrong["class"], wrong["code"]) == ("AuthenticationError", "authentication_failed")
    _, reader = sites.person(f"reader-{uuid4().hex[:8]}", Scope.JOBS_READ)
    wrong = sdk("videos.create", prompt=prompt, token=reader, retries=2).wrong
    assert (wrong["class"], wrong["code"]) == ("PermissionDeniedError", "insufficient_scope")
    assert wrong["type"] == "permission_error"
    for verb in ("videos.retrieve", "videos.delete", "videos.download_content"):
        wrong = sdk(verb, video_id=made["id"], token=reader).wrong
        accepted = {"NotFoundError", "PermissionDeniedError"}
        assert wrong["class"] in accepted, verb
    assert sdk("videos.retrieve", video_id="video_nothing").wrong["class"] == "NotFoundError"
    assert jobs_with(prompt) == 1


def test_what_no_model_can_do_is_said_and_not_missing(sdk: Sdk) -> None:
    made = {"id": f"video_{uuid4().hex}"}
    for verb, args in (
        ("videos.edit", {"prompt": "x", "video": made}),
        ("videos.edit", {"prompt": "x", "video": file(b"film", "a.mp4")}),
        ("videos.extend", {"prompt": "x", "seconds": "4", "video": made}),
        ("videos.create_character", {"name": "x", "video": file(b"film", "a.mp4")}),
        ("videos.get_character", {"character_id": "char_1"}),
    ):
        wrong = sdk(verb, **args).wrong
        if sdk.name.startswith("python") and args.get("video") is made:
            assert wrong["class"] == "RuntimeError", "it takes files alone, and asks nobody"
            continue
        assert (wrong["class"], wrong["code"]) == ("BadRequestError", "unsupported_by_model"), verb


def test_a_picture_is_looked_at_before_it_is_refused(sdk: Sdk, prompt: str) -> None:
    out = io.BytesIO()
    Image.new("RGB", (32, 32), "red").save(out, "WEBP")
    good = "data:image/webp;base64," + base64.b64encode(out.getvalue()).decode()
    for reference, code in (
        (file(out.getvalue()), "unsupported_by_model"),
        ({"image_url": good}, "unsupported_by_model"),
        (file(b"GIF89a"), "bad_image"),
        ({"image_url": "https://example.com/a.png"}, "bad_image"),
        ({"file_id": "file-1"}, "bad_image"),
    ):
        wrong = sdk("videos.create", prompt=prompt, input_reference=reference).wrong
        if sdk.name.startswith("python") and "$file" not in reference:
            assert wrong["class"] == "RuntimeError", "it takes files alone, and asks nobody"
            continue
        assert (wrong["class"], wrong["code"]) == ("BadRequestError", code), reference
        assert wrong["param"] == "input_reference"
    assert jobs_with(prompt) == 0


def test_the_same_key_is_answered_again_and_another_body_is_a_conflict(
    sdk: Sdk, prompt: str, site: Site
) -> None:
    key = {"Idempotency-Key": uuid4().hex}
    first = sdk("videos.create", prompt=prompt, extra_headers=key, extra_body=QUICK)
    again = sdk("videos.create", prompt=prompt, extra_headers=key, extra_body=QUICK)
    assert again.fine == first.fine
    assert again.headers["idempotency-replayed"] == "true"
    before = len(site.balancer.seen)
    other = sdk("videos.create", prompt="another", extra_headers=key, retries=2).wrong
    assert (other["class"], other["code"]) == ("ConflictError", "idempotency_key_reused")
    assert len(site.balancer.since(before)) == 1, "it was not sent again"
    assert jobs_with(prompt) == 1


def test_a_retry_without_a_key_after_a_cut_finds_its_job(sdk: Sdk, prompt: str, site: Site) -> None:
    before = len(site.balancer.seen)
    site.balancer.cut_next()
    video = sdk("videos.create", prompt=prompt, extra_body=QUICK, retries=2).fine
    lost, found = site.balancer.since(before)
    counts = [each.headers["X-Stainless-Retry-Count"] for each in (lost, found)]
    assert (counts, lost.cut, found.cut) == (["0", "1"], True, False)
    assert {lost.replica, found.replica} == {0, 1}
    assert (lost.headers["Idempotency-Key"], found.headers["Idempotency-Key"]) == (None, None)
    assert jobs_with(prompt) == 1
    assert Job.objects.get(request__prompt=prompt).pk.hex == video["id"].removeprefix("video_")


def test_fifty_posts_with_one_key_make_one_job(sdk: Sdk, prompt: str) -> None:
    key = {"Idempotency-Key": uuid4().hex}
    answers = sdk.many(50, "videos.create", prompt=prompt, extra_headers=key, extra_body=QUICK)
    assert len({answer.fine["id"] for answer in answers}) == 1
    assert jobs_with(prompt) == 1


def test_twelve_posts_of_one_prompt_without_a_key_make_twelve(sdk: Sdk, prompt: str) -> None:
    answers = sdk.many(12, "videos.create", prompt=prompt, extra_body={"steps": 4})
    assert len({answer.fine["id"] for answer in answers}) == 12
    assert jobs_with(prompt) == 12


def test_a_quota_is_a_rate_limit_error_that_is_not_sent_again(
    sdk: Sdk, prompt: str, full: str, site: Site
) -> None:
    before = len(site.balancer.seen)
    wrong = sdk("videos.create", prompt=prompt, token=full, retries=2).wrong
    assert (wrong["class"], wrong["status_code"]) == ("RateLimitError", 429)
    assert (wrong["type"], wrong["code"]) == ("rate_limit_error", "too_many_jobs")
    assert wrong["headers"]["x-should-retry"] == "false"
    assert int(wrong["headers"]["retry-after"]) > 0
    assert len(site.balancer.since(before)) == 1, "it was not sent again"
