"""REST beside the live view: server-sent events, the newest preview, tickets for programs."""

import re
from uuid import UUID

from django.db import close_old_connections
from django.http import HttpResponse, StreamingHttpResponse
from redis.exceptions import RedisError
from rest_framework import status
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts import actions as accounts
from accounts.auth import credential
from accounts.roles import Permission, Scope
from jobs import sse, stream
from jobs.access import access_job
from jobs.errors import BadSpec, LiveUnavailable, NotFound
from jobs.lifecycle import FINAL
from jobs.messages import MAX_SEQ


class EventStream(JSONRenderer):
    """What EventSource accepts; errors on the way stay JSON."""

    media_type = "text/event-stream"


class JobEvents(APIView):
    http_method_names = ("get", "options")  # a HEAD would be a stream as well
    renderer_classes = (JSONRenderer, EventStream)

    def get(self, request: Request, job_id: UUID) -> StreamingHttpResponse | HttpResponse:
        """Facts after Last-Event-ID (or ?after=) and everything live; 204 when all was said."""
        given = request.headers.get("Last-Event-ID") or request.query_params.get("after") or "0"
        if not re.fullmatch(r"[0-9]{1,10}", given) or int(given) > MAX_SEQ:
            raise BadSpec({"after": f"Use the seq of a fact, from 0 to {MAX_SEQ}."})
        after = int(given)
        job = access_job(request.user, job_id, Permission.SEE)
        if job.state in FINAL and after == job.version:
            return HttpResponse(status=status.HTTP_204_NO_CONTENT)
        return _events(request, job_id, after)


class MyEvents(APIView):
    http_method_names = ("get", "options")
    renderer_classes = (JSONRenderer, EventStream)

    def get(self, request: Request) -> StreamingHttpResponse:
        """Snapshots, ticks and places of all the caller's own jobs."""
        return _events(request, None, 0)


class JobPreview(APIView):
    def get(self, request: Request, job_id: UUID) -> HttpResponse:
        """The newest preview with its header, as the socket sends it."""
        access_job(request.user, job_id, Permission.SEE)
        try:
            message = stream.last_preview(job_id)
        except RedisError as error:
            raise LiveUnavailable from error
        if message is None:
            raise NotFound("There is no preview of this job now.")
        answer = HttpResponse(message, content_type="application/octet-stream")
        answer.headers["Cache-Control"] = "no-store"
        return answer


class Tickets(APIView):
    needs = Scope.JOBS_READ  # to look is all that it is good for

    def post(self, request: Request) -> Response:
        """Opens one socket at /api/v1/live."""
        ticket = accounts.issue_ticket(credential(request))
        answer = {"ticket": ticket, "expires_in": accounts.TICKET_SECONDS}
        return Response(answer, status=status.HTTP_201_CREATED)


def _events(request: Request, job: UUID | None, after: int) -> StreamingHttpResponse:
    parts = sse.stream(credential(request), job, after)
    # Django would close it at the stream's end; some streams would take all that Postgres has.
    close_old_connections()
    answer = StreamingHttpResponse(parts, content_type="text/event-stream")
    answer.headers["Cache-Control"] = "no-store"
    answer.headers["X-Accel-Buffering"] = "no"  # nginx would wait for more
    return answer
