"""Pages of a workspace's people: who is in it, as what, and who is invited."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

from allauth.account.decorators import reauthentication_required
from django.contrib import messages
from django.db.models import Q, QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.http import urlencode
from django.views.decorators.http import require_http_methods, require_POST

from accounts import actions, workspaces
from accounts.errors import BadFields, Refusal
from accounts.invitations import GOOD_FOR
from accounts.models import Invitation, Membership, User, Workspace
from accounts.roles import Permission, Role
from accounts.workspace_forms import MOST_AT_ONCE, WORDS, InviteForm, roles_to_give
from accounts.workspace_pages import PAGE, View, done, in_workspace

MEMBERS_ON_A_PAGE = 50
LONGEST_SEARCH = 254  # characters, as an address


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A member, and what the viewer may do about them."""

    member: Membership
    roles: list[Role]  # to choose from; none: nothing may be changed
    removable: bool


@in_workspace
@require_http_methods(PAGE)
def members(request: HttpRequest, workspace: Workspace) -> HttpResponse:
    """The list, those who are invited, and a form to invite others."""
    user, status = cast(User, request.user), 200
    manages = workspaces.may(user, Permission.MANAGE_MEMBERS, workspace.pk)
    owns = workspaces.may(user, Permission.EDIT_WORKSPACE, workspace.pk)
    give = roles_to_give(manages=manages, owns=owns)
    form = InviteForm(give)
    if request.method == "POST":
        form = InviteForm(give, request.POST)
        status = _invite(request, workspace, form)
        if status == 302:
            return redirect("members", slug=workspace.slug)
    inside = Membership.objects.filter(workspace=workspace)
    sought = request.GET.get("q", "").replace("\0", "").strip()[:LONGEST_SEARCH]
    rows, following = _page(_found(inside, sought), after=request.GET.get("after", ""))
    waiting = Invitation.objects.filter(workspace=workspace).order_by("email")
    here = {"q": sought} if sought else {}
    context = {
        "shown": workspace,
        "form": form,
        "rows": [_row(member, user, give) for member in rows],
        "count": inside.count(),  # at most 500
        "sought": sought,
        "first": f"?{urlencode(here)}" if "after" in request.GET else None,
        "next": following and f"?{urlencode({**here, 'after': following})}",
        "invitations": [(each, Role(each.role) in give) for each in waiting] if manages else [],
        "manages": manages,
        "role": user.memberships.get(workspace.pk),
        "roles": WORDS,
        "days": GOOD_FOR.days,
        "most_at_once": MOST_AT_ONCE,
        "many": MEMBERS_ON_A_PAGE // 2,
    }
    return render(request, "settings/members.html", context, status=status)


def _found(inside: QuerySet[Membership], sought: str) -> QuerySet[Membership]:
    if not sought:
        return inside
    return inside.filter(Q(user__email__icontains=sought) | Q(user__name__icontains=sought))


def _page(among: QuerySet[Membership], *, after: str) -> tuple[Sequence[Membership], str | None]:
    """Those whose address comes behind that one, and the last one's if there are more."""
    if after and "\0" not in after:
        among = among.filter(user__email__gt=after)
    found = among.select_related("user").order_by("user__email")[: MEMBERS_ON_A_PAGE + 1]
    rows = list(found)
    more = len(rows) > MEMBERS_ON_A_PAGE
    rows = rows[:MEMBERS_ON_A_PAGE]
    return rows, rows[-1].user.email if more else None


def _row(member: Membership, viewer: User, give: list[Role]) -> Row:
    within = Role(member.role) in give
    return Row(
        member=member,
        roles=give if within else [],
        removable=within and member.user_id != viewer.pk,
    )


def _invite(request: HttpRequest, workspace: Workspace, form: InviteForm) -> int:
    """Each address by itself: 302 when all were invited. Else those who were not stay in the form,
    each with the reason, and the status is that of the last refusal."""
    if not form.is_valid():
        return 400
    user, role = cast(User, request.user), Role(form.cleaned_data["role"])
    wanted: list[str] = form.cleaned_data["email"]
    sent, refused, status = list[str](), list[str](), 302
    for place, email in enumerate(wanted):
        try:
            actions.invite(user, workspace=workspace.pk, email=email, role=role)
        except BadFields as refusal:
            status = refusal.status
            refused.append(email)
            words = next(iter(refusal.fields.values()))
            form.add_error("email", words if len(wanted) == 1 else f"{email}: {words}")
        except Refusal as refusal:  # which the others would meet, too
            status = refusal.status
            refused += wanted[place:]
            form.add_error(None, str(refusal))
            break
        else:
            sent.append(email)
    if sent:
        one = f"The invitation is on its way to {sent[0]}."
        several = f"{len(sent)} invitations are on their way."
        messages.success(request, one if len(sent) == 1 else several)
    form.keep(refused)
    return status


@in_workspace
@require_POST
def member_role(request: HttpRequest, workspace: Workspace, member_id: int) -> HttpResponse:
    """?role= of the address is what Undo posts to."""
    wanted = request.POST.get("role") or request.GET.get("role")
    if wanted not in set(Role):
        raise Http404("There is no such role.")
    # To make somebody an owner is to hand it over.
    change: View = reauthentication_required(_change) if wanted == Role.OWNER else _change
    return change(request, workspace, member_id, Role(wanted))


def _change(request: HttpRequest, workspace: Workspace, member_id: int, role: Role) -> HttpResponse:
    user = cast(User, request.user)
    row = Membership.objects.filter(workspace=workspace, pk=member_id)
    before = row.values_list("role", flat=True).first()
    undo = ""
    if before and before != role and Role.OWNER not in {role, before}:
        back = reverse("member_role", args=[workspace.slug, member_id])
        undo = f"{back}?{urlencode({'role': before})}"
    done(
        request,
        lambda: actions.set_role(user, workspace=workspace.pk, member=member_id, role=role),
        "The role is changed, for all that they have open, too.",
        undo=undo,
    )
    return redirect("members", slug=workspace.slug)


@in_workspace
@require_POST
def member_remove(request: HttpRequest, workspace: Workspace, member_id: int) -> HttpResponse:
    user = cast(User, request.user)
    done(
        request,
        lambda: actions.remove(user, workspace=workspace.pk, member=member_id),
        "They are out, with all that they had open. Their videos stay.",
    )
    return redirect("members", slug=workspace.slug)


@in_workspace
@require_POST
def invitation_resend(
    request: HttpRequest, workspace: Workspace, invitation_id: int
) -> HttpResponse:
    user = cast(User, request.user)
    done(
        request,
        lambda: actions.resend(user, workspace=workspace.pk, invitation=invitation_id),
        "A new link is on its way; the one before is good no more.",
    )
    return redirect("members", slug=workspace.slug)


@in_workspace
@require_POST
def invitation_withdraw(
    request: HttpRequest, workspace: Workspace, invitation_id: int
) -> HttpResponse:
    user = cast(User, request.user)
    done(
        request,
        lambda: actions.withdraw(user, workspace=workspace.pk, invitation=invitation_id),
        "The invitation is withdrawn, and its link opens nothing.",
    )
    return redirect("members", slug=workspace.slug)
