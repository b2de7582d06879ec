"""Who may do what under /v1/: by token alone."""

import pytest
from django.test import Client

from accounts.models import User
from accounts.roles import Scope
from jobs.models import Job
from jobs.tests.customer import PROMPT, Customer

pytestmark = pytest.mark.django_db


def test_nobody_gets_in_without_a_token_and_a_cookie_is_none(
    alice: User, client: Client, customer: Customer
) -> None:
    made = customer.make().json()["id"]
    client.force_login(alice)
    for path in ("/v1/videos", f"/v1/videos/{made}", f"/v1/videos/{made}/content", "/v1/models"):
        answer = client.get(path)
        assert answer.status_code == 401, path
        assert answer["WWW-Authenticate"].startswith("Bearer")
        error = answer.json()["error"]
        assert (error["type"], error["code"]) == ("authentication_error", "not_authenticated")
    answer = client.get("/v1/videos", headers={"Authorization": "Bearer t2v_wrong"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (401, "authentication_failed")
    assert client.post("/v1/videos", {"prompt": PROMPT}).status_code == 401
    assert Job.objects.count() == 1


def test_a_video_of_another_person_is_not_found_by_any_address(
    customer: Customer, charlie: User
) -> None:
    made = customer.make().json()["id"]
    stranger = Customer(charlie)
    for method, path in (
        ("get", ""),
        ("delete", ""),
        ("get", "/content"),
        ("post", "/remix"),
    ):
        answer = stranger.ask(method, f"/v1/videos/{made}{path}")
        assert (answer.status_code, answer.json()["error"]["code"]) == (404, "not_found"), path
    assert stranger.ask("get", "/v1/videos").json()["data"] == []
    assert stranger.ask("get", "/v1/videos", data={"after": made}).status_code == 400


def test_a_token_to_read_makes_and_deletes_nothing(customer: Customer, alice: User) -> None:
    made = customer.make().json()["id"]
    reader = Customer(alice, Scope.JOBS_READ)
    assert reader.ask("get", f"/v1/videos/{made}").status_code == 200
    for answer in (
        reader.make(),
        reader.ask("delete", f"/v1/videos/{made}"),
        reader.ask(
            "post",
            f"/v1/videos/{made}/remix",
            data={"prompt": "x"},
            content_type="application/json",
        ),
    ):
        error = answer.json()["error"]
        assert (answer.status_code, error["code"]) == (403, "insufficient_scope")
        assert error["type"] == "permission_error"
    assert Job.objects.count() == 1
