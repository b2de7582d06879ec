"""Settings → Audit: who did what, for those who may read it."""

from datetime import UTC
from typing import cast

from django.contrib.auth.decorators import login_required
from django.core.exceptions import PermissionDenied as NotForYou
from django.http import HttpRequest, HttpResponse, HttpResponseBadRequest, StreamingHttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.utils.http import urlencode
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe
from rest_framework.exceptions import PermissionDenied

from accounts import audit, audit_export, audit_list, audit_verbs
from accounts.audit_list import SITE, Entries, Wanted
from accounts.errors import BadFields, NoWorkspace
from accounts.models import AuditEntry, User, Workspace


def _readable(user: User, scope: str, slug: str) -> tuple[Entries, Workspace | None]:
    """Raises Http404, and NotForYou for a page of its own."""
    try:
        return audit_list.readable(user, scope=scope, slug=slug)
    except PermissionDenied as refused:
        raise NotForYou from refused
    except NoWorkspace:
        if audit_list.may_read_site(user):
            return audit_list.readable(user, scope=SITE)
        raise NotForYou from None


@login_required
@never_cache
@require_safe
def entries(request: HttpRequest) -> HttpResponse:
    """The newest first, 50 on a page. With a bad filter none, and what is wrong at its field."""
    user, given = cast(User, request.user), request.GET
    among, place = _readable(user, given.get("scope", ""), given.get("workspace", ""))
    errors: dict[str, str] = {}
    wanted, cursor = Wanted(), None
    rows: list[AuditEntry] = []
    try:
        wanted = Wanted.read(given.dict())
        rows, cursor = audit_list.page(
            wanted.among(among), cursor=given.get("cursor", ""), limit=audit_list.USUAL
        )
    except BadFields as refused:
        errors = refused.fields
    where = {"scope": SITE} if place is None else {"workspace": place.slug}
    context = {
        "entries": rows,
        "place": place,
        "shown": place,
        "where": where,
        "given": {name: given.get(name, "") for name in audit_list.TEXTS},
        "since": given.get("since", ""),
        "until": given.get("until", ""),
        "filtered": bool(wanted.as_query()),
        "errors": errors,
        "verbs": audit_verbs.VERBS,
        "next": cursor and urlencode({**where, **wanted.as_query(), "cursor": cursor}),
        "first": urlencode({**where, **wanted.as_query()}) if given.get("cursor") else None,
        "bare": urlencode(where),
        "exported": {**where, **wanted.as_query()},
        "site": place is None or audit_list.may_read_site(user),
        "most": f"{audit_export.MOST:,}",
    }
    return render(request, "settings/audit.html", context, status=400 if errors else 200)


@login_required
@never_cache
@require_POST  # it leaves an entry of its own
def export(request: HttpRequest) -> HttpResponse | StreamingHttpResponse:
    """The same entries as a file, as it is made."""
    user, given = cast(User, request.user), request.POST
    among, place = _readable(user, given.get("scope", ""), given.get("workspace", ""))
    kind = given.get("kind", "csv")
    try:
        wanted = Wanted.read(given.dict())
    except BadFields as refused:
        return HttpResponseBadRequest(str(refused), content_type="text/plain; charset=utf-8")
    if kind not in audit_export.KINDS:
        return HttpResponseBadRequest("Export csv or jsonl.", content_type="text/plain")
    asked = {f"of_{name}": value for name, value in wanted.as_query(UTC).items()}
    audit.record("audit.exported", actor=user, workspace=place, subject=kind, **asked)
    body = audit_export.stream(wanted.among(among), kind)
    answer = StreamingHttpResponse(body, content_type=audit_export.KINDS[kind])
    name = f"audit-{SITE if place is None else place.slug}-{timezone.now():%Y-%m-%d}.{kind}"
    answer["Content-Disposition"] = f'attachment; filename="{name}"'
    return answer
