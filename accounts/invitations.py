"""Invitations by e-mail: their links, their mails, and which of them are still good.

A link is a secret that opens one door once; of it only a digest is stored. accounts/actions writes.
"""

import hashlib
import logging
import secrets
from datetime import timedelta
from smtplib import SMTPException

from django.conf import settings
from django.core.mail import EmailMessage
from django.db.models import QuerySet
from django.db.models.functions import Now
from django.http import HttpRequest
from django.template.loader import render_to_string
from django.urls import reverse

from accounts.models import Invitation

logger = logging.getLogger(__name__)

GOOD_FOR = timedelta(days=7)
PREFIX = "t2vi_"  # secret scanners know a link by it
SESSION_KEY = "invitation"  # in the session of somebody who signs up by a link: its digest


def new_key() -> str:
    return PREFIX + secrets.token_urlsafe(32)


def digest_of(key: str) -> str:
    """SHA-256, hexadecimal."""
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()


def good() -> QuerySet[Invitation]:
    """Those whose time has not passed, with what their page tells."""
    invitations = Invitation.objects.select_related("workspace", "invited_by")
    return invitations.filter(expires_at__gt=Now(), invited_by__is_active=True)


def found(key: str) -> Invitation | None:
    """None for a link that is unknown, used, withdrawn or too old: they look the same."""
    return good().filter(digest=digest_of(key)).first()


def of_session(request: HttpRequest) -> Invitation | None:
    """The one by whose link somebody signs up now."""
    digest = request.session.get(SESSION_KEY)
    return None if digest is None else good().filter(digest=digest).first()


def send(invitation: Invitation, key: str) -> None:
    """The mail with the link. One that cannot be sent stands as not sent on the page of members."""
    assert invitation.invited_by is not None  # somebody invites now
    told = {
        "inviter": invitation.invited_by.email,
        "workspace": invitation.workspace.name,
        "role": invitation.role,
        "link": settings.BASE_URL.rstrip("/") + reverse("invitation", args=[key]),
        "days": GOOD_FOR.days,
        "site": settings.BASE_URL.rstrip("/"),
    }
    mail = EmailMessage(
        # No name of theirs in the subject: what strangers read first is ours to say.
        subject="You are invited to make videos together",
        body=render_to_string("mail/invitation.txt", told),
        to=[invitation.email],
    )
    try:
        mail.send()
    except (SMTPException, OSError) as error:
        # Neither the address nor the link: a log is read by others.
        logger.warning("invitation %s was not sent (%s)", invitation.pk, type(error).__name__)
        return
    Invitation.objects.filter(pk=invitation.pk, digest=digest_of(key)).update(mailed_at=Now())
