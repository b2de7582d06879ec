"""What an operator could get out of the console by its addresses alone."""

import threading
from contextlib import suppress
from uuid import UUID

import pytest
from django.contrib.messages.storage.cookie import CookieStorage
from django.db import OperationalError, connection
from django.test import Client, RequestFactory

from accounts.models import User
from conftest import sign_in
from jobs import actions, offer
from jobs.admin import retrying
from jobs.models import Job


@pytest.mark.django_db
@pytest.mark.parametrize(
    "query",
    [
        "accounts/user/?password__startswith=argon2",
        "accounts/user/?password__regex=^argon2",
        "accounts/apitoken/?digest__startswith=a",
        "accounts/invitation/?digest__startswith=a",
        "jobs/job/?error_message__icontains=x",
        "jobs/worker/?trouble__icontains=x",
    ],
)
def test_no_address_of_the_console_asks_a_column_that_no_filter_stands_for(
    query: str, ada: User, client: Client
) -> None:
    sign_in(client, ada, "mfa")
    page = client.get(f"/admin/{query}")
    assert page.status_code in {302, 400}
    if page.status_code == 302:
        assert "e=1" in page["Location"]


@pytest.mark.django_db(transaction=True)
def test_two_operators_who_retry_jobs_of_the_same_workspaces_do_not_block_each_other(
    alice: User, bob: User, olga: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the order of ids one comes to alice's workspace first, the other to bob's."""
    pairs = _crossed(alice, bob)
    both, errors = threading.Barrier(2), list[Exception]()

    def retried(job: UUID, *, by: User) -> Job:
        made = actions.retry(job, by=by)
        with suppress(threading.BrokenBarrierError):  # it waits for the other one, as it should
            both.wait(1)
        return made

    def press(pair: list[UUID]) -> None:
        request = RequestFactory().post("/admin/")
        request.user, request.session = olga, {}  # type: ignore[assignment]
        request._messages = CookieStorage(request)  # type: ignore[attr-defined]
        try:
            retrying.retry_all(request, pair)
        except OperationalError as error:
            errors.append(error)
        finally:
            connection.close()

    monkeypatch.setattr("jobs.retrying.retry", retried)
    threads = [threading.Thread(target=press, args=(pair,)) for pair in pairs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert not errors


def _crossed(one: User, other: User) -> tuple[list[UUID], list[UUID]]:
    """Cancelled jobs of both: by their ids the first one's come first, and the other's do."""
    found: dict[bool, list[UUID]] = {}
    while len(found) < 2:
        mine, theirs = _cancelled(one), _cancelled(other)
        found.setdefault(mine < theirs, [mine, theirs])
    return found[True], found[False]


def _cancelled(owner: User) -> UUID:
    blank = dict.fromkeys(("model", "size", "frames", "steps", "guidance", "seed"))
    spec = offer.make_spec(prompt="a red circle", **blank)
    job = actions.submit(owner=owner, spec=spec)
    actions.cancel(job.pk)
    return job.pk
