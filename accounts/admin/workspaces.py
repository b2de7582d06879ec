"""Workspaces: who is in them, and how much they may use."""

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import URLPattern, path, reverse

from accounts.admin import quotas
from accounts.admin.quotas import QUOTAS
from accounts.console import Act, AdministratorsOnly, Table, at, link, owners_named
from accounts.models import Membership, Quotas, Workspace

SHOWN = 100  # members


@admin.register(Workspace)
class WorkspaceAdmin(AdministratorsOnly):
    ordering = ("-pk",)
    list_display = ("name", "slug", "made", "own_quotas")
    readonly_fields = ("made",)
    made = at("created_at", "made")
    search_fields = ("slug",)
    search_help_text = "A slug's beginning, or a member's address"
    fields = ("name", "slug", "made", *QUOTAS)

    def get_search_results(
        self, request: HttpRequest, queryset: "QuerySet[Workspace]", search_term: str
    ) -> "tuple[QuerySet[Workspace], bool]":
        term = search_term.strip().lower()
        if not term:
            return queryset, False
        if "@" in term:
            inside = Membership.objects.filter(user__in=owners_named(term))
            return queryset.filter(pk__in=inside.values("workspace")), False
        return queryset.filter(slug__startswith=term), False

    def get_urls(self) -> list[URLPattern]:
        own = [
            path("<int:workspace>/quotas/", quotas.of_workspace, name="accounts_workspace_quotas"),
            path("member/<int:member>/quotas/", quotas.of_member, name="accounts_member_quotas"),
        ]
        return [*own, *super().get_urls()]

    @admin.display(description="own quotas", empty_value="the site's")
    def own_quotas(self, workspace: Workspace) -> str | None:
        return quota_words(workspace) or None

    def acts(self, obj: Workspace) -> list[Act]:
        return [
            Act("Set quotas…", reverse("admin:accounts_workspace_quotas", args=[obj.pk])),
            Act("Members and invitations", reverse("members", args=[obj.slug])),
            Act("Name and owner", reverse("workspace", args=[obj.slug])),
        ]

    def tables(self, obj: Workspace) -> list[Table]:
        members = Membership.objects.filter(workspace=obj).select_related("user")
        rows: list[tuple[Any, ...]] = [
            (
                link("admin:accounts_user_change", each.user_id, each.user),
                each.role,
                f"{each.joined_at:%Y-%m-%d}",
                quota_words(each) or "the site's",
                link("admin:accounts_member_quotas", each.pk, "Set quotas…"),
            )
            for each in members.order_by("joined_at", "pk")[: SHOWN + 1]
        ]
        heads = ("Member", "Role", "Since", "Own quotas", "")
        return [Table.of("Members", heads, rows, empty="Nobody is in it.", most=SHOWN)]


def quota_words(row: Quotas) -> str:
    """Those that were set here, as "max_running 2"; empty when none was."""
    given = ((name, getattr(row, name)) for name in QUOTAS)
    return ", ".join(
        f"{name.removeprefix('max_').replace('_', ' ')} {value:,}"
        for name, value in given
        if value is not None
    )
