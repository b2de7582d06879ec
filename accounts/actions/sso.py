"""Roles that the single sign-on gives and takes, by the rules of those that people give."""

import logging

from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator
from allauth.socialaccount.models import SocialAccount
from django.db import transaction

from accounts import audit
from accounts.actions import members, users
from accounts.actions.tokens import revoke_token
from accounts.claims import Mapped
from accounts.errors import LastAdministrator, LastOwner, Refusal
from accounts.models import ApiToken, Membership, User, Workspace
from accounts.roles import Role

logger = logging.getLogger(__name__)
BY = "single sign-on"


def apply_roles(user: User, said: Mapped) -> None:
    """What the provider said of somebody who is signing in. Where it says nothing, all stays.

    The last administrator of the site and the last owner of a workspace stay, which is logged.
    """
    if said.site is not None:
        try:
            row = users.set_site_role(user.pk, said.site, by=None, reason=BY)
            user.role, user.is_staff = row.role, row.is_staff
        except LastAdministrator:
            logger.warning("user %s stays the last administrator", user.pk)
    known = dict(Workspace.objects.filter(slug__in=said.workspaces).values_list("slug", "pk"))
    for slug, role in said.workspaces.items():
        if slug not in known:
            logger.warning("T2V_OIDC_ROLE_MAP names %s, which is no workspace", slug)
            continue
        try:
            _place(user, known[slug], role)
        except LastOwner:
            logger.warning("user %s stays the last owner of %s", user.pk, slug)
        except Refusal as refusal:  # it is full, or was deleted just now
            logger.warning("user %s comes not into %s: %s", user.pk, slug, refusal)
    user.__dict__.pop("memberships", None)


@transaction.atomic
def _place(user: User, workspace: int, role: Role | None) -> None:
    """Raises LastOwner, TooManyMembers, TooManyWorkspaces and NoSuchWorkspace."""
    place = members.lock(workspace)
    row = Membership.objects.filter(workspace=workspace, user=user).first()
    if row is None:
        if role is not None:
            members.admit(user, workspace=workspace, role=role)
            _note("member.joined", user, place, role=role.value)
        return
    if row.role == role:
        return
    if role is None:
        members.end(row)
        _note("member.removed", user, place, role=row.role)
        return
    if row.role == Role.OWNER:
        members.keep_an_owner(row)
    before, row.role = row.role, role.value
    row.save(update_fields=["role"])
    if role.rank < Role.MANAGER.rank:
        members.withdraw_theirs(row)
    _note("member.role_changed", user, place, was=before, role=role.value)


@transaction.atomic
def take_from_strangers(user: User) -> None:
    """Of an account whose address the provider has just verified, and nobody did before.

    Who made it may be somebody else: all that they could come back by goes. allauth takes the
    password and the sessions.
    """
    if EmailAddress.objects.filter(user=user, email=user.email, verified=True).exists():
        return
    for token in ApiToken.objects.filter(user=user):
        revoke_token(token)
    for factor in Authenticator.objects.filter(user=user):
        audit.record("mfa.removed", actor=None, subject=user.email, kind=str(factor.type), by=BY)
        factor.delete()
    SocialAccount.objects.filter(user=user).delete()
    EmailAddress.objects.filter(user=user).exclude(email=user.email).delete()
    EmailAddress.objects.update_or_create(
        user=user, email=user.email, defaults={"verified": True, "primary": True}
    )
    user.set_unusable_password()
    user.sessions_ended += 1
    user.save(update_fields=["password", "sessions_ended"])


def forget_claims_to(email: str) -> int:
    """What others began, an account's change to this address; how many there were."""
    claims = EmailAddress.objects.filter(email=email.lower(), verified=False)
    return int(claims.exclude(user__email=email.lower()).delete()[0])


def _note(verb: str, user: User, workspace: Workspace, **data: str) -> None:
    audit.record(verb, actor=None, workspace=workspace, subject=user.email, by=BY, **data)
