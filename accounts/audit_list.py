"""Who may read the audit log, what of it a query asks for, and the pages of that."""

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import UTC, datetime, tzinfo
from typing import Any

from django.db.models import Q, QuerySet
from django.http import Http404
from django.utils import timezone
from rest_framework.exceptions import PermissionDenied

from accounts import workspaces
from accounts.errors import BadFields
from accounts.models import AuditEntry, User, Workspace
from accounts.roles import Permission, allows

USUAL, MOST = 50, 200  # entries of one page
SITE = "site"
TEXTS = ("verb", "actor", "subject", "request_id")  # each must be the whole of it

Entries = QuerySet[AuditEntry]


def may_read_site(user: User) -> bool:
    return allows(Permission.ADMINISTER, site=user.site_role, role=None, scopes=user.scopes)


def may_read(user: User, workspace: int) -> bool:
    role = user.memberships.get(workspace)
    return allows(Permission.SEE_AUDIT, site=user.site_role, role=role, scopes=user.scopes)


def readable(user: User, *, scope: str = "", slug: str = "") -> tuple[Entries, Workspace | None]:
    """What the user may read: of the whole site (scope "site", None), or of one workspace.

    Raises PermissionDenied, NoWorkspace, and Http404 for a workspace that they are not in.
    """
    if scope == SITE:
        if not may_read_site(user):
            raise PermissionDenied("The log of the whole site is for administrators.")
        return AuditEntry.objects.all(), None
    place = workspaces.current(user) if not slug else Workspace.objects.filter(slug=slug).first()
    if place is None:
        raise Http404
    if not may_read(user, place.pk):
        if place.pk not in user.memberships:
            raise Http404
        raise PermissionDenied("The audit log is for a workspace's managers and owners.")
    return AuditEntry.objects.filter(workspace_id=place.pk), place


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Filters, as a query says them; empty or None: all."""

    verb: str = ""
    actor: str = ""  # an e-mail address
    subject: str = ""
    request_id: str = ""
    since: datetime | None = None
    until: datetime | None = None  # without this moment itself

    @classmethod
    def read(cls, given: Mapping[str, str]) -> "Wanted":
        """Raises BadFields."""
        bad: dict[str, str] = {}
        words = {name: given.get(name, "").strip() for name in TEXTS}
        for name, text in words.items():
            if len(text) > 254 or "\x00" in text:
                bad[name] = "Use up to 254 characters."
        moments = {}
        for name in ("since", "until"):
            try:
                moments[name] = _moment(given.get(name, "").strip())
            except (ValueError, OverflowError):
                bad[name] = (
                    "Write a time as 2026-11-26T05:00, or with its zone as 2026-11-26T05:00Z."
                )
        if bad:
            raise BadFields(bad)
        words["actor"] = words["actor"].lower()
        words["request_id"] = words["request_id"].removeprefix("req_")  # as under /v1/
        return cls(**words, **moments)  # type: ignore[arg-type]

    def among(self, entries: Entries) -> Entries:
        for name in TEXTS:
            if value := getattr(self, name):
                entries = entries.filter(**{name: value})
        if self.since is not None:
            entries = entries.filter(at__gte=self.since)
        if self.until is not None:
            entries = entries.filter(at__lt=self.until)
        return entries.order_by("-at", "-pk")

    def as_query(self, zone: tzinfo | None = None) -> dict[str, str]:
        """Times as a field takes them, in that zone, or in the one that is shown to the viewer."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return {
            name: timezone.localtime(value, zone).strftime("%Y-%m-%dT%H:%M:%S")
            if isinstance(value, datetime)
            else value
            for name, value in values.items()
            if value
        }


def _moment(text: str) -> datetime | None:
    if not text:
        return None
    found = datetime.fromisoformat(text)
    aware = timezone.make_aware(found) if found.tzinfo is None else found
    return aware.astimezone(UTC)


def after(entries: Entries, cursor: str) -> Entries:
    """Those that come behind the place that cursor names. Raises BadFields."""
    if not cursor:
        return entries
    try:
        padded = cursor + "=" * (-len(cursor) % 4)
        at, _, key = base64.urlsafe_b64decode(padded[:100].encode()).decode().rpartition(" ")
        when, row = datetime.fromisoformat(at), int(key)
        if when.tzinfo is None or not 0 <= row < 2**63:
            raise ValueError
    except (ValueError, binascii.Error, UnicodeError, OverflowError) as error:
        raise BadFields({"cursor": "Use one that a list gave you."}) from error
    return entries.filter(Q(at__lt=when) | Q(pk__lt=row), at__lte=when)


def place_of(entry: AuditEntry) -> str:
    """The cursor of what comes behind it."""
    words = f"{entry.at.astimezone(UTC).isoformat()} {entry.pk}"
    return base64.urlsafe_b64encode(words.encode()).decode().rstrip("=")


def page(entries: Entries, *, cursor: str, limit: int) -> tuple[list[AuditEntry], str | None]:
    """So many at most, and the cursor of the next page if there is one. Raises BadFields."""
    rows = list(after(entries, cursor)[: limit + 1])
    more = len(rows) > limit
    return rows[:limit], place_of(rows[limit - 1]) if more else None


def as_dict(entry: AuditEntry) -> dict[str, Any]:
    return {
        "id": entry.pk,
        "at": entry.at.astimezone(UTC).isoformat(),
        "verb": entry.verb,
        "actor": entry.actor or None,
        "workspace": entry.workspace or None,
        "subject": entry.subject,
        "via": entry.via,
        "address": entry.address,
        "request_id": entry.request_id or None,
        "data": entry.data,
    }
