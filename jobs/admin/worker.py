"""Workers in the console."""

from django.contrib import admin

from jobs.admin.operators import ReadOnly
from jobs.models import Worker


@admin.register(Worker)
class WorkerAdmin(ReadOnly, admin.ModelAdmin):  # type: ignore[type-arg]  # not generic when it runs
    list_display = (
        "name",
        "pool",
        "device",
        "ready_at",
        "seen_at",
        "drain_requested_at",
        "trouble",
    )
    list_filter = ("pool",)
    search_fields = ("name",)
    ordering = ("-seen_at", "name")
    show_full_result_count = False
