"""Jobs in the admin console: to look at, never to write (jobs/actions.py is the only writer)."""

from typing import ClassVar

from django.contrib import admin
from django.db import models
from django.http import HttpRequest

from accounts.models import User
from accounts.roles import Role
from jobs.models import Attempt, Job, JobEvent, Worker


class ReadOnly:
    """For operators to see; nobody may add, change or delete here."""

    def has_view_permission(self, request: HttpRequest, obj: models.Model | None = None) -> bool:
        user = request.user
        return isinstance(user, User) and user.is_staff and user.role == Role.OPERATOR

    def has_module_permission(self, request: HttpRequest) -> bool:
        return self.has_view_permission(request)

    def has_add_permission(self, request: HttpRequest, obj: models.Model | None = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: models.Model | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: models.Model | None = None) -> bool:
        return False


class AttemptRows(ReadOnly, admin.TabularInline):  # type: ignore[type-arg]  # not generic when it runs
    model = Attempt
    extra = 0


class EventRows(ReadOnly, admin.TabularInline):  # type: ignore[type-arg]
    model = JobEvent
    extra = 0


@admin.register(Job)
class JobAdmin(ReadOnly, admin.ModelAdmin):  # type: ignore[type-arg]
    list_display = ("id", "owner", "state", "attempt", "error_code", "created_at")
    list_filter = ("state",)
    list_select_related = ("owner",)
    show_full_result_count = False
    ordering = ("-created_at",)
    inlines: ClassVar = [AttemptRows, EventRows]


@admin.register(Worker)
class WorkerAdmin(ReadOnly, admin.ModelAdmin):  # type: ignore[type-arg]
    list_display = ("name", "pool", "device", "started_at", "ready_at", "seen_at")
