"""Tokens: what a program shows instead of a password."""

from collections.abc import Iterable
from datetime import timedelta

from django.db import transaction
from django.db.models.functions import Now

from accounts import audit
from accounts.errors import BadFields, TooManyTokens
from accounts.models import ApiToken, User, Workspace
from accounts.roles import ALL_SCOPES, SITE, Permission, Scope, roles_with

TOKEN_PREFIX = "t2v_"  # noqa: S105 - secret scanners know a token by it
MAX_TOKENS = 50  # of one person
MAX_TOKEN_DAYS = 3650
TOKEN_KEPT = timedelta(days=30)  # after it expired, so that its owner can read why all stopped


def issue_token(
    user: User,
    *,
    name: str,
    scopes: Iterable[str],
    expires_in: timedelta | None = None,
    workspace: Workspace | None = None,
) -> tuple[ApiToken, str]:
    """The token's row and the token itself, which nobody can read again.

    workspace: the only one that it is good in; the user must be in it. Raises BadFields and
    TooManyTokens.
    """
    wanted, bad = list(dict.fromkeys(scopes)), dict[str, str]()
    if not name.strip() or len(name) > 100 or not name.isprintable():
        bad["name"] = "Say in 1 to 100 characters what the token is for."
    if not wanted or not set(wanted) <= set(Scope):
        bad["scopes"] = f"Choose from {', '.join(Scope)}."
    elif Scope.ADMIN in wanted and not may_administer(user, workspace):
        bad["scopes"] = "The scope admin is for managers, owners and operators."
    elif Scope.ADMIN in wanted and Scope.ADMIN not in user.scopes:
        bad["scopes"] = "The scope admin needs a second factor; see Settings, Security."
    if workspace is not None and workspace.pk not in user.memberships:
        bad["workspace"] = "You are not in this workspace."
    elif user.only_in is not None and (workspace is None or workspace.pk != user.only_in):
        bad["workspace"] = "This token makes others for its own workspace only."
    if expires_in is not None and not timedelta(0) < expires_in <= timedelta(days=MAX_TOKEN_DAYS):
        bad["expires_in_days"] = f"From 1 to {MAX_TOKEN_DAYS} days, or nothing for no end."
    if bad:
        raise BadFields(bad)
    with transaction.atomic():
        User.objects.select_for_update().only("pk").get(pk=user.pk)  # so that they are counted
        if ApiToken.objects.filter(user=user).count() >= MAX_TOKENS:
            raise TooManyTokens(MAX_TOKENS)
        made: tuple[ApiToken, str] = ApiToken.objects.create(
            user, expires_in, name=name.strip(), scopes=wanted, workspace=workspace
        )
        audit.record("token.made", actor=user, workspace=workspace, subject=made[0].token_key)
    return made


def may_administer(user: User, workspace: Workspace | None = None) -> bool:
    """Whether the scope admin gives the user anything: in this workspace, or in any of theirs."""
    if SITE[user.site_role]:
        return True
    roles = roles_with(Permission.MANAGE_MEMBERS, owns=False, scopes=ALL_SCOPES)
    return any(
        role in roles
        for where, role in user.memberships.items()
        if workspace is None or where == workspace.pk
    )


@transaction.atomic
def revoke_token(token: ApiToken, *, by: User | None = None, reason: str = "") -> None:
    """At once, for all that it holds open, too. by: who does and why, if not its owner."""
    audit.record(
        "token.revoked",
        actor=by or token.user,
        workspace=token.workspace,
        subject=token.token_key,
        **({"reason": reason} if reason else {}),
    )
    token.delete()


def forget_expired_tokens() -> int:
    """How many there were."""
    gone: int = ApiToken.objects.filter(expiry__lte=Now() - TOKEN_KEPT).delete()[0]
    return gone
