"""Tokens: what is known of them, which is never what they are, nor their digest."""

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
    owners_named,
    person,
)
from accounts.models import ApiToken


@admin.register(ApiToken)
class ApiTokenAdmin(ListOnly, AdministratorsOnly):
    ordering = ("-created",)
    list_display = (
        "prefix",
        "name",
        "owner",
        "scoped",
        "workspace",
        "made",
        "ends",
        "used",
        "revoke",
    )
    made = at("created", "made")
    ends = at("expiry", "ends")
    used = at("last_used_at", "last used")
    list_select_related = ("user", "workspace")
    search_fields = ("token_key",)
    search_help_text = "A token's beginning, or its owner's address"

    def get_search_results(
        self, request: HttpRequest, queryset: "QuerySet[ApiToken]", search_term: str
    ) -> "tuple[QuerySet[ApiToken], bool]":
        term = search_term.strip().rstrip("…")
        if not term:
            return queryset, False
        if "@" in term:
            return queryset.filter(user__in=owners_named(term)), False
        return queryset.filter(token_key=term), False

    def get_urls(self) -> list[URLPattern]:
        own = path("<int:user>/<slug:prefix>/revoke/", _revoke, name="accounts_apitoken_revoke")
        return [own, *super().get_urls()]

    @admin.display(description="token")
    def prefix(self, token: ApiToken) -> str:
        return f"{token.token_key}…"

    @admin.display(description="owner")
    def owner(self, token: ApiToken) -> SafeString:
        return link("admin:accounts_user_change", token.user_id, token.user)

    @admin.display(description="scopes")
    def scoped(self, token: ApiToken) -> str:
        return ", ".join(token.scopes)

    @admin.display(description="")
    def revoke(self, token: ApiToken) -> SafeString:
        return link("admin:accounts_apitoken_revoke", token.user_id, token.token_key, "Revoke…")


@administrators_only
@require_http_methods(["GET", "HEAD", "POST"])
def _revoke(request: HttpRequest, user: int, prefix: str) -> HttpResponse:
    tokens = ApiToken.objects.select_related("user", "workspace")
    token = tokens.filter(token_key=prefix, user=user).first()
    if token is None:
        raise Http404("There is no such token.")
    form = filled(Reason, request)
    if not form.is_valid():
        question = Question(
            title=f"Revoke token {prefix}…?",
            words=f"“{token.name}”, of {token.user}. Programs that show it are refused at once, "
            "and what they hold open is closed. There is no way back: its owner makes a new one.",
            button="Revoke the token",
            back=reverse("admin:accounts_apitoken_changelist"),
        )
        return ask(request, question, form)
    actions.revoke_token(token, by=person(request), reason=form.cleaned_data["reason"])
    messages.success(request, f"Token {prefix}… of {token.user} is revoked.")
    return redirect("admin:accounts_apitoken_changelist")
