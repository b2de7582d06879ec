"""Users: who they are, what they may do, and the verbs of administrators on them."""

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.db.models import Q, QuerySet
from django.db.models.functions import Lower
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import URLPattern, path, reverse
from django.views.decorators.http import require_http_methods

from accounts import actions
from accounts.console import (
    Act,
    AdministratorsOnly,
    Question,
    Reason,
    Table,
    administrators_only,
    ask,
    at,
    filled,
    link,
    person,
)
from accounts.errors import Refusal
from accounts.models import ApiToken, Membership, User
from accounts.roles import SiteRole

SHOWN = 100  # rows of each table


class StandingFilter(admin.SimpleListFilter):
    """Each by an index of its own."""

    title = "standing"
    parameter_name = "standing"
    STAFF, CLOSED = "staff", "closed"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(self.STAFF, "Operators and administrators"), (self.CLOSED, "Closed accounts")]

    def queryset(self, request: HttpRequest, queryset: "QuerySet[User]") -> "QuerySet[User]":
        if self.value() == self.STAFF:
            return queryset.exclude(role=SiteRole.MEMBER)
        return queryset.filter(is_active=False) if self.value() == self.CLOSED else queryset


@admin.register(User)
class UserAdmin(AdministratorsOnly):
    ordering = ("email",)
    list_display = ("email", "role", "standing", "signed_in", "joined")
    list_filter = (StandingFilter,)
    search_fields = ("email",)
    search_help_text = "An address, or its beginning"
    fields = list_display
    readonly_fields = ("standing", "signed_in", "joined")
    signed_in = at("last_login", "last signed in")
    joined = at("date_joined", "joined")

    @admin.display(description="account")
    def standing(self, user: User) -> str:
        return "open" if user.is_active else "closed"

    def get_search_results(
        self, request: HttpRequest, queryset: "QuerySet[User]", search_term: str
    ) -> "tuple[QuerySet[User], bool]":
        """By two indexes: of addresses as they are written, and of them in lower case."""
        term = search_term.strip().lower()
        if not term:
            return queryset, False
        lower = queryset.alias(lower=Lower("email"))
        return lower.filter(Q(lower=term) | Q(email__startswith=term)), False

    def get_urls(self) -> list[URLPattern]:
        own = [
            path("<int:user>/role/", _role, name="accounts_user_role"),
            path("<int:user>/close/", _close, name="accounts_user_close"),
            path("<int:user>/open/", _open, name="accounts_user_open"),
            path("<int:user>/end-sessions/", _end_sessions, name="accounts_user_end_sessions"),
        ]
        return [*own, *super().get_urls()]

    def acts(self, obj: User) -> list[Act]:
        standing = (
            Act("Close the account…", reverse("admin:accounts_user_close", args=[obj.pk]), True)
            if obj.is_active
            else Act("Open the account…", reverse("admin:accounts_user_open", args=[obj.pk]))
        )
        return [
            Act("Change the role…", reverse("admin:accounts_user_role", args=[obj.pk])),
            Act(
                "End all sessions…",
                reverse("admin:accounts_user_end_sessions", args=[obj.pk]),
            ),
            standing,
        ]

    def tables(self, obj: User) -> list[Table]:
        inside = Membership.objects.filter(user=obj).select_related("workspace")
        tokens = ApiToken.objects.filter(user=obj).order_by("-created")
        return [
            Table.of(
                "Workspaces",
                ("Workspace", "Role", "Since"),
                [
                    (
                        link("admin:accounts_workspace_change", each.workspace_id, each.workspace),
                        each.role,
                        f"{each.joined_at:%Y-%m-%d}",
                    )
                    for each in inside.order_by("joined_at")[:SHOWN]
                ],
                empty="In no workspace.",
            ),
            Table.of(
                "Tokens",
                ("Token", "Name", "Scopes", "Last used"),
                [
                    (
                        f"{each.token_key}…",
                        each.name,
                        ", ".join(each.scopes),
                        f"{each.last_used_at:%Y-%m-%d %H:%M}" if each.last_used_at else "never",
                    )
                    for each in tokens[:SHOWN]
                ],
                empty="No token.",
            ),
        ]


class RoleForm(Reason):
    role = forms.ChoiceField(choices=[(role.value, role.name.title()) for role in SiteRole])
    field_order = ("role", "reason")


@administrators_only
@require_http_methods(["GET", "HEAD", "POST"])
def _role(request: HttpRequest, user: int) -> HttpResponse:
    row = _user(user)
    form = filled(RoleForm, request, role=row.role)
    question = _question(
        row,
        title=f"Role of {row.email}",
        words="An operator sees every job and keeps the service running; an administrator may do "
        "everything, in every workspace. It takes effect at once.",
        button="Set the role",
    )
    if not form.is_valid():
        return ask(request, question, form)
    given = form.cleaned_data
    try:
        actions.set_site_role(
            row.pk, SiteRole(given["role"]), by=person(request), reason=given["reason"]
        )
    except Refusal as refusal:
        form.add_error("role", str(refusal))
        return ask(request, question, form)
    messages.success(request, f"{row.email} is {given['role']} from now on.")
    return redirect("admin:accounts_user_change", row.pk)


@administrators_only
@require_http_methods(["GET", "HEAD", "POST"])
def _close(request: HttpRequest, user: int) -> HttpResponse:
    row = _user(user)
    question = _question(
        row,
        title=f"Close the account of {row.email}?",
        words="Its sessions, tokens and live connections end at once, and nobody can sign in with "
        "it. Its jobs go on, and nothing is deleted; it can be opened again.",
        button="Close the account",
    )
    return _standing(request, row, question, active=False)


@administrators_only
@require_http_methods(["GET", "HEAD", "POST"])
def _open(request: HttpRequest, user: int) -> HttpResponse:
    row = _user(user)
    question = _question(
        row,
        title=f"Open the account of {row.email}?",
        words="They can sign in again, and their tokens are good again.",
        button="Open the account",
    )
    return _standing(request, row, question, active=True)


def _standing(request: HttpRequest, row: User, question: Question, *, active: bool) -> HttpResponse:
    form = filled(Reason, request)
    if not form.is_valid():
        return ask(request, question, form)
    try:
        actions.set_active(row.pk, active, by=person(request), reason=form.cleaned_data["reason"])
    except Refusal as refusal:
        form.add_error(None, str(refusal))
        return ask(request, question, form)
    messages.success(request, f"The account of {row.email} is {'open' if active else 'closed'}.")
    return redirect("admin:accounts_user_change", row.pk)


@administrators_only
@require_http_methods(["GET", "HEAD", "POST"])
def _end_sessions(request: HttpRequest, user: int) -> HttpResponse:
    row = _user(user)
    form = filled(Reason, request)
    if not form.is_valid():
        question = _question(
            row,
            title=f"End all sessions of {row.email}?",
            words="Every browser and application that is signed in as them is signed out at once, "
            "with what it holds open. Tokens stay: those are revoked one by one.",
            button="End all sessions",
        )
        return ask(request, question, form)
    actions.end_sessions(row.pk, by=person(request), reason=form.cleaned_data["reason"])
    messages.success(request, f"All sessions of {row.email} are ended.")
    return redirect("admin:accounts_user_change", row.pk)


def _user(user: int) -> User:
    row = User.objects.filter(pk=user).first()
    if row is None:
        raise Http404("There is no such user.")
    return row


def _question(row: User, *, title: str, words: str, button: str) -> Question:
    back = reverse("admin:accounts_user_change", args=[row.pk])
    return Question(title=title, words=words, button=button, back=back)
