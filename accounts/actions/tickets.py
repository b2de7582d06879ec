"""Tickets: what a program opens one live connection with."""

import hashlib
import secrets
from datetime import timedelta

from django.db.models.functions import Now

from accounts.errors import TooManyTickets
from accounts.models import Ticket
from accounts.sessions import Credential, Standing, standing

TICKET_SECONDS = 30
MAX_TICKETS = 50  # of one person, not used and not expired
TICKET_PREFIX = "t2vt_"  # secret scanners know it by this


def issue_ticket(credential: Credential) -> str:
    """Good once, for TICKET_SECONDS, and only while the credential is. Raises TooManyTickets."""
    mine = Ticket.objects.filter(user=credential.user)
    mine.filter(expires_at__lte=Now()).delete()
    if mine.count() >= MAX_TICKETS:
        raise TooManyTickets(MAX_TICKETS, TICKET_SECONDS)
    ticket = TICKET_PREFIX + secrets.token_urlsafe(32)
    Ticket.objects.create(
        digest=_digest(ticket),
        user_id=credential.user,
        session=credential.session,
        token=credential.token,
        expires_at=Now() + timedelta(seconds=TICKET_SECONDS),
    )
    return ticket


def redeem_ticket(ticket: str) -> Credential | None:
    """Whose it is; None for one that is unknown, used, expired, or whose owner signed out."""
    found = Ticket.objects.filter(digest=_digest(ticket), expires_at__gt=Now()).first()
    # Of two who show the same one, the row's deletion tells who came first.
    if found is None or not Ticket.objects.filter(digest=found.digest).delete()[0]:
        return None
    credential = Credential(found.user_id, found.session, found.token)
    return credential if standing(credential) is Standing.GOOD else None


def forget_expired_tickets() -> int:
    """How many there were."""
    return Ticket.objects.filter(expires_at__lte=Now()).delete()[0]


def _digest(ticket: str) -> str:
    return hashlib.sha256(ticket.encode("utf-8", "surrogatepass")).hexdigest()
