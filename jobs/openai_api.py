"""/v1/videos for clients of a closed vendor's API: parse → access → one action → answer.

The contract is docs/reference/videos.md; shapes are in jobs/openai_shapes.py, what is asked for in
jobs/openai_fields.py, errors and what every answer carries in jobs/openai_answers.py.
"""

import logging
from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from django.core.files.uploadedfile import UploadedFile
from django.db.models import Q
from django.http import HttpResponseBase, HttpResponseRedirect, QueryDict
from rest_framework.request import Request
from rest_framework.response import Response

from accounts import workspaces
from accounts.idempotency import once
from accounts.roles import Permission
from jobs import actions, estimates, images, offer, openai_fields, openai_shapes, queue, ranges
from jobs.access import access_job, listed_jobs
from jobs.api import caller
from jobs.artifacts import signed_link
from jobs.catalog import ModelEntry
from jobs.errors import BadImage, BadSpec, NotFound, NotReady, UnsupportedByModel
from jobs.lifecycle import FINAL, State
from jobs.models import Artifact, Job
from jobs.openai_answers import OpenAIView
from jobs.openai_fields import Asked
from jobs.spec import RenderSpec

logger = logging.getLogger(__name__)

USUAL_PAGE, LARGEST_PAGE = 20, 100
REFERENCE = "input_reference"
POLL_AFTER = "openai-poll-after-ms"


class Videos(OpenAIView):
    def get(self, request: Request) -> Response:
        """The caller's own, newest first unless asked otherwise, a page after the one before."""
        limit, ascending = _limit(request), _ascending(request)
        own = listed_jobs(caller(request)).with_request()
        after = request.query_params.get("after")
        if after:
            own = own.filter(_beyond(request, after, ascending=ascending))
        order = ("created_at", "id") if ascending else ("-created_at", "-id")
        found = list(own.order_by(*order)[: limit + 1])
        shown = _videos(found[:limit])
        return Response(openai_shapes.page(shown, has_more=len(found) > limit))

    def post(self, request: Request) -> Response:
        """A new video, queued."""
        fields = _fields(request)
        openai_fields.refuse_unknown(fields, openai_fields.CREATE)
        entry = offer.find(openai_fields.model_name(fields) or next(iter(offer.models())))
        asked = openai_fields.asked(fields, entry)
        if asked.prompt is None:
            raise BadSpec({"prompt": "Say what the video should show."})
        if fields.get(REFERENCE) not in (None, ""):
            _look_at(fields[REFERENCE], entry)
        spec = _spec(entry.name, asked, asked.prompt)
        return once(request, lambda: _submit(request, spec, asked), keyless=True)


class Video(OpenAIView):
    def get(self, request: Request, video_id: str) -> Response:
        return _answer(access_job(request.user, _job(video_id), Permission.SEE))

    def delete(self, request: Request, video_id: str) -> Response:
        """Hidden at once; one that waits or runs is cancelled first."""
        job = access_job(request.user, _job(video_id), Permission.DELETE)
        actions.delete(job.pk, by=caller(request))
        return Response(openai_shapes.deleted(job.pk))


class Content(OpenAIView):
    def get(self, request: Request, video_id: str) -> HttpResponseBase:
        """The file, whole or by Range; with S3 a redirect to a link of 5 minutes."""
        variant = request.query_params.get("variant") or "video"
        if variant not in openai_shapes.VARIANTS:
            accepted = ", ".join(openai_shapes.VARIANTS)
            raise BadSpec({"variant": f"Use one of {accepted}."})
        job = access_job(request.user, _job(video_id), Permission.SEE)
        if job.state not in FINAL:
            raise NotReady
        name = openai_shapes.VARIANTS[variant]
        artifact = Artifact.objects.filter(job=job, name=name).first()
        if artifact is None:
            raise NotFound(f"This video has no {variant}.")
        return _file(request, artifact, f"{video_id}{name[name.index('.') :]}")


class Remix(OpenAIView):
    def post(self, request: Request, video_id: str) -> Response:
        """A new video as an earlier one, but for what is said otherwise."""
        source = access_job(request.user, _job(video_id), Permission.SEE)
        fields = _fields(request)
        openai_fields.refuse_unknown(fields, openai_fields.REMIX)
        had = source.request.render_spec()
        asked = openai_fields.asked(fields, offer.find(had.model))
        if asked.prompt is None:
            raise BadSpec({"prompt": "Say what the new video should show."})
        spec = _spec(had.model, asked, asked.prompt, had=had)
        return once(request, lambda: _submit(request, spec, asked, source=source), keyless=True)


class Unsupported(OpenAIView):
    """What no model here can do: it is no address that is missing."""

    def post(self, request: Request, **_: str) -> Response:
        raise UnsupportedByModel("No model here takes a video as its input.", "video")


class Edits(Unsupported):
    pass


class Extensions(Unsupported):
    pass


class Characters(Unsupported):
    pass


class Character(OpenAIView):
    def get(self, request: Request, character_id: str) -> Response:
        raise UnsupportedByModel("No model here knows characters.", "character_id")


class Models(OpenAIView):
    def get(self, request: Request) -> Response:
        entries = [openai_shapes.model(entry) for entry in offer.models().values()]
        return Response({"object": "list", "data": entries})


class Model(OpenAIView):
    def get(self, request: Request, name: str) -> Response:
        """Raises NotFound."""
        entry = offer.models().get(name)
        if entry is None:
            raise NotFound(f"There is no such model; choose {', '.join(offer.models())}.")
        return Response(openai_shapes.model(entry))


# --- What is asked --------------------------------------------------------------------------------


def _fields(request: Request) -> dict[str, Any]:
    """Of a form in either encoding, or of JSON. Raises BadSpec."""
    data = request.data
    if isinstance(data, QueryDict):
        return openai_fields.rebuilt(data.lists())
    if not isinstance(data, Mapping):
        raise BadSpec({"body": "Send an object, or a form."})
    return dict(data)


def _job(video_id: str) -> UUID:
    """Raises NotFound."""
    job = openai_shapes.job_of(video_id)
    if job is None:
        raise NotFound("There is no such video, or you may not see it.")
    return job


def _limit(request: Request) -> int:
    given = request.query_params.get("limit") or str(USUAL_PAGE)
    if not (given.isascii() and given.isdecimal()) or not 1 <= int(given[:6]) <= LARGEST_PAGE:
        raise BadSpec({"limit": f"From 1 to {LARGEST_PAGE}."})
    return int(given)


def _ascending(request: Request) -> bool:
    given = request.query_params.get("order") or "desc"
    if given not in {"asc", "desc"}:
        raise BadSpec({"order": "Use asc or desc."})
    return given == "asc"


def _beyond(request: Request, after: str, *, ascending: bool) -> Q:
    """Jobs that come after that one, which may have been deleted since. Raises BadSpec."""
    job = openai_shapes.job_of(after)
    own = Job.objects.filter(workspace=workspaces.current_id(caller(request)))
    began = job and own.filter(pk=job).values_list("created_at", flat=True).first()
    if job is None or began is None:
        raise BadSpec({"after": "There is no such video of yours."})
    # The first condition is a range of the index jobs_of_workspace; the second divides equal times.
    if ascending:
        return Q(created_at__gte=began) & (Q(created_at__gt=began) | Q(pk__gt=job))
    return Q(created_at__lte=began) & (Q(created_at__lt=began) | Q(pk__lt=job))


def _look_at(reference: Any, entry: ModelEntry) -> None:
    """A picture to begin with: a file, or a data: URL by itself or as image_url.

    Raises BadImage, and UnsupportedByModel for a good one that the model has no use for.
    """
    images.checked(_picture(reference), field=REFERENCE)
    if "image" not in entry.inputs:
        raise UnsupportedByModel(f"{entry.title} takes no picture, only a prompt.", REFERENCE)


def _picture(reference: Any) -> "UploadedFile[Any] | bytes":
    if isinstance(reference, UploadedFile):
        return reference
    if isinstance(reference, Mapping):
        unknown = sorted(map(str, set(reference) - {"image_url"}))
        if unknown:
            raise BadImage(f"Use image_url with a data: URL, not {unknown[0][:40]}.", REFERENCE)
        reference = reference.get("image_url")
        if isinstance(reference, UploadedFile):
            return reference
    if not isinstance(reference, str):
        raise BadImage("Send a file, or a data: URL.", REFERENCE)
    return images.from_data_url(reference, field=REFERENCE)


def _spec(model: str, asked: Asked, prompt: str, *, had: RenderSpec | None = None) -> RenderSpec:
    """had: where what was not asked for comes from; else from the model. Raises BadSpec."""

    def kept(given: Any, name: str) -> Any:
        return given if given is not None or had is None else getattr(had, name)

    try:
        return offer.make_spec(
            model=model,
            prompt=prompt,
            size=asked.size or (None if had is None else (had.width, had.height)),
            frames=kept(asked.frames, "frames"),
            steps=kept(asked.steps, "steps"),
            guidance=kept(asked.guidance, "guidance"),
            seed=kept(asked.seed, "seed"),
            quality=kept(None, "quality"),
        )
    except BadSpec as refused:
        raise openai_fields.renamed(refused) from None


# --- What is answered -----------------------------------------------------------------------------


def _submit(
    request: Request, spec: RenderSpec, asked: Asked, *, source: Job | None = None
) -> Response:
    job = actions.submit(
        owner=caller(request),
        spec=spec,
        model_digest=offer.find(spec.model).digest,
        priority=asked.priority,
        remix_of=source,
    )
    return _answer(access_job(request.user, job.pk, Permission.SEE))


def _answer(job: Job) -> Response:
    """One video, and when to look again."""
    (shown,) = _videos([job])
    answer = Response(shown)
    if job.state not in FINAL:
        answer.headers[POLL_AFTER] = str(openai_shapes.poll_after_ms(shown["eta_seconds"]))
    return answer


def _videos(jobs: Sequence[Job]) -> list[dict[str, Any]]:
    """Two queries beside that of the jobs, however many they are."""
    places = queue.places(job.pk for job in jobs if job.state == State.QUEUED)
    expected = estimates.for_jobs(jobs, places=places)
    known = offer.known()
    return [
        openai_shapes.video(
            job,
            known.get(job.request.spec.get("model", "")),
            place=places.get(job.pk),
            eta_seconds=expected[job.pk].eta_seconds,
            cost=estimates.cost(job if job.state in FINAL else expected[job.pk]),
        )
        for job in jobs
    ]


def _file(request: Request, artifact: Artifact, file_name: str) -> HttpResponseBase:
    """Raises NotFound when it is gone from storage."""
    answer: HttpResponseBase
    link = signed_link(artifact, file_name=file_name)
    if link is not None:
        answer = HttpResponseRedirect(link)
        answer["Cache-Control"] = "no-store"
        return answer
    try:
        answer = ranges.serve(request._request, artifact)
    except FileNotFoundError as missing:
        logger.error("its file %s is gone from storage", artifact.key)  # noqa: TRY400
        raise NotFound("This file is gone from storage.") from missing
    answer["Content-Disposition"] = f'attachment; filename="{file_name}"'
    return answer
