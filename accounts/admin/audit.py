"""The audit log: to read. Nobody changes it, and the database holds them to that."""

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest

from accounts.console import AdministratorsOnly, ListOnly, at
from accounts.models import AuditEntry


@admin.register(AuditEntry)
class AuditEntryAdmin(ListOnly, AdministratorsOnly):
    ordering = ("-at", "-id")
    list_display = (
        "moment",
        "verb",
        "by",
        "workspace",
        "subject",
        "more",
        "address",
        "request_id",
    )
    moment = at("at", "at")
    search_fields = ("actor",)
    search_help_text = "An address (who), or what it was done to"

    def get_search_results(
        self, request: HttpRequest, queryset: "QuerySet[AuditEntry]", search_term: str
    ) -> "tuple[QuerySet[AuditEntry], bool]":
        """Each by an index of its own, in the list's order."""
        term = search_term.strip()
        if not term:
            return queryset, False
        if "@" in term:
            return queryset.filter(actor=term.lower()), False
        return queryset.filter(subject=term), False

    @admin.display(description="by")
    def by(self, entry: AuditEntry) -> str:
        return f"{entry.actor or 'nobody'} ({entry.via})" if entry.via else entry.actor or "nobody"

    @admin.display(description="more")
    def more(self, entry: AuditEntry) -> str:
        return "; ".join(f"{name}: {value}" for name, value in entry.data.items())
