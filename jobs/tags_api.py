"""REST of a workspace's tags; a job's own are in its shape (jobs/api.py)."""

from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts import workspaces
from accounts.roles import Permission
from jobs.access import may
from jobs.api import caller
from jobs.marks import tags_of


class TagList(APIView):
    def get(self, request: Request) -> Response:
        """Of the workspace that is named, else of the one that the caller works in."""
        user, slug = caller(request), request.query_params.get("workspace")
        where = workspaces.chosen(user, slug) or workspaces.current_id(user)
        found = tags_of(where) if may(user, Permission.SEE, workspace=where) else []
        return Response({"results": [{"name": each.name, "used": each.used} for each in found]})
