"""REST of jobs under /api/v1/: parse → access → one action → answer. Errors: jobs/problems.py.

Their files are in jobs/files_api.py, the live side is in jobs/live_api.py.
"""

from contextlib import suppress
from typing import Any
from uuid import UUID

from django.core.files.uploadedfile import UploadedFile
from django.db import transaction
from rest_framework import status
from rest_framework.parsers import JSONParser, MultiPartParser
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts import workspaces
from accounts.idempotency import once
from accounts.models import User
from accounts.roles import Permission
from jobs import actions, estimates, images, offer
from jobs.access import access_deleted, access_job, may
from jobs.catalog import ModelEntry
from jobs.cursors import Wanted, address, turn_to
from jobs.errors import NotFound, UnsupportedByModel
from jobs.etags import conditional
from jobs.filters import chosen, listed
from jobs.lifecycle import FINAL
from jobs.marks import marks_of
from jobs.models import Job
from jobs.parsers import LargeJSON
from jobs.preference import seconds_to_wait, wait_for_end
from jobs.serializers import (
    BatchRequest,
    MarksRequest,
    PicturedRequest,
    RemixRequest,
    RenderRequest,
    jobs_to_dicts,
)

BATCH_BYTES = 8 << 20  # 500 prompts of 4,000 characters of four bytes each


def caller(request: Request) -> User:
    """The signed-in user: the default permission has refused everybody else."""
    assert isinstance(request.user, User)
    return request.user


def shown(request: Request, job_id: UUID) -> dict[str, Any]:
    """The job as it stands in this transaction, for whoever may see it."""
    return described(caller(request), [access_job(request.user, job_id, Permission.SEE)])[0]


def described(user: User, jobs: list[Job]) -> list[dict[str, Any]]:
    """Snapshots with the user's marks, and what they are expected to take and to cost.

    Three queries more than without.
    """
    shapes, marks = jobs_to_dicts(jobs), marks_of(user, jobs)
    places = {
        job.pk: shape["place"]
        for job, shape in zip(jobs, shapes, strict=True)
        if shape["place"] is not None
    }
    expected = estimates.for_jobs(jobs, places=places)
    for job, shape in zip(jobs, shapes, strict=True):
        shape["favourite"] = marks[job.pk].favourite
        shape["tags"] = list(marks[job.pk].tags)
        ended = job.state in FINAL
        shape["estimate"] = None if ended else expected[job.pk].as_dict()
        shape["cost"] = estimates.cost(job if ended else expected[job.pk])
    return shapes


class JobList(APIView):
    parser_classes = (JSONParser, MultiPartParser)

    def get(self, request: Request) -> Response:
        """The jobs of the workspace that the caller works in, by page."""
        wanted = Wanted.read(request.query_params)
        jobs = listed(caller(request), request.query_params)
        page = turn_to(chosen(jobs, request.query_params).to_show(), wanted)
        return Response(
            {
                "next": address(request, page.next),
                "previous": address(request, page.previous),
                "results": described(caller(request), page.rows),
            }
        )

    def post(self, request: Request) -> Response:
        """A new job: 201. With Prefer: wait=N when it has ended, or after N seconds."""
        asked = PicturedRequest(data=request.data)
        asked.is_valid(raise_exception=True)
        spec = asked.to_spec()
        where = workspaces.chosen(caller(request), asked.workspace_slug)
        if asked.validated_data.get("image") is not None:
            _look_at(asked.validated_data["image"], offer.find(spec.model))

        def submit() -> Response:
            job = actions.submit(
                owner=caller(request),
                spec=spec,
                model_digest=offer.find(spec.model).digest,
                start_within=asked.start_within,
                workspace=where,
            )
            return Response(described(caller(request), [job])[0], status=status.HTTP_201_CREATED)

        return _waited(request, once(request, submit))


def _look_at(picture: "UploadedFile[Any]", entry: ModelEntry) -> None:
    """Raises BadImage, and UnsupportedByModel for a good one that the model has no use for."""
    images.checked(picture)
    if "image" not in entry.inputs:
        raise UnsupportedByModel(f"{entry.title} takes no picture, only a prompt.", "image")


def _waited(request: Request, answer: Response) -> Response:
    """The job as it is when it ended, where the caller prefers to wait for that."""
    seconds = seconds_to_wait(request.headers.get("Prefer"))
    job_id = UUID(answer.data["id"])
    if seconds is None or not wait_for_end(job_id, seconds=seconds):
        return answer
    with suppress(NotFound):  # deleted meanwhile: it was made all the same
        answer.data = shown(request, job_id)
    answer.headers["Preference-Applied"] = f"wait={seconds}"
    return answer


class JobBatch(APIView):
    parser_classes = (LargeJSON,)
    most_body_bytes = BATCH_BYTES

    def post(self, request: Request) -> Response:
        """All of them or none."""
        wanted, slug = BatchRequest.read(request.data)
        where = workspaces.chosen(caller(request), slug)

        def submit() -> Response:
            made = actions.submit_many(owner=caller(request), wanted=wanted, workspace=where)
            jobs = [{"id": str(job.pk), "state": job.state} for job in made]
            return Response({"jobs": jobs}, status=status.HTTP_201_CREATED)

        return once(request, submit)


class JobDryRun(APIView):
    def post(self, request: Request) -> Response:
        """What would be rendered; nothing is made, and no limit is asked."""
        asked = RenderRequest(data=request.data)
        asked.is_valid(raise_exception=True)
        spec = asked.to_spec()
        expected = estimates.for_spec(spec)
        answer = {
            "spec": spec.as_dict(),
            "digest": spec.digest(),
            "estimate": expected.as_dict(),
            "cost": estimates.cost(expected),
        }
        return once(request, lambda: Response(answer))


class JobDetail(APIView):
    def get(self, request: Request, job_id: UUID) -> Response:
        return conditional(request, shown(request, job_id))

    def patch(self, request: Request, job_id: UUID) -> Response:
        """The job with other marks: whether it is a favourite of the caller's, and its tags."""
        asked = MarksRequest(data=request.data)
        asked.is_valid(raise_exception=True)
        favourite, tags = asked.validated_data.get("favourite"), asked.tag_names
        permission = Permission.SEE if tags is None else Permission.TAG
        job = access_job(request.user, job_id, permission)
        with transaction.atomic():
            if tags is not None:
                actions.set_tags(caller(request), job, tags)
            if favourite is not None:
                mark = actions.favourite if favourite else actions.unfavourite
                mark(caller(request), [job.pk])
        return Response(shown(request, job_id))

    def delete(self, request: Request, job_id: UUID) -> Response:
        """204. What is unfinished is cancelled first."""
        job = access_job(request.user, job_id, Permission.DELETE)
        actions.delete(job.pk, by=caller(request))
        return Response(status=status.HTTP_204_NO_CONTENT)


class JobCancel(APIView):
    def post(self, request: Request, job_id: UUID) -> Response:
        job = access_job(request.user, job_id, Permission.CANCEL)

        def cancel() -> Response:
            actions.cancel(job.pk, by=caller(request))
            return Response(shown(request, job_id))

        return once(request, cancel)


class JobRetry(APIView):
    def post(self, request: Request, job_id: UUID) -> Response:
        """The new job: 201. Operators repair what was accepted; owners have their limits."""
        job = access_job(request.user, job_id, Permission.RETRY)
        limited = not may(caller(request), Permission.RETRY)

        def retry() -> Response:
            new = actions.retry(job.pk, limited=limited, by=caller(request))
            return Response(described(caller(request), [new])[0], status=status.HTTP_201_CREATED)

        return once(request, retry)


class JobRemix(APIView):
    def post(self, request: Request, job_id: UUID) -> Response:
        """The caller's own new job, of a job that they may see: 201."""
        job = access_job(request.user, job_id, Permission.SEE)
        asked = RemixRequest(data=request.data)
        asked.is_valid(raise_exception=True)
        spec = asked.to_remix(job.request.render_spec())
        where = workspaces.chosen(caller(request), asked.workspace_slug)

        def remix() -> Response:
            new = actions.submit(
                owner=caller(request),
                spec=spec,
                model_digest=offer.find(spec.model).digest,
                start_within=asked.start_within,
                remix_of=job,
                workspace=where,
            )
            return Response(described(caller(request), [new])[0], status=status.HTTP_201_CREATED)

        return once(request, remix)


class JobRestore(APIView):
    def post(self, request: Request, job_id: UUID) -> Response:
        """Takes a deletion back, until the purge has come."""
        job = access_deleted(request.user, job_id)

        def restore() -> Response:
            actions.restore(job.pk, by=caller(request))
            return Response(shown(request, job_id))

        return once(request, restore)
