"""Inviting somebody by e-mail, and what becomes of that. The mail goes out after the commit."""

from datetime import timedelta
from functools import partial

from allauth.account.models import EmailAddress
from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.db import transaction
from django.db.models.functions import Now

from accounts import audit, invitations
from accounts.actions import members
from accounts.errors import (
    BadFields,
    NoSuchInvitation,
    NotForYou,
    RoleTooLow,
    TooManyInvitations,
    TooManyMails,
    TooManyMembers,
)
from accounts.models import AuditEntry, Invitation, Membership, User
from accounts.roles import Role

MAX_INVITATIONS = 100  # that wait, of one workspace
MAX_MAILS = 200  # that one person has sent within a day


@transaction.atomic
def invite(actor: User, *, workspace: int, email: str, role: Role) -> Invitation:
    """A mail with a link that is good once, for seven days, for this address.

    One that waits for the same address is replaced. Nothing tells whether there is an account.
    Raises BadFields, RoleTooLow, TooManyInvitations, TooManyMembers and TooManyMails.
    """
    members.lock(workspace)
    members.authorise(actor, workspace, members.needed(role))
    email = _address(email)
    inside = Membership.objects.filter(workspace=workspace)
    if inside.filter(user__email=email).exists():  # which everybody inside can see
        raise BadFields({"email": "They are a member already."})
    if inside.count() >= members.MAX_MEMBERS:
        raise TooManyMembers(members.MAX_MEMBERS)
    waiting = Invitation.objects.filter(workspace=workspace)
    waiting.filter(expires_at__lte=Now()).delete()
    waiting.filter(email=email).delete()
    if waiting.count() >= MAX_INVITATIONS:
        raise TooManyInvitations(MAX_INVITATIONS)
    _refuse_a_flood(actor)
    key = invitations.new_key()
    made = Invitation.objects.create(
        workspace_id=workspace,
        email=email,
        role=role.value,
        digest=invitations.digest_of(key),
        invited_by=actor,
        expires_at=Now() + invitations.GOOD_FOR,
    )
    return _sent(actor, made, key)


@transaction.atomic
def resend(actor: User, *, workspace: int, invitation: int) -> Invitation:
    """A new link, good for seven days again; the one before is good no more.

    Raises NoSuchInvitation, RoleTooLow and TooManyMails.
    """
    members.lock(workspace)
    row = _waiting(workspace, invitation)
    members.authorise(actor, workspace, members.needed(Role(row.role)))
    _refuse_a_flood(actor)
    key = invitations.new_key()
    Invitation.objects.filter(pk=row.pk).update(
        digest=invitations.digest_of(key),
        invited_by=actor,
        expires_at=Now() + invitations.GOOD_FOR,
        mailed_at=None,
    )
    return _sent(actor, row, key)


@transaction.atomic
def withdraw(actor: User, *, workspace: int, invitation: int, reason: str = "") -> None:
    """reason: of administrators. Raises NoSuchInvitation, and RoleTooLow."""
    place = members.lock(workspace)
    row = _waiting(workspace, invitation)
    members.authorise(actor, workspace, members.needed(Role(row.role)))
    row.delete()
    why = {"reason": reason} if reason else {}
    audit.record("invitation.withdrawn", actor=actor, workspace=place, subject=row.email, **why)


@transaction.atomic
def accept(user: User, key: str) -> Membership:
    """They are in, and work there from now on; the link is used up.

    Raises NoSuchInvitation, NotForYou, TooManyMembers and TooManyWorkspaces.
    """
    known = invitations.found(key)
    if known is None:
        raise NoSuchInvitation
    members.lock(known.workspace_id)
    row = invitations.good().filter(pk=known.pk, digest=known.digest).first()
    if row is None:  # used or withdrawn while we waited
        raise NoSuchInvitation
    _ask_again(row)
    if not is_for(user, row):
        raise NotForYou
    made = members.admit(user, workspace=row.workspace_id, role=Role(row.role))
    Invitation.objects.filter(pk=row.pk).delete()
    user.workspace_id = row.workspace_id
    user.save(update_fields=["workspace"])
    user.__dict__.pop("memberships", None)
    audit.record(
        "member.joined",
        actor=user,
        workspace=row.workspace,
        subject=user.email,
        role=made.role,
    )
    return made


def _ask_again(invitation: Invitation) -> None:
    """Whether who invited may do so now: it was up to seven days ago. Raises NoSuchInvitation."""
    by, role = invitation.invited_by, Role(invitation.role)
    if by is None:
        raise NoSuchInvitation
    try:
        members.authorise(by, invitation.workspace_id, members.needed(role))
    except RoleTooLow as error:
        raise NoSuchInvitation from error


def is_for(user: User, invitation: Invitation) -> bool:
    """Whether it was sent to an address that this person has shown to be theirs."""
    # Not by iexact: in Postgres' upper case kıno.com is kino.com.
    theirs = EmailAddress.objects.filter(user=user, verified=True).values_list("email", flat=True)
    return invitation.email in {email.lower() for email in theirs}


def forget_expired_invitations() -> int:
    """How many there were."""
    return Invitation.objects.filter(expires_at__lte=Now()).delete()[0]


def _address(given: str) -> str:
    """Raises BadFields."""
    email = given.strip().lower()
    try:
        validate_email(email)
    except ValidationError as error:
        raise BadFields({"email": "Write an e-mail address, like dana@example.com."}) from error
    if len(email) > 254:
        raise BadFields({"email": "An e-mail address has at most 254 characters."})
    return email


def _refuse_a_flood(actor: User) -> None:
    """So that nobody has the site write to the whole world in its name. Raises TooManyMails."""
    today = AuditEntry.objects.filter(
        actor_id=actor.pk, verb="member.invited", at__gt=Now() - timedelta(days=1)
    )
    if today.count() >= MAX_MAILS:
        raise TooManyMails(MAX_MAILS)


def _waiting(workspace: int, invitation: int) -> Invitation:
    """Raises NoSuchInvitation."""
    row = Invitation.objects.filter(workspace=workspace, pk=invitation).first()
    if row is None:
        raise NoSuchInvitation
    return row


def _sent(actor: User, row: Invitation, key: str) -> Invitation:
    row = Invitation.objects.select_related("workspace", "invited_by").get(pk=row.pk)
    audit.record(
        "member.invited", actor=actor, workspace=row.workspace, subject=row.email, role=row.role
    )
    transaction.on_commit(partial(invitations.send, row, key))
    return row
