"""Workers in the console."""

from typing import ClassVar
from urllib.parse import urlencode

from django.contrib import admin
from django.urls import reverse

from accounts.console import Act, Listed, at
from jobs.models import Worker


@admin.register(Worker)
class WorkerAdmin(Listed):
    list_display = (
        "name",
        "pool",
        "device",
        "ready",
        "seen",
        "draining",
        "trouble",
    )
    started = at("started_at", "started")
    ready = at("ready_at", "ready since")
    seen = at("seen_at", "last sign")
    draining = at("drain_requested_at", "drains since")
    readonly_fields = ("started", "ready", "seen", "draining")
    list_filter = ("pool",)
    search_fields = ("name",)
    ordering = ("-seen_at", "name")
    fields: ClassVar = (*list_display[:3], "started", *list_display[3:])

    def acts(self, obj: Worker) -> list[Act]:
        where = f"{reverse('queue_drain')}?{urlencode({'worker': obj.name})}"
        return [Act("Resume…", where) if obj.drain_requested_at else Act("Drain…", where, True)]
