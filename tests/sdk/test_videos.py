"""/v1/videos with the unmodified SDKs, over two replicas and a real worker: what works.

Each name says what some other server gets wrong.
"""

import base64
import json
import time
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import httpx
import pytest
from django.db import transaction
from standardwebhooks import Webhook

from accounts.models import User
from jobs import actions, offer
from jobs.lifecycle import Outcome
from jobs.models import Attempt, Job
from jobs.openai_shapes import video_id
from tests.sdk.client import PYTHONS, Sdk, bytes_of
from tests.sdk.site import Site, until

pytestmark = [pytest.mark.whole, pytest.mark.django_db]
PROMPT = "a red circle moving right on a black background"
QUICK = {"steps": 4, "seed": 7}
LONG_STEPS = 160  # of 64×64, 19 frames: some seconds, so that there is something to see


def job_of(video: Any) -> Job:
    return Job.objects.select_related("request").get(pk=video["id"].removeprefix("video_"))


def test_a_video_is_made_seen_to_get_on_and_fetched_from_any_replica(sdk: Sdk, site: Site) -> None:
    before = len(site.balancer.seen)
    with site.still_worker():  # however long it takes to ask
        made = sdk(
            "videos.create",
            prompt=PROMPT,
            model="nano",
            seconds="1",
            size="64x64",
            extra_body={"steps": LONG_STEPS, "seed": 7},
        )
        early = sdk("videos.download_content", video_id=made.fine["id"]).wrong
    assert (early["class"], early["code"]) == ("NotFoundError", "not_ready")
    video = made.fine
    assert (video["object"], video["model"], video["seconds"]) == ("video", "nano", "1")
    assert (video["size"], video["prompt"], video["error"]) == ("64x64", PROMPT, None)
    assert made.headers["openai-poll-after-ms"].isdecimal()
    assert made.headers["x-request-id"]
    assert {"queue_position", "eta_seconds", "cost"} <= set(video), "extra keys survive"
    seen: list[tuple[str, int]] = []

    def finished() -> bool:
        now = sdk("videos.retrieve", video_id=video["id"]).fine
        seen.append((now["status"], now["progress"]))
        return now["status"] not in {"queued", "in_progress"}

    until(finished, 150)
    progress = [percent for _, percent in seen]
    assert progress == sorted(progress), "it never falls"
    assert any(0 < percent < 100 for status, percent in seen if status == "in_progress"), seen
    assert seen[-1] == ("completed", 100)
    assert all(percent < 100 for status, percent in seen if status != "completed")

    whole = sdk("videos.download_content", video_id=video["id"])
    assert bytes_of(whole)[4:8] == b"ftyp"
    assert whole.headers["content-type"] == "video/mp4"
    named = sdk("videos.download_content", video_id=video["id"], variant="video")
    assert named.ok == whole.ok
    poster = sdk("videos.download_content", video_id=video["id"], variant="thumbnail")
    assert bytes_of(poster).startswith(b"\x89PNG")
    sheet = sdk("videos.download_content", video_id=video["id"], variant="spritesheet")
    assert bytes_of(sheet).startswith(b"\xff\xd8")
    part = sdk(
        "videos.download_content", video_id=video["id"], extra_headers={"Range": "bytes=4-7"}
    )
    assert (part.status, bytes_of(part)) == (206, b"ftyp")

    mine = site.balancer.since(before)
    assert {each.replica for each in mine} == {0, 1}
    asked = [each.headers["Accept"] for each in mine if each.path.endswith("/content")]
    assert "application/binary" in asked


@pytest.mark.parametrize("anybody", PYTHONS, indirect=True)
def test_the_helpers_of_the_python_sdks_wait_until_the_end(sdk: Sdk) -> None:
    video = sdk("videos.create", prompt=PROMPT, extra_body=QUICK).fine
    done = sdk("videos.poll", video_id=video["id"]).fine
    assert (done["status"], done["progress"]) == ("completed", 100)
    assert done["completed_at"] >= done["created_at"]


@transaction.atomic
def failed(owner: User, *, code: str) -> Job:
    """A job of another pool, so that the real worker leaves it alone."""
    blank = dict.fromkeys(("model", "size", "frames", "steps", "guidance", "seed"))
    job = actions.submit(owner=owner, spec=offer.make_spec(prompt="It fails", **blank))
    Job.objects.filter(pk=job.pk).update(pool="elsewhere", max_attempts=1)
    held = actions.claim(worker="elsewhere/1", pool="elsewhere")
    assert held is not None
    actions.fail(held, code=code, message="It broke.", permanent=code == "bad_prompt")
    return job


@pytest.mark.parametrize(("code", "told"), [("bad_prompt", "bad_prompt"), ("broke", "parked")])
def test_a_failed_video_is_an_answer_and_no_error(
    code: str, told: str, sdk: Sdk, owner: User
) -> None:
    job = failed(owner, code=code)
    verb = "videos.retrieve" if sdk.name.startswith("node") else "videos.poll"
    video = sdk(verb, video_id=video_id(job.pk)).fine
    assert (video["status"], video["error"]["code"]) == ("failed", told)
    assert video["error"]["message"].startswith("It broke.")


def test_a_list_goes_on_after_its_first_page_while_more_are_made(sdk: Sdk, owner: User) -> None:
    ids = [
        sdk("videos.create", prompt=f"page {number}", extra_body=QUICK).fine["id"]
        for number in range(5)
    ]
    pages = sdk("videos.list", limit=2, order="desc", pages=True).fine
    seen = [video["id"] for page in pages for video in page]
    assert len(pages) >= 3
    assert seen[:5] == ids[::-1]
    assert len(seen) == len(set(seen)) == Job.objects.filter(owner=owner).kept().count()
    oldest_first = sdk("videos.list", limit=3, order="asc", pages=True).fine
    assert [video["id"] for page in oldest_first for video in page] == seen[::-1]
    first = sdk("videos.list", limit=2).fine
    assert (first["has_more"], first["last_id"]) == (True, ids[3])
    sdk("videos.create", prompt="made between two pages", extra_body=QUICK)
    second = sdk("videos.list", limit=2, after=first["last_id"]).fine
    assert [video["id"] for video in second["data"]] == [ids[2], ids[1]]


def test_deleting_a_running_video_stops_the_gpu_and_a_finished_one_goes(
    sdk: Sdk, owner: User
) -> None:
    done = sdk("videos.create", prompt=PROMPT, extra_body=QUICK).fine
    until(lambda: job_of(done).state == "succeeded", 150)
    running = sdk("videos.create", prompt=PROMPT, extra_body={"steps": 1000}).fine
    until(lambda: job_of(running).state == "running", 150)
    for video in (running, done):
        gone = sdk("videos.delete", video_id=video["id"]).fine
        assert gone == {"id": video["id"], "object": "video.deleted", "deleted": True}
        assert sdk("videos.retrieve", video_id=video["id"]).wrong["class"] == "NotFoundError"
    attempt = Attempt.objects.filter(job=job_of(running).pk)
    until(lambda: attempt.filter(outcome=Outcome.CANCELLED).exists())
    after = sdk("videos.create", prompt=PROMPT, extra_body=QUICK).fine
    until(lambda: job_of(after).state == "succeeded", 150)  # the GPU is free
    listed = sdk("videos.list", pages=True).fine
    assert not {running["id"], done["id"]} & {video["id"] for page in listed for video in page}


def test_a_remix_is_a_new_video_of_the_old_one(sdk: Sdk) -> None:
    source = sdk("videos.create", prompt=PROMPT, seconds="2", extra_body=QUICK).fine
    made = sdk("videos.remix", video_id=source["id"], prompt="a blue star bouncing").fine
    assert made["remixed_from_video_id"] == source["id"] != made["id"]
    assert (made["prompt"], made["seconds"]) == ("a blue star bouncing", "2")
    assert job_of(made).request.render_spec().seed == QUICK["seed"]


def test_models_are_listed(sdk: Sdk) -> None:
    listed = sdk("models.list").fine
    assert [model["id"] for model in listed["data"]] == list(offer.models())
    assert sdk("models.retrieve", model="nano").fine["object"] == "model"


def test_a_video_outlives_the_process_that_was_asked_for_it(sdk: Sdk, site: Site) -> None:
    video = sdk("videos.create", prompt=PROMPT, extra_body=QUICK).fine
    if sdk.name == "python-3.54.0":  # once is enough
        first = site.replicas[0]
        first.kill()
        first.start()
    for _ in range(2):  # one of each replica
        assert sdk("videos.retrieve", video_id=video["id"]).fine["id"] == video["id"]


@pytest.mark.parametrize("anybody", PYTHONS[:1], indirect=True)  # whose token it is, no more
def test_every_encoding_makes_the_same_video_on_a_real_server(sdk: Sdk, site: Site) -> None:
    fields = {"prompt": PROMPT, "seconds": "1", "steps": "4", "seed": "9", "size": "64x96"}
    headers = {"Authorization": f"Bearer {sdk.token}"}
    url = f"{site.base_url}/videos"
    with httpx.Client(headers=headers, timeout=60) as http:
        answers = [
            http.post(url, data=fields),
            http.post(url, json=fields),
            http.post(url, files={k: (None, v) for k, v in fields.items()}),
            http.post(
                url,
                content=iter([json.dumps(fields).encode()]),
                headers={"Content-Type": "application/json"},
            ),
        ]
    assert [answer.status_code for answer in answers] == [200] * 4, answers[-1].text
    specs = [job_of(answer.json()).request.spec for answer in answers]
    assert all(spec == specs[0] for spec in specs)


def test_a_signature_of_the_standard_is_verified_and_a_forged_one_is_not(sdk: Sdk) -> None:
    secret = "whsec_" + base64.b64encode(bytes(range(24))).decode()
    event = {
        "id": f"evt_{uuid4().hex}",
        "object": "event",
        "created_at": int(time.time()),
        "type": "video.completed",
        "data": {"id": video_id(uuid4())},
    }
    payload, now = json.dumps(event), datetime.now(UTC)
    headers = {
        "webhook-id": event["id"],
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": Webhook(secret).sign(str(event["id"]), now, payload),
    }
    told = sdk("webhooks.unwrap", payload=payload, headers=headers, secret=secret).fine
    assert (told["type"], told["data"]["id"]) == ("video.completed", event["data"]["id"])  # type: ignore[index]
    forged = payload.replace("completed", "failed")
    wrong = sdk("webhooks.unwrap", payload=forged, headers=headers, secret=secret).wrong
    assert wrong["class"] == "InvalidWebhookSignatureError"
