"""Where the link of an invitation leads: who invites into what, and two ways to accept."""

from allauth.account.adapter import get_adapter
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render, resolve_url
from django.utils.http import urlencode
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from accounts import actions, invitations
from accounts.errors import NoSuchInvitation, Refusal
from accounts.models import Invitation


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def invitation(request: HttpRequest, key: str) -> HttpResponse:
    """Looking changes nothing: programs of mail servers look at links, too."""
    found = invitations.found(key)
    if found is None:
        return _gone(request)
    if request.method != "POST":
        return _page(request, found)
    if not request.user.is_authenticated:
        return _to_sign_up(request, found, key)
    try:
        actions.accept(request.user, key)
    except NoSuchInvitation:
        return _gone(request)
    except Refusal as refusal:
        return _page(request, found, status=refusal.status, refusal=str(refusal))
    messages.success(request, f"You are in “{found.workspace.name}” now.")
    return redirect("home")


def _page(
    request: HttpRequest, found: Invitation, *, status: int = 200, refusal: str = ""
) -> HttpResponse:
    user = request.user
    context = {
        "found": found,
        "theirs": user.is_authenticated and actions.is_for(user, found),
        "refusal": refusal,
        "next": urlencode({"next": request.path}),
    }
    return _unlogged(render(request, "invitation.html", context, status=status))


def _gone(request: HttpRequest) -> HttpResponse:
    return _unlogged(render(request, "invitation.html", {"found": None}, status=404))


def _unlogged(answer: HttpResponse) -> HttpResponse:
    """Django would write a refused address into the log, and in it the link, which may be good."""
    answer._has_been_logged = answer.status_code >= 400  # type: ignore[attr-defined]  # its own
    return answer


def _to_sign_up(request: HttpRequest, found: Invitation, key: str) -> HttpResponse:
    """Whoever has the link has the mail: the new account's address counts as verified."""
    get_adapter().stash_verified_email(request, found.email)
    actions.forget_claims_to(found.email)  # else it would count as somebody else's
    request.session[invitations.SESSION_KEY] = invitations.digest_of(key)
    back = urlencode({"next": request.path})
    return redirect(f"{resolve_url('account_signup')}?{back}")
