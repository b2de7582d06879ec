"""Every code that the API can answer with, each reached by a request; and what makes no sense."""

import io
import json
import threading
import zlib
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any
from uuid import uuid4

import pytest
from django.conf import LazySettings
from django.db import OperationalError, connection
from django.http import HttpResponse
from django.test import Client
from limits import parse

from accounts import workspaces
from accounts.actions import invitations, members, tickets, tokens
from accounts.errors import Refusal
from accounts.models import Membership, User, Workspace
from accounts.roles import Role, Scope
from conftest import sign_in, video_of
from jobs import actions, images, models_switch, offer, rates
from jobs.actions import Claim
from jobs.models import Job, ModelSwitch
from jobs.rates import Breaker
from jobs.schema.document import document
from jobs.schema.operation import OPERATIONS
from jobs.schema.problems import codes
from jobs.tests.test_limits import slow_pool  # noqa: F401 - a fixture
from jobs.webhooks import endpoints

pytestmark = pytest.mark.django_db(transaction=True)
JOBS, JSON = "/api/v1/jobs", "application/json"
RED = {"prompt": "a red circle"}
Program = Callable[..., Client]


@dataclass(frozen=True, kw_only=True)
class Stage:
    """What a refusal is made with."""

    alice: User
    program: Program
    submit: Callable[..., Job]
    claim: Callable[..., Claim]
    settings: LazySettings
    patch: pytest.MonkeyPatch

    @property
    def client(self) -> Client:
        return self.program(self.alice)

    def post(self, address: str = JOBS, body: Any = None, **headers: str) -> Any:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.client.post(address, body or RED, content_type=JSON, headers=named)

    def finished(self) -> Job:
        job, held = self.submit(), self.claim()
        actions.succeed(held, [video_of(held)])
        return job


@pytest.fixture
def stage(
    alice: User, program: Program, submit: Callable[..., Job], request: pytest.FixtureRequest
) -> Stage:
    return Stage(
        alice=alice,
        program=program,
        submit=submit,
        claim=request.getfixturevalue("claim"),
        settings=request.getfixturevalue("settings"),
        patch=request.getfixturevalue("monkeypatch"),
    )


def key_reused(stage: Stage) -> Any:
    stage.post(Idempotency_Key="k")
    return stage.post(body={"prompt": "a blue star"}, Idempotency_Key="k")


def too_many_tokens(stage: Stage) -> Any:
    client, new = stage.program(stage.alice), {"name": "n", "scopes": ["jobs:read"]}
    stage.patch.setattr(tokens, "MAX_TOKENS", 1)
    browser = Client()
    sign_in(browser, stage.alice)
    assert client
    return browser.post("/api/v1/tokens", new, content_type=JSON)


def too_many_tickets(stage: Stage) -> Any:
    stage.patch.setattr(tickets, "MAX_TICKETS", 0)
    return stage.post("/api/v1/live/tickets")


def too_many_jobs(stage: Stage) -> Any:
    stage.settings.T2V_MAX_UNFINISHED = 1
    stage.submit()
    return stage.post()


def gpu_seconds_used_up(stage: Stage) -> Any:
    stage.settings.T2V_QUOTA_GPU_SECONDS = 1
    return stage.post()


def storage_full(stage: Stage) -> Any:
    stage.finished()
    Workspace.objects.update(max_stored_bytes=1)
    return stage.post()


def forbidden(stage: Stage) -> Any:
    Membership.objects.filter(user=stage.alice).update(role=Role.VIEWER)
    return stage.post()


def no_workspace(stage: Stage) -> Any:
    Membership.objects.filter(user=stage.alice).delete()
    return stage.post()


def model_off(stage: Stage) -> Any:
    known = offer.configured()
    both = {**known, "other": replace(known["nano"], name="other")}
    stage.patch.setattr(offer, "configured", lambda: both)
    ModelSwitch.objects.create(name="nano", on=False)
    models_switch.forget()
    return stage.post(body={"prompt": "a", "model": "nano"})


def of_hers(stage: Stage, path: str, body: object = None, *, method: str = "POST") -> Any:
    """In alice's own workspace, by a browser in which she signed in just now."""
    browser = Client()
    sign_in(browser, stage.alice)
    address = f"/api/v1/workspaces/{workspaces.current(stage.alice).slug}{path}"
    return browser.generic(method, address, json.dumps(body or {}), content_type=JSON)


def last_owner(stage: Stage) -> Any:
    return of_hers(stage, "/leave")


def workspace_in_use(stage: Stage) -> Any:
    stage.submit()
    return of_hers(stage, "", method="DELETE")


def too_many_workspaces(stage: Stage) -> Any:
    stage.patch.setattr(members, "MAX_WORKSPACES", 1)
    browser = Client()
    browser.force_login(stage.alice)
    return browser.post("/api/v1/workspaces", {"name": "second"}, content_type=JSON)


def invited(stage: Stage) -> Any:
    return of_hers(stage, "/invitations", {"email": "dana@example.com", "role": "viewer"})


def too_many_members(stage: Stage) -> Any:
    stage.patch.setattr(members, "MAX_MEMBERS", 1)
    return invited(stage)


def too_many_invitations(stage: Stage) -> Any:
    stage.patch.setattr(invitations, "MAX_INVITATIONS", 0)
    return invited(stage)


def too_many_mails(stage: Stage) -> Any:
    stage.patch.setattr(invitations, "MAX_MAILS", 0)
    return invited(stage)


def too_many_webhooks(stage: Stage) -> Any:
    stage.patch.setattr(endpoints, "MOST", 0)
    return stage.post("/api/v1/webhooks", {"url": "https://example.com/", "events": ["job.failed"]})


def rate_limited(stage: Stage) -> Any:
    stage.patch.setattr(rates, "breaker", Breaker())
    stage.settings.T2V_RATE_READS = parse("1/hour")
    client = stage.client
    client.get(JOBS)
    return client.get(JOBS)


def queue_full(stage: Stage) -> Any:
    stage.settings.T2V_MAX_WAIT_SECONDS = 1
    return stage.post()


def live_unavailable(stage: Stage) -> Any:
    job = stage.submit()
    stage.settings.REDIS_URL = "redis://127.0.0.1:1/0"
    return stage.client.get(f"{JOBS}/{job.pk}/preview")


def picture(stage: Stage, content: bytes) -> Any:
    file = io.BytesIO(content)
    file.name = "a.png"
    return stage.client.post(JOBS, {**RED, "image": file})


def png() -> bytes:
    """32 × 32 red pixels, without a library."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        whole = kind + body
        return len(body).to_bytes(4) + whole + zlib.crc32(whole).to_bytes(4)

    size = (32).to_bytes(4) * 2
    rows = zlib.compress((b"\0" + b"\xff\0\0" * 32) * 32)
    parts = [(b"IHDR", size + b"\x08\x02\0\0\0"), (b"IDAT", rows), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(kind, body) for kind, body in parts)


def images_busy(stage: Stage) -> Any:
    taken = threading.BoundedSemaphore(1)
    taken.acquire()
    stage.patch.setattr(images, "_free", taken)
    stage.patch.setattr(images, "QUEUE_SECONDS", 0.01)
    return picture(stage, png())


def not_ready(stage: Stage) -> Any:
    return stage.client.get(f"/v1/videos/video_{stage.submit().pk.hex}/content")


def bad_range(stage: Stage) -> Any:
    address = f"/v1/videos/video_{stage.finished().pk.hex}/content"
    return stage.client.get(address, headers={"Range": "bytes=9-"})


def operators_only(stage: Stage) -> Any:
    browser = Client()
    browser.force_login(stage.alice)
    return browser.get("/api/v1/queue")


def second_factor_needed(stage: Stage) -> Any:
    stage.settings.T2V_REQUIRE_MFA = True
    User.objects.filter(pk=stage.alice.pk).update(role="operator")
    browser = Client()
    browser.force_login(stage.alice)
    return browser.get("/api/v1/queue")


def sign_in_again(stage: Stage) -> Any:
    browser = Client()
    browser.force_login(stage.alice)
    return browser.post("/api/v1/tokens", {"name": "n", "scopes": ["jobs:read"]}, content_type=JSON)


def tagged(stage: Stage, *names: str) -> Any:
    job = stage.post().json()["id"]
    body = {"tags": list(names)}
    return stage.client.patch(f"{JOBS}/{job}", body, content_type=JSON)


def permission_denied(stage: Stage) -> Any:
    browser = Client(enforce_csrf_checks=True)
    browser.force_login(stage.alice)
    return browser.post(JOBS, RED, content_type=JSON)


def database_unavailable(stage: Stage) -> Any:
    """Its server ends the connection, as at a restart of Postgres."""
    client = stage.client
    with connection.cursor() as cursor, suppress(OperationalError):
        cursor.execute("SELECT pg_terminate_backend(pg_backend_pid())")
    try:
        return client.get(JOBS)
    finally:
        connection.close()


REACHED: dict[str, tuple[int, Callable[[Stage], Any]]] = {
    "authentication_failed": (
        401,
        lambda stage: Client(headers={"Authorization": "Bearer t2v_x"}).get(JOBS),
    ),
    "bad_image": (400, lambda stage: picture(stage, b"GIF89a")),
    "bad_range": (416, bad_range),
    "bad_request": (400, lambda stage: stage.client.get(f"{JOBS}?limit=0")),
    "bad_spec": (400, lambda stage: stage.post(body={**RED, "steps": 1})),
    "bad_tag": (400, lambda stage: tagged(stage, "a,b")),
    "gpu_seconds_used_up": (429, gpu_seconds_used_up),
    "idempotency_key_reused": (409, key_reused),
    "images_busy": (503, images_busy),
    "insufficient_scope": (
        403,
        lambda stage: stage.program(stage.alice, Scope.JOBS_READ).post(JOBS, RED),
    ),
    "live_unavailable": (503, live_unavailable),
    "method_not_allowed": (405, lambda stage: stage.client.put(JOBS)),
    "not_acceptable": (
        406,
        lambda stage: stage.client.get(JOBS, headers={"Accept": "text/csv"}),
    ),
    "not_authenticated": (401, lambda stage: Client().get(JOBS)),
    "not_found": (404, lambda stage: stage.client.get(f"{JOBS}/{uuid4()}")),
    "not_possible": (
        409,
        lambda stage: stage.post(f"{JOBS}/{stage.finished().pk}/cancel"),
    ),
    "database_unavailable": (503, database_unavailable),
    "not_ready": (404, not_ready),
    "forbidden": (403, forbidden),
    "last_owner": (409, last_owner),
    "model_off": (400, model_off),
    "too_many_invitations": (409, too_many_invitations),
    "too_many_mails": (429, too_many_mails),
    "too_many_members": (409, too_many_members),
    "too_many_workspaces": (409, too_many_workspaces),
    "workspace_in_use": (409, workspace_in_use),
    "no_workspace": (409, no_workspace),
    "operators_only": (403, operators_only),
    "parse_error": (400, lambda stage: stage.client.post(JOBS, "{", content_type=JSON)),
    "permission_denied": (403, permission_denied),
    "queue_full": (503, queue_full),
    "rate_limited": (429, rate_limited),
    "storage_full": (409, storage_full),
    "second_factor_needed": (403, second_factor_needed),
    "sign_in_again": (403, sign_in_again),
    "too_large": (413, lambda stage: stage.post(body={"prompt": "x" * 300_000})),
    "too_many_jobs": (429, too_many_jobs),
    "too_many_tickets": (429, too_many_tickets),
    "too_many_tokens": (409, too_many_tokens),
    "too_many_webhooks": (409, too_many_webhooks),
    "unsupported_by_model": (400, lambda stage: picture(stage, png())),
    "unsupported_media_type": (
        415,
        lambda stage: stage.client.post(JOBS, "x", content_type="text/plain"),
    ),
}
NO_ANSWER = {
    "last_administrator",  # of a page of the console: jobs/tests/test_admin_people.py
    "not_for_you",  # of the page of an invitation: accounts/tests/test_invitations.py
    "maintenance",  # before any view: t2v_site/tests/test_closed.py
    "lost_claim",  # a worker's own
    "too_many_tags",  # in bulk, from the library: jobs/tests/test_shelf.py
    "too_many_tag_names",  # the 501st of a workspace: jobs/tests/test_shelf.py
    "zip_too_large",  # of a page: jobs/tests/test_zips.py
    "too_many_connections",  # in the stream itself: tests/live
}


def all_of(cls: type[Refusal]) -> set[str]:
    return {sub.code for sub in cls.__subclasses__()}.union(
        *(all_of(sub) for sub in cls.__subclasses__())
    )


def test_every_code_is_reached_by_a_request() -> None:
    assert document()
    described = {
        name
        for place, operation in OPERATIONS.items()
        for names in codes(place, operation).values()
        for name in names
    }
    assert (all_of(Refusal) | described) - NO_ANSWER == set(REACHED)


@pytest.mark.parametrize("code", REACHED)
def test_a_refusal_has_its_code_its_status_and_says_when_to_come_again(
    code: str, stage: Stage, empty_redis: object, request: pytest.FixtureRequest
) -> None:
    status, reach = REACHED[code]
    if code == "queue_full":
        request.getfixturevalue("slow_pool")
    answer = reach(stage)
    assert answer.status_code == status, answer.content
    said = answer.json()
    if "error" in said:  # under /v1/
        assert said["error"]["code"] == code
    else:
        assert answer["Content-Type"] == "application/problem+json"
        assert (said["code"], said["status"], said["type"]) == (code, status, "about:blank")
        assert said["title"]
        assert said["detail"]
    if status in {429, 503}:
        assert int(answer["Retry-After"]) > 0
    if status == 401:
        assert answer["WWW-Authenticate"].startswith("Bearer")
    if status == 405:
        assert answer["Allow"] == "GET, POST, HEAD, OPTIONS"


NONSENSE: list[Any] = [
    {"prompt": "a\x00b"},
    {"prompt": "\ud800"},
    {"prompt": ["a"]},
    {"prompt": {"a": 1}},
    {"prompt": None},
    {"prompt": True},
    {**RED, "seed": 10**400},
    {**RED, "seed": 1e308},
    {**RED, "guidance": 10**400},
    {**RED, "frames": -(2**63) - 1},
    {**RED, "steps": [12]},
    {**RED, "size": {"width": 64}},
    {**RED, "size": "9" * 5_000},
    {**RED, "model": "\udfff"},
    {**RED, "model": "nano\x00"},
    {**RED, "quality": 7},
    {**RED, "start_within_seconds": 10**30},
    [],
    "x",
    7,
    None,
]


@pytest.mark.parametrize("address", [JOBS, f"{JOBS}/batch", f"{JOBS}/dry-run"])
def test_no_nonsense_is_stumbled_over(address: str, stage: Stage) -> None:
    client = stage.client
    for body in NONSENSE:
        sent = {"jobs": [body]} if address.endswith("batch") else body
        answer = client.post(address, json.dumps(sent), content_type=JSON)
        assert answer.status_code == 400, (body, answer.content)
        assert answer.json()["code"] in {"bad_spec", "bad_request", "parse_error"}
    assert not Job.objects.exists()


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\xff\xfe",
        b'{"prompt": NaN}',
        b'{"prompt": "a", "guidance": Infinity}',
        b'{"prompt": "a", "guidance": 1e999}',
        b'{"prompt": "a", "seed": ' + b"9" * 10_000 + b"}",
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b'{"jobs": ' + b"[" * 100_000,
    ],
    ids=range(9),
)
def test_no_broken_json_is_stumbled_over(body: bytes, stage: Stage) -> None:
    client = stage.client
    for address in (JOBS, f"{JOBS}/batch", "/api/v1/webhooks", "/v1/videos"):
        answer = client.post(address, body, content_type=JSON)
        assert answer.status_code in {400, 413}, (address, answer.content)


def test_what_is_at_no_address_is_a_problem_below_api_and_a_page_elsewhere(stage: Stage) -> None:
    for path in ("/api/", "/api/v2/jobs", "/api/v1/jobs/", "/api/v1/jobs/not-an-id", "/api/%00"):
        answer = stage.client.get(path)
        assert (answer.status_code, answer.json()["code"]) == (404, "not_found"), path
        assert answer["Content-Type"] == "application/problem+json"
    assert stage.client.get("/nowhere")["Content-Type"].startswith("text/html")


def test_what_breaks_in_the_api_is_a_problem_that_tells_nothing(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> HttpResponse:
        raise RuntimeError("the password is hunter2")

    monkeypatch.setattr("jobs.models_api.conditional", broken)
    client = stage.client
    client.raise_request_exception = False
    answer = client.get("/api/v1/models")
    assert (answer.status_code, answer.json()["code"]) == (500, "server_error")
    assert answer["Content-Type"] == "application/problem+json"
    assert b"hunter2" not in answer.content


def test_head_answers_as_get_does_and_options_without_asking_anybody_else_in(stage: Stage) -> None:
    job, client = stage.submit(), stage.client
    for path in (JOBS, f"{JOBS}/{job.pk}", "/api/v1/models", "/api/v1/usage"):
        head, get = client.head(path), client.get(path)
        assert (head.status_code, head.content) == (200, b"")
        assert head["Content-Type"] == get["Content-Type"]
        options = client.options(path, headers={"Origin": "https://evil.example"})
        assert options.status_code == 200
        for name in options.headers:
            assert not name.lower().startswith("access-control-"), name
    assert client.options(JOBS)["Allow"] == "GET, POST, HEAD, OPTIONS"
    assert Client().options(JOBS).status_code == 401
