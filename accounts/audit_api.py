"""GET /api/v1/audit: the audit log for programs."""

from typing import Any, cast

from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts import audit_list
from accounts.audit_list import MOST, SITE, USUAL, Wanted
from accounts.errors import BadFields
from accounts.models import User
from accounts.roles import Scope

PARAMETERS = {
    "workspace": "A workspace's slug; without it the one that you work in.",
    "scope": "`site`: of all workspaces and of none, for administrators.",
    "verb": "As `member.invited`: docs/reference/audit.md.",
    "actor": "Who did it: an e-mail address.",
    "subject": "What it was done to: a job's id, an address, a token's prefix.",
    "request_id": "The X-Request-ID of an answer.",
    "since": "At this moment (ISO 8601) or later.",
    "until": "Before this moment.",
    "cursor": "As `next` has it.",
    "limit": f"Entries of a page, {USUAL} unless told, at most {MOST}.",
}


class EntryShape(serializers.Serializer[Any]):
    id = serializers.IntegerField()
    at = serializers.DateTimeField()
    verb = serializers.CharField()
    actor = serializers.CharField(allow_null=True, help_text="Null: nobody who was known.")
    workspace = serializers.CharField(allow_null=True, help_text="Its slug; null: of the site.")
    subject = serializers.CharField(help_text="What it was done to.")
    via = serializers.CharField(help_text="session, token and its prefix, jwt, command, service.")
    address = serializers.CharField(allow_null=True, help_text="Of IP.")
    request_id = serializers.CharField(allow_null=True)
    data = serializers.DictField(help_text="A few more values.")  # type: ignore[assignment]


class AuditLog(APIView):
    needs = Scope.ADMIN

    def get(self, request: Request) -> Response:
        """Newest first, page by page."""
        given = request.query_params.dict()
        bad = {name: "The log knows no such parameter." for name in given if name not in PARAMETERS}
        limit = given.get("limit") or str(USUAL)
        if not (limit.isascii() and limit.isdigit() and len(limit) < 10 and int(limit) > 0):
            bad["limit"] = f"Use a number from 1 to {MOST}."
        if given.get("scope") not in (None, "", SITE):
            bad["scope"] = f"Use {SITE}, or leave it out."
        if bad:
            raise BadFields(bad)
        entries, _ = audit_list.readable(
            cast(User, request.user),
            scope=given.get("scope", ""),
            slug=given.get("workspace", "").replace("\x00", " "),
        )
        rows, cursor = audit_list.page(
            Wanted.read(given).among(entries),
            cursor=given.get("cursor", ""),
            limit=min(int(limit), MOST),
        )
        return Response(
            {"next": self._address(request, cursor), "results": list(map(audit_list.as_dict, rows))}
        )

    def _address(self, request: Request, cursor: str | None) -> str | None:
        if cursor is None:
            return None
        query = request.query_params.copy()
        query["cursor"] = cursor
        return request.build_absolute_uri(f"{request.path}?{query.urlencode()}")
