"""Who may come in, and what is noted of what they do."""

import logging
from collections.abc import Callable, Iterable
from functools import wraps
from typing import Any, cast

from django.contrib import admin
from django.contrib.admin.models import CHANGE, LogEntry
from django.core.exceptions import PermissionDenied
from django.db import models
from django.http import HttpRequest, HttpResponse

from accounts.models import User
from accounts.roles import Role

logger = logging.getLogger(__name__)
View = Callable[..., HttpResponse]


def is_operator(request: HttpRequest) -> bool:
    user = request.user
    return isinstance(user, User) and user.is_staff and user.role == Role.OPERATOR


def operators_only(view: View) -> View:
    """To the sign-in for those who may not enter the console; 403 for other staff. Never cached."""

    @wraps(view)
    def checked(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        if not is_operator(request):
            raise PermissionDenied
        return view(request, *args, **kwargs)

    guarded: View = admin.site.admin_view(checked)
    return guarded


def note(request: HttpRequest, rows: Iterable[models.Model], what: str) -> None:
    """Into each row's history and the log: who did what."""
    noted, who = list(rows), cast(User, request.user)
    if not noted:
        return
    LogEntry.objects.log_actions(
        user_id=who.pk, queryset=noted, action_flag=CHANGE, change_message=what
    )
    which = str(noted[0]) if len(noted) == 1 else f"{len(noted)} rows"
    logger.info("operator %s: %s: %s", who.pk, which, what)


class ReadOnly:
    """For operators to see; nobody may add, change or delete here."""

    def has_view_permission(self, request: HttpRequest, obj: models.Model | None = None) -> bool:
        return is_operator(request)

    def has_module_permission(self, request: HttpRequest) -> bool:
        return is_operator(request)

    def has_add_permission(self, request: HttpRequest, obj: models.Model | None = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: models.Model | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: models.Model | None = None) -> bool:
        return False
