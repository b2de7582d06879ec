"""What the site answers while it is closed, and while Postgres is away."""

from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest
from django.conf import LazySettings
from django.db import OperationalError, connection
from django.test import Client

from accounts.models import User
from jobs.routing import sockets

WHY = "An upgrade, until about 14:00 UTC."
A_SCRIPT = {"Accept": "application/json"}


@pytest.fixture
def closed(settings: LazySettings) -> Client:
    settings.T2V_MAINTENANCE = WHY
    return Client()


@pytest.fixture
def cut_off(alice: User) -> Iterator[Client]:
    """alice's browser, while the server ends the connection, as at a restart of Postgres."""
    client = Client(raise_request_exception=False)
    client.force_login(alice)
    with connection.cursor() as cursor, suppress(OperationalError):
        cursor.execute("SELECT pg_terminate_backend(pg_backend_pid())")
    yield client
    connection.close()


def test_a_closed_site_says_why_on_every_page_and_asks_no_service(closed: Client) -> None:
    # Without a database mark: whoever asked Postgres here would fail.
    closed.cookies["theme"] = "dark"
    for path in ("/", "/jobs/nothing", "/settings/tokens", "/admin/"):
        answer = closed.get(path)
        assert answer.status_code == 503
        assert answer["Retry-After"] == "60"
        page = answer.content.decode()
        assert WHY in page
        assert 'data-theme="dark"' in page
        assert "data-again" in page  # it tries again by itself
    assert "Go back, and send it again" in closed.post("/").content.decode()


def test_a_closed_site_tells_programs_so_in_their_own_shapes(closed: Client) -> None:
    told = closed.get("/api/v1/jobs")
    assert (told.status_code, told["Retry-After"]) == (503, "60")
    assert told["Content-Type"] == "application/problem+json"
    assert (told.json()["code"], told.json()["detail"]) == ("maintenance", WHY)
    assert closed.post("/", headers=A_SCRIPT).json()["code"] == "maintenance"
    sdk = closed.get("/v1/videos")
    assert (sdk.status_code, sdk["retry-after"]) == (503, "60")
    assert sdk.json()["error"] | {"param": None} == {
        "message": WHY, "type": "server_error", "param": None, "code": "maintenance"
    }  # fmt: skip


def test_a_closed_site_is_alive_and_not_told_of_as_an_error(
    closed: Client, caplog: pytest.LogCaptureFixture
) -> None:
    assert closed.get("/healthz/live").status_code == 200
    closed.get("/")
    assert not caplog.records


async def test_a_socket_of_a_closed_site_learns_the_reason(settings: LazySettings) -> None:
    settings.T2V_MAINTENANCE = WHY
    heard = iter([{"type": "websocket.connect"}, {"type": "websocket.disconnect"}])
    said: list[dict[str, Any]] = []

    async def receive() -> dict[str, str]:
        return next(heard)

    async def send(message: dict[str, Any]) -> None:
        said.append(message)

    await sockets({"type": "websocket", "path": "/ws/", "headers": []}, receive, send)
    assert [each["type"] for each in said] == ["websocket.accept", "websocket.close"]
    assert said[1]["code"] == 4503


@pytest.mark.django_db(transaction=True)
def test_a_page_that_cannot_reach_postgres_says_so_and_tries_again(cut_off: Client) -> None:
    answer = cut_off.get("/")
    assert answer.status_code == 503
    assert int(answer["Retry-After"]) > 0
    page = answer.content.decode()
    assert "Back in a moment" in page
    assert "data-again" in page


@pytest.mark.django_db(transaction=True)
def test_a_script_of_a_page_that_cannot_reach_postgres_gets_a_problem(cut_off: Client) -> None:
    answer = cut_off.post("/", headers=A_SCRIPT)
    assert answer.status_code == 503
    assert answer.json()["code"] == "database_unavailable"
