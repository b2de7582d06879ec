"""/v1/videos as the wire shows it; the SDKs themselves are in tests/sdk."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from django.conf import LazySettings
from django.test import Client
from limits import parse

from accounts.models import User
from jobs import catalog, offer
from jobs.models import Job
from jobs.openai_shapes import video_id
from jobs.tests.customer import PROMPT, Customer

pytestmark = pytest.mark.django_db


def test_a_prompt_alone_makes_a_video_in_the_shape_of_the_contract(customer: Customer) -> None:
    answer = customer.make()
    assert answer.status_code == 200
    video = answer.json()
    assert list(video) == [
        *("id", "object", "created_at", "completed_at", "expires_at", "model", "status"),
        *("progress", "prompt", "seconds", "size", "remixed_from_video_id", "error"),
        *("queue_position", "eta_seconds", "cost", "quality"),
    ]
    job = Job.objects.get()
    assert (video["id"], video["object"]) == (video_id(job.pk), "video")
    assert (video["status"], video["progress"], video["queue_position"]) == ("queued", 0, 1)
    assert (video["model"], video["seconds"], video["size"]) == ("nano", "2", "64x64")
    assert set(video["cost"]) == {"gpu_seconds", "amount", "currency"}
    assert 1000 <= int(answer["openai-poll-after-ms"]) <= 10_000
    assert answer["x-request-id"].startswith("req_")
    assert customer.ask("get", f"/v1/videos/{video['id']}").json() == video


def test_a_video_is_the_same_in_every_encoding(customer: Customer) -> None:
    fields = {"prompt": PROMPT, "seconds": "4", "size": "96x64", "seed": "7", "steps": "8"}
    fields |= {"guidance_scale": "3.5", "priority": "-5", "model": "nano", "fps": "12"}
    form = "application/x-www-form-urlencoded"
    encoded = "&".join(f"{name}={value.replace(' ', '+')}" for name, value in fields.items())
    for answer in (
        customer.ask("post", "/v1/videos", data=fields),
        customer.ask("post", "/v1/videos", data=encoded, content_type=form),
        customer.ask("post", "/v1/videos", data=fields, content_type="application/json"),
    ):
        assert answer.status_code == 200, answer.content
        assert (answer.json()["seconds"], answer.json()["size"]) == ("4", "96x64")
    specs = {json.dumps(job.request.spec) for job in Job.objects.select_related("request")}
    assert len(specs) == 1
    spec = json.loads(specs.pop())
    assert (spec["frames"], spec["seed"], spec["steps"], spec["guidance"]) == (49, 7, 8, 3.5)
    assert set(Job.objects.values_list("priority", flat=True)) == {-5}


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"prompt": ""}, "prompt"),
        ({"prompt": "  "}, "prompt"),
        ({"prompt": "x" * 400}, "prompt"),
        ({"prompt": "a\x00b"}, "prompt"),
        ({"prompt": None}, "prompt"),
        ({"model": "sora-2"}, "model"),
        ({"model": ["nano"]}, "model"),
        ({"seconds": "8"}, "seconds"),
        ({"size": "1280x720"}, "size"),
        ({"size": "wide"}, "size"),
        ({"num_frames": "24"}, "num_frames"),
        ({"steps": 1}, "steps"),
        ({"guidance_scale": 99}, "guidance_scale"),
        ({"seed": -1}, "seed"),
        ({"fps": 30}, "fps"),
        ({"priority": 5}, "priority"),
        ({"n": 4}, "n"),
        ({"user": "me"}, "user"),
    ],
)
def test_nonsense_is_a_400_that_names_its_field_and_makes_nothing(
    fields: dict[str, Any], param: str, customer: Customer
) -> None:
    answer = customer.make(**fields)
    assert answer.status_code == 400
    assert answer["Content-Type"] == "application/json"
    error = answer.json()["error"]
    assert list(error) == ["message", "type", "param", "code"]
    assert (error["type"], error["param"]) == ("invalid_request_error", param)
    assert (error["code"], error["message"] != "") == ("bad_spec", True)
    assert answer["x-request-id"]
    assert not Job.objects.exists()


def test_a_refusal_says_what_would_be_accepted(customer: Customer) -> None:
    said = {
        field: customer.make(**{field: "8"}).json()["error"]["message"]
        for field in ("seconds", "model", "size")
    }
    assert "1, 2, 2.58, 3, 4" in said["seconds"]
    assert "nano" in said["model"]
    assert "64x64" in said["size"]


def test_what_is_no_body_is_a_400_or_415_in_the_same_shape(customer: Customer) -> None:
    for body, kind, status in (
        ("{", "application/json", 400),
        ("[" * 100_000, "application/json", 400),
        ("[]", "application/json", 400),
        ('"x"', "application/json", 400),
        ("", "application/json", 400),
        ("x", "multipart/form-data; boundary=q", 400),
        ("x", "multipart/form-data", 400),
        ("x", "text/plain", 415),
        ("prompt=%00", "application/x-www-form-urlencoded; charset=hex", 400),
    ):
        answer = (
            customer.ask("generic", "/v1/videos", data=body, content_type=kind)
            if False
            else (
                customer._client.generic(
                    "POST",
                    "/v1/videos",
                    body,
                    content_type=kind,
                    headers={"Authorization": f"Bearer {customer.token}"},
                )
            )
        )
        assert answer.status_code == status, (body[:20], kind, answer.content)
        assert answer.json()["error"]["code"], kind
        assert answer["x-request-id"]
    huge = customer.raw("prompt=" + "x" * (3 * 2**20), "application/x-www-form-urlencoded")
    assert (huge.status_code, huge.json()["error"]["code"]) == (413, "too_large")
    assert not Job.objects.exists()


def test_a_repeated_field_is_one_or_refused(customer: Customer) -> None:
    assert customer.form(prompt=[PROMPT, PROMPT]).status_code == 200
    answer = customer.form(seed=["1", "2"])
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "seed")


def test_a_remix_is_a_new_video_as_the_old_one_but_for_what_is_said(
    customer: Customer, submit: Callable[..., Job], bob: User
) -> None:
    source = submit(steps=8, seed=7, frames=49, size=(96, 64))
    path = f"/v1/videos/{video_id(source.pk)}/remix"
    body = {"prompt": "a blue star moving left"}
    answer = customer.ask("post", path, data=body, content_type="application/json")
    video = answer.json()
    assert (answer.status_code, video["status"]) == (200, "queued")
    assert video["remixed_from_video_id"] == video_id(source.pk)
    assert (video["prompt"], video["size"], video["seconds"]) == (body["prompt"], "96x64", "4")
    made = Job.objects.exclude(pk=source.pk).get()
    old, new = source.request.render_spec(), made.request.render_spec()
    assert (new.seed, new.steps) == (old.seed, old.steps) == (7, 8)
    other = body | {"seed": 8}
    answer = customer.ask("post", path, data=other, content_type="application/json")
    assert Job.objects.order_by("-created_at")[0].request.render_spec().seed == 8
    for bad, param in (({}, "prompt"), ({"prompt": ""}, "prompt"), (body | {"n": 1}, "n")):
        answer = customer.ask("post", path, data=bad, content_type="application/json")
        assert (answer.status_code, answer.json()["error"]["param"]) == (400, param)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("post", "edits"),
        ("post", "extensions"),
        ("post", "characters"),
        ("get", "characters/char_1"),
    ],
)
def test_what_no_model_can_do_is_a_400_and_no_missing_address(
    method: str, path: str, customer: Customer
) -> None:
    answer = customer.ask(method, f"/v1/videos/{path}")
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "unsupported_by_model")


def test_models_are_listed_with_what_they_accept(customer: Customer) -> None:
    answer = customer.ask("get", "/v1/models").json()
    assert (answer["object"], answer["data"][0]["id"]) == ("list", "nano")
    nano = answer["data"][0]
    assert customer.ask("get", "/v1/models/nano").json() == nano
    for seconds in nano["seconds"]:
        assert customer.make(seconds=seconds).json()["seconds"] == seconds
    for size in nano["sizes"]:
        assert customer.make(size=size).json()["size"] == size
    assert customer.ask("get", "/v1/models/sora-2").status_code == 404


def test_every_answer_has_an_id_of_its_own_and_every_error_the_same_shape(
    customer: Customer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken() -> dict[str, catalog.ModelEntry]:
        raise OSError("a secret of ours")

    answers = [
        customer.ask("get", "/v1/nothing"),
        customer.ask("get", "/v1/videos/not-an-id"),
        customer.ask("post", "/v1/models"),
        customer.ask("get", "/v1/videos"),
        customer.ask("get", "/v1/models"),
    ]
    monkeypatch.setattr(offer, "models", broken)
    answers.append(customer.ask("get", "/v1/models"))
    assert [answer.status_code for answer in answers] == [404, 404, 405, 200, 200, 500]
    assert len({answer["x-request-id"] for answer in answers}) == len(answers)
    for answer in (*answers[:3], answers[-1]):
        assert set(answer.json()["error"]) == {"message", "type", "param", "code"}
        assert answer.json()["error"]["code"]
    assert b"secret" not in answers[-1].content
    assert answers[-1].json()["error"]["type"] == "server_error"
    assert not Client().get("/healthz/live")["x-request-id"].startswith("req_")


def test_a_quota_is_no_reason_to_send_it_again(customer: Customer, settings: LazySettings) -> None:
    settings.T2V_MAX_UNFINISHED = 1
    assert customer.make().status_code == 200
    answer = customer.make()
    error = answer.json()["error"]
    assert (answer.status_code, error["type"]) == (429, "rate_limit_error")
    assert answer["x-should-retry"] == "false"
    assert int(answer["Retry-After"]) > 0
    assert answer["retry-after-ms"] == answer["Retry-After"] + "000"


def test_a_rate_passes_while_one_waits_and_says_for_how_long(
    customer: Customer, settings: LazySettings, empty_redis: object
) -> None:
    settings.T2V_RATE_WRITES = parse("1/minute")
    assert customer.make().status_code == 200
    answer = customer.make()
    assert (answer.status_code, answer.json()["error"]["code"]) == (429, "rate_limited")
    assert "x-should-retry" not in answer
    assert 0 < int(answer["Retry-After"]) <= 60
    assert answer["retry-after-ms"] == answer["Retry-After"] + "000"
    assert "token-writes" in answer["RateLimit"]
    assert Job.objects.count() == 1


def test_a_key_is_answered_once_and_another_body_is_a_conflict(customer: Customer) -> None:
    key = {"Idempotency-Key": "k1"}
    first = (
        customer.form(headers=key)
        if False
        else customer.ask("post", "/v1/videos", data={"prompt": PROMPT}, headers=key)
    )
    again = customer.ask("post", "/v1/videos", data={"prompt": PROMPT}, headers=key)
    assert again.json() == first.json()
    assert again["Idempotency-Replayed"] == "true"
    assert again["openai-poll-after-ms"] == first["openai-poll-after-ms"]
    assert again["x-request-id"] != first["x-request-id"]
    other = customer.ask("post", "/v1/videos", data={"prompt": "a blue star"}, headers=key)
    assert (other.status_code, other["x-should-retry"]) == (409, "false")
    assert other.json()["error"]["code"] == "idempotency_key_reused"
    assert Job.objects.count() == 1
