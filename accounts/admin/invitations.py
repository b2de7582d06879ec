"""Invitations that nobody has answered yet; never their links, nor the digests of those."""

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import URLPattern, path, reverse
from django.utils.safestring import SafeString
from django.views.decorators.http import require_http_methods

from accounts import actions
from accounts.console import (
    AdministratorsOnly,
    ListOnly,
    Question,
    Reason,
    administrators_only,
    ask,
    at,
    filled,
    link,
    person,
)
from accounts.errors import Refusal
from accounts.models import Invitation


@admin.register(Invitation)
class InvitationAdmin(ListOnly, AdministratorsOnly):
    ordering = ("-pk",)
    list_display = ("email", "into", "role", "invited_by", "made", "ends", "withdraw")
    made = at("created_at", "made")
    ends = at("expires_at", "ends")
    list_select_related = ("workspace", "invited_by")
    search_fields = ("email",)
    search_help_text = "An address, or a workspace's slug"

    def get_search_results(
        self, request: HttpRequest, queryset: "QuerySet[Invitation]", search_term: str
    ) -> "tuple[QuerySet[Invitation], bool]":
        term = search_term.strip().lower()
        if not term:
            return queryset, False
        if "@" in term:
            return queryset.filter(email=term), False
        return queryset.filter(workspace__slug=term), False

    def get_urls(self) -> list[URLPattern]:
        own = path("<int:invitation>/withdraw/", _withdraw, name="accounts_invitation_withdraw")
        return [own, *super().get_urls()]

    @admin.display(description="")
    def withdraw(self, invitation: Invitation) -> SafeString:
        return link("admin:accounts_invitation_withdraw", invitation.pk, "Withdraw…")

    @admin.display(description="into")
    def into(self, invitation: Invitation) -> SafeString:
        place = invitation.workspace
        return link("admin:accounts_workspace_change", place.pk, place)


@administrators_only
@require_http_methods(["GET", "HEAD", "POST"])
def _withdraw(request: HttpRequest, invitation: int) -> HttpResponse:
    row = Invitation.objects.select_related("workspace").filter(pk=invitation).first()
    if row is None:
        raise Http404("There is no such invitation any more.")
    form = filled(Reason, request)
    if not form.is_valid():
        question = Question(
            title=f"Withdraw the invitation of {row.email}?",
            words=f"Its link into {row.workspace} is good no more.",
            button="Withdraw it",
            back=reverse("admin:accounts_invitation_changelist"),
        )
        return ask(request, question, form)
    reason = form.cleaned_data["reason"]
    try:
        actions.withdraw(
            person(request), workspace=row.workspace_id, invitation=row.pk, reason=reason
        )
    except Refusal as refusal:
        messages.warning(request, str(refusal))
    else:
        messages.success(request, f"The invitation of {row.email} is withdrawn.")
    return redirect("admin:accounts_invitation_changelist")
