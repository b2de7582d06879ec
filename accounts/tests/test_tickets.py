"""A ticket opens one live connection, once, soon, and only for who still may."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from django.contrib.auth import SESSION_KEY
from django.db import connection
from django.db.models.functions import Now
from django.test import Client

from accounts import actions
from accounts.errors import TooManyTickets
from accounts.models import Ticket, User
from accounts.sessions import Credential, Standing, credential_of, standing
from accounts.signals import rights_changed


@pytest.fixture
def credential(alice: User, client: Client) -> Credential:
    client.force_login(alice)
    return Credential(alice.pk, str(client.session.session_key))


def test_a_ticket_is_good_once(credential: Credential) -> None:
    ticket = actions.issue_ticket(credential)
    assert actions.redeem_ticket(ticket) == credential
    assert actions.redeem_ticket(ticket) is None


@pytest.mark.django_db(transaction=True)
def test_of_many_who_show_one_ticket_one_gets_in(credential: Credential) -> None:
    ticket = actions.issue_ticket(credential)

    def show(_: int) -> Credential | None:
        try:
            return actions.redeem_ticket(ticket)
        finally:
            connection.close()

    with ThreadPoolExecutor(8) as pool:
        got_in = [each for each in pool.map(show, range(16)) if each is not None]
    assert got_in == [credential]


def test_only_a_digest_is_kept(credential: Credential) -> None:
    ticket = actions.issue_ticket(credential)
    row = Ticket.objects.values().get()
    assert ticket not in str(row)
    assert ticket.startswith(actions.TICKET_PREFIX)
    assert len(row["digest"]) == 64


def test_an_expired_ticket_opens_nothing_and_is_forgotten(credential: Credential) -> None:
    ticket = actions.issue_ticket(credential)
    Ticket.objects.update(expires_at=Now() - timedelta(seconds=1))
    assert actions.redeem_ticket(ticket) is None
    assert actions.forget_expired_tickets() == 1
    assert not Ticket.objects.exists()


@pytest.mark.parametrize("ticket", ["", "t2vt_", "x\x00y", "\ud800", "t2vt_" + "x" * 4000])
def test_a_ticket_of_nobody_opens_nothing(db: None, ticket: str) -> None:
    assert actions.redeem_ticket(ticket) is None


def test_one_person_has_a_bounded_number_of_tickets(credential: Credential) -> None:
    for _ in range(actions.MAX_TICKETS):
        actions.issue_ticket(credential)
    with pytest.raises(TooManyTickets):
        actions.issue_ticket(credential)
    Ticket.objects.filter(digest=Ticket.objects.values("digest")[:1]).update(expires_at=Now())
    assert actions.issue_ticket(credential)


def _sign_out(alice: User, client: Client) -> None:
    client.logout()


def _change_password(alice: User, client: Client) -> None:
    alice.set_password("another good password")
    alice.save()


def _deactivate(alice: User, client: Client) -> None:
    alice.is_active = False
    alice.save()


def _delete(alice: User, client: Client) -> None:
    alice.delete()


@pytest.mark.parametrize(
    ("change", "then"),
    [
        (_sign_out, Standing.SIGNED_OUT),
        (_change_password, Standing.SIGNED_OUT),
        (_deactivate, Standing.CLOSED),
        (_delete, Standing.CLOSED),
    ],
)
@pytest.mark.django_db(transaction=True)
def test_who_lost_their_rights_is_told_of_and_gets_in_no_more(
    change: Callable[[User, Client], None],
    then: Standing,
    credential: Credential,
    alice: User,
    client: Client,
) -> None:
    ticket = actions.issue_ticket(credential)
    assert standing(credential) is Standing.GOOD
    told: list[tuple[int, Standing]] = []

    def listen(user: int, **_: object) -> None:
        told.append((user, standing(credential)))  # after the change, not before

    rights_changed.connect(listen)
    try:
        change(alice, client)
    finally:
        rights_changed.disconnect(listen)
    assert (credential.user, then) in told
    assert standing(credential) is then
    assert actions.redeem_ticket(ticket) is None


def test_a_sign_in_changes_nobodys_rights(alice: User, client: Client) -> None:
    told: list[int] = []

    def listen(user: int, **_: object) -> None:
        told.append(user)

    rights_changed.connect(listen)
    try:
        client.force_login(alice)
    finally:
        rights_changed.disconnect(listen)
    assert told == []


@pytest.mark.parametrize("key", [None, "", "nonsense", "a" * 32])
def test_a_session_of_nobody_is_nobody(db: None, key: str | None) -> None:
    assert credential_of(key) is None


def test_a_session_is_its_users_alone(credential: Credential, client: Client, bob: User) -> None:
    bob.set_password("a password of his own")  # the cast shares one, and its hash
    bob.save()
    session = client.session
    session[SESSION_KEY] = str(bob.pk)  # with alice's hash
    session.save()
    assert credential_of(credential.session) is None
