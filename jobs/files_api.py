"""REST of what a job left and what made it: its files by link, its recipe."""

from typing import Any
from uuid import UUID

from django.conf import settings
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.roles import Permission
from jobs.access import access_job
from jobs.artifacts import signed_link
from jobs.models import Artifact, Attempt, Job
from jobs.serializers import file_url


class JobArtifacts(APIView):
    def get(self, request: Request, job_id: UUID) -> Response:
        """The files of a success; links of S3 are made for this answer and never kept."""
        job = access_job(request.user, job_id, Permission.SEE)
        files = Artifact.objects.filter(job=job).order_by("name")
        answer = Response({"artifacts": [_artifact(request, file) for file in files]})
        answer.headers["Cache-Control"] = "no-store"
        return answer


class JobRecipe(APIView):
    def get(self, request: Request, job_id: UUID) -> Response:
        """Enough to make the clip again, and on what it was made."""
        return Response(recipe_to_dict(access_job(request.user, job_id, Permission.SEE)))


def _artifact(request: Request, file: Artifact) -> dict[str, Any]:
    link = signed_link(file, file_name=None)
    lasts = settings.STORAGES["default"]["OPTIONS"].get("querystring_expire")
    return {
        "name": file.name,
        "url": link or request.build_absolute_uri(file_url(file)),
        "expires_in": lasts if link else None,
        "content_type": file.content_type,
        "size": file.size,
        "sha256": file.sha256,
        "facts": file.facts,
        "created_at": file.created_at.isoformat(),
    }


def recipe_to_dict(job: Job) -> dict[str, Any]:
    return recipe_of(job, job.attempts.order_by("-number").first())


def recipe_of(job: Job, newest: Attempt | None) -> dict[str, Any]:
    """newest: its newest attempt."""
    asked = job.request
    return {
        "job": str(job.pk),
        "spec": asked.render_spec().as_dict(),
        "digest": asked.digest,
        "model": {"name": asked.render_spec().model, "digest": asked.model_digest},
        "attempt": newest
        and {
            "number": newest.number,
            "outcome": newest.outcome,
            "fingerprint": newest.fingerprint,
        },
        "retry_of": asked.retry_of_id and str(asked.retry_of_id),
        "remix_of": asked.remix_of_id and str(asked.remix_of_id),
    }
