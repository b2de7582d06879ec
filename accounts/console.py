"""What the operators' console stands on: who comes in, lists that never count, and asking first."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property, wraps
from typing import Any, ClassVar, cast

from allauth.account.decorators import reauthentication_required
from django import forms
from django.contrib import admin
from django.contrib.admin.helpers import ActionForm
from django.core.exceptions import PermissionDenied
from django.core.paginator import Paginator
from django.db import models
from django.db.models import QuerySet
from django.db.models.functions import Lower
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import URLPattern, reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from unfold.admin import ModelAdmin
from unfold.views import ChangeList

from accounts.models import User
from accounts.roles import Permission, allows

View = Callable[..., HttpResponse]

COUNTED = 10_000  # rows of a list; nobody turns a hundred pages
REASON_CHARS = 200


def _may(request: HttpRequest, permission: Permission) -> bool:
    user = request.user
    if not isinstance(user, User) or not user.is_active:
        return False
    return allows(permission, site=user.site_role, role=None, scopes=user.scopes)


def operates(request: HttpRequest) -> bool:
    return _may(request, Permission.OPERATE)


def administers(request: HttpRequest) -> bool:
    return _may(request, Permission.ADMINISTER)


def person(request: HttpRequest) -> User:
    """Of a request that was let in."""
    return cast(User, request.user)


def operators_only(view: View) -> View:
    """To the sign-in for those who are nobody yet, 403 for everyone else. Never cached."""
    return _guarded(view, operates)


def administrators_only(view: View) -> View:
    """As operators_only, and they have proved a moment ago who they are."""
    return _guarded(reauthentication_required(view), administers)


def _guarded(view: View, allowed: Callable[[HttpRequest], bool]) -> View:
    @wraps(view)
    def checked(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        if not allowed(request):
            raise PermissionDenied
        return view(request, *args, **kwargs)

    guarded: View = admin.site.admin_view(checked)
    return guarded


class Reason(forms.Form):
    """Every dangerous action has one; it stands in the audit log."""

    reason = forms.CharField(
        max_length=REASON_CHARS,
        help_text="It stands in the audit log beside your name.",
        widget=forms.TextInput(attrs={"autocomplete": "off"}),
    )


def filled(form: type[forms.Form], request: HttpRequest, **initial: Any) -> forms.Form:
    """What was sent; or an empty one, which is not valid."""
    return form(request.POST if request.method == "POST" else None, initial=initial)


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    title: str
    words: str  # what will happen
    button: str
    back: str  # address for those who change their mind
    danger: bool = True


def ask(request: HttpRequest, question: Question, form: forms.Form) -> HttpResponse:
    """A page of its own: it works without a script."""
    context = {
        **admin.site.each_context(request),
        "title": question.title,
        "question": question,
        "form": form,
    }
    return render(request, "admin/console/ask.html", context)


def link(name: str, *args: Any) -> SafeString:
    """To the address of that name: its arguments, then the words."""
    *where, words = args
    return format_html('<a href="{}">{}</a>', reverse(name, args=where), words)


def at(field: str, words: str) -> Callable[[Any, Any], str]:
    """A column of a moment, to the second."""

    @admin.display(description=f"{words} (UTC)")
    def shown(_: Any, row: Any) -> str:
        moment: datetime | None = getattr(row, field)
        return "–" if moment is None else f"{moment:%Y-%m-%d %H:%M:%S}"

    return shown


def owners_named(email: str) -> list[int]:
    """Whose whole address that is, by the index of addresses in lower case; one at the most.

    Their keys, not a query within another: of that Postgres reads 100,000 rows where it needs one.
    """
    found = User.objects.alias(lower=Lower("email")).filter(lower=email.lower())
    return list(found.values_list("pk", flat=True))


@dataclass(frozen=True, slots=True)
class Act:
    """One thing that can be done on a page."""

    words: str
    address: str
    danger: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """Of a page: each cell knows its column, which a phone shows before it."""

    title: str
    heads: tuple[str, ...]
    rows: list[list[tuple[str, Any]]]
    empty: str
    more: bool  # there are more than are shown

    @classmethod
    def of(
        cls,
        title: str,
        heads: tuple[str, ...],
        rows: list[tuple[Any, ...]],
        *,
        empty: str,
        most: int = 100,
    ) -> "Table":
        paired = [list(zip(heads, row, strict=True)) for row in rows[:most]]
        return cls(title=title, heads=heads, rows=paired, empty=empty, more=len(rows) > most)


class BoundedPaginator(Paginator):  # type: ignore[type-arg]
    """Counts to COUNTED: a count of everything reads everything."""

    @cached_property
    def count(self) -> int:
        rows = cast("QuerySet[Any]", self.object_list)
        return len(rows.order_by().values_list("pk", flat=True)[:COUNTED])


class InOrder(ChangeList):  # type: ignore[misc]  # unfold has no types
    """As the page is ordered, whatever an address asks for: any other order sorts the table."""

    def get_ordering(self, request: HttpRequest, queryset: "QuerySet[Any]") -> list[Any]:
        wanted = list(self.model_admin.get_ordering(request))
        ordered: list[Any] = self._get_deterministic_ordering(wanted)
        return ordered


class Listed(ModelAdmin):  # type: ignore[misc]  # unfold has no types
    """For operators to see; nobody adds, changes or deletes a row here as it is.

    A list reads one page of an index and counts to COUNTED. Verbs are addresses of their own.
    """

    action_form = ActionForm
    actions: ClassVar[Any] = ()
    list_per_page = 50
    list_max_show_all = 1  # no "show all"
    list_fullwidth = True
    list_filter_sheet = False
    list_disable_select_all = True
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER  # they count whole tables
    paginator = BoundedPaginator
    sortable_by: ClassVar[Any] = ()
    compressed_fields = True
    change_form_template = "admin/console/detail.html"

    def allowed(self, request: HttpRequest) -> bool:
        return operates(request)

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest) -> bool:
        """By the filters that the page offers alone.

        Django takes a lookup of any column from the address: ?password__startswith= would tell a
        hash letter by letter, and of a column without an index a million rows would be read.
        """
        asked = lookup.removesuffix("__isnull").removesuffix("__exact")
        return any(asked == getattr(each, "parameter_name", each) for each in self.list_filter)

    def has_view_permission(self, request: HttpRequest, obj: models.Model | None = None) -> bool:
        return self.allowed(request)

    def has_module_permission(self, request: HttpRequest) -> bool:
        return self.allowed(request)

    def has_add_permission(self, request: HttpRequest, obj: models.Model | None = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: models.Model | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: models.Model | None = None) -> bool:
        return False

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[InOrder]:
        return InOrder

    def titled(self, obj: Any) -> str:
        return str(obj)

    def acts(self, obj: Any) -> list[Act]:
        """What can be done with the one that is shown."""
        return []

    def tables(self, obj: Any) -> list[Table]:
        """What else is known of it."""
        return []

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any
    ) -> HttpResponse:
        shown = context["original"]
        context |= {"acts": self.acts(shown), "tables": self.tables(shown), "subtitle": None}
        context["title"] = self.titled(shown)
        answer: HttpResponse = super().render_change_form(request, context, *args, **kwargs)
        return answer


class AdministratorsOnly(Listed):
    def allowed(self, request: HttpRequest) -> bool:
        return administers(request)


class ListOnly:
    """Rows that have no page of their own: what they hold beside the list is nobody's business."""

    list_display_links = None

    def get_urls(self) -> list[URLPattern]:
        found: list[URLPattern] = super().get_urls()  # type: ignore[misc]  # of ModelAdmin
        return [each for each in found if (each.name or "").endswith("_changelist")]
