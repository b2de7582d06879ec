"""The files of jobs."""

import logging
from uuid import UUID

from django.http import Http404, HttpRequest, HttpResponseBase, HttpResponseRedirect
from django.views.decorators.http import require_safe
from rest_framework.exceptions import AuthenticationFailed

from accounts.auth import caller_of
from accounts.roles import Permission
from jobs import ranges
from jobs.access import access_job
from jobs.artifacts import CONTENT_TYPES, signed_link
from jobs.errors import NotFound, Refusal
from jobs.models import Artifact, Job
from jobs.problems import written

logger = logging.getLogger(__name__)


@require_safe
def job_file(request: HttpRequest, job_id: UUID, attempt: int, name: str) -> HttpResponseBase:
    """The file itself, or with S3 a redirect to a link of 5 minutes that is never kept.

    Also for programs: a request with an Authorization header is never looked at for a cookie, and
    is refused with a problem.
    """
    try:
        job = access_job(caller_of(request), job_id, Permission.SEE)
        return _file(request, job, attempt, name)
    except (Refusal, AuthenticationFailed) as refusal:
        if "Authorization" in request.headers:
            return written(refusal)
        raise Http404(str(refusal)) from refusal


def _file(request: HttpRequest, job: Job, attempt: int, name: str) -> HttpResponseBase:
    """Raises NotFound."""
    rows = Artifact.objects.filter(job=job, attempt=attempt)
    artifact = rows.filter(name=name).first() if name in CONTENT_TYPES else None
    if artifact is None:
        raise NotFound("This job has no such file.")
    file_name = f"{str(job.pk)[:8]}-{name}" if request.GET.get("download") else None
    link = signed_link(artifact, file_name=file_name)
    if link is not None:
        answer: HttpResponseBase = HttpResponseRedirect(link)
        answer["Cache-Control"] = "no-store"
        return answer
    try:
        answer = ranges.serve(request, artifact)
    except FileNotFoundError as missing:
        logger.error("job %s: its file %s is gone from storage", job.pk, artifact.key)  # noqa: TRY400
        raise NotFound("This file is gone from storage.") from missing
    if file_name is not None:
        answer["Content-Disposition"] = f'attachment; filename="{file_name}"'
    return answer
