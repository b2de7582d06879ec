"""The operators' console as a site: who comes in, and what its menu leads to."""

from dataclasses import dataclass
from functools import wraps
from typing import Any

from django.core.exceptions import PermissionDenied
from django.db import models
from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern, URLResolver, reverse
from unfold.sites import UnfoldAdminSite

from accounts.console import administers, operates

OURS = frozenset({"accounts", "jobs"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    title: str
    icon: str  # of Material Symbols
    name: str  # of the address
    words: str


OPERATE = (
    Place(title="Queue", icon="queue", name="queue", words="What runs, waits and is parked now."),
    Place(
        title="Jobs",
        icon="movie",
        name="admin:jobs_job_changelist",
        words="Every job, with all that is known of it.",
    ),
    Place(
        title="Workers",
        icon="memory",
        name="admin:jobs_worker_changelist",
        words="Who renders; drain and resume.",
    ),
    Place(
        title="Models",
        icon="neurology",
        name="console_models",
        words="What is on offer, and how much of it.",
    ),
)
ADMINISTER = (
    Place(
        title="Workspaces",
        icon="workspaces",
        name="admin:accounts_workspace_changelist",
        words="Who shares what, and their quotas.",
    ),
    Place(
        title="Users",
        icon="person",
        name="admin:accounts_user_changelist",
        words="Roles, open and closed accounts, sessions.",
    ),
    Place(
        title="Tokens",
        icon="key",
        name="admin:accounts_apitoken_changelist",
        words="What programs show; never the token itself.",
    ),
    Place(
        title="Invitations",
        icon="mail",
        name="admin:accounts_invitation_changelist",
        words="Who was asked to come in and has not answered.",
    ),
    Place(
        title="Audit log",
        icon="receipt_long",
        name="admin:accounts_auditentry_changelist",
        words="Who did what, when, from where and why.",
    ),
)


class Console(UnfoldAdminSite):  # type: ignore[misc]  # unfold has no types
    """Django's admin in unfold's frame, for operators and administrators."""

    index_title = "Console"
    enable_nav_sidebar = True

    def register(self, model_or_iterable: Any, *args: Any, **options: Any) -> None:
        """Our own models alone: others' pages would show the secrets of sign-in and of MFA."""
        several = model_or_iterable if isinstance(model_or_iterable, list | tuple) else None
        wanted: list[type[models.Model]] = list(several or [model_or_iterable])
        if ours := [model for model in wanted if model._meta.app_label in OURS]:
            super().register(ours, *args, **options)

    def has_permission(self, request: HttpRequest) -> bool:
        return operates(request)

    def admin_view(self, view: Any, cacheable: bool = False) -> Any:
        """Somebody else who is signed in gets a 403; nobody is sent to the sign-in."""
        usual = super().admin_view(view, cacheable)

        @wraps(usual)
        def checked(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
            signed_in = request.user.is_authenticated
            if signed_in and not self.has_permission(request):
                raise PermissionDenied
            answer: HttpResponse = usual(request, *args, **kwargs)
            return answer

        return checked

    def each_context(self, request: HttpRequest) -> dict[str, Any]:
        """What was done stands in the audit log, not in histories of the admin's own."""
        context: dict[str, Any] = super().each_context(request)
        return {**context, "show_history": False}

    def get_urls(self) -> list[URLPattern | URLResolver]:
        """Less what this console has no use for: a search through everything, and passwords."""
        unused = {"search", "password_change", "password_change_done", "view_on_site"}
        return [each for each in super().get_urls() if getattr(each, "name", "") not in unused]

    def get_sidebar_list(self, request: HttpRequest) -> list[dict[str, Any]]:
        groups = [{"title": "Operate", "items": _items(request, OPERATE)}]
        if administers(request):
            groups.append({"title": "Administer", "items": _items(request, ADMINISTER)})
        return groups


def _items(request: HttpRequest, places: tuple[Place, ...]) -> list[dict[str, Any]]:
    return [
        {
            "title": place.title,
            "icon": place.icon,
            "words": place.words,
            "link": reverse(place.name),
            "active": request.path.startswith(reverse(place.name)),
            "has_permission": True,
        }
        for place in places
    ]
