"""Shapes in and out of the API and the live socket."""

from datetime import timedelta
from typing import Any, ClassVar
from uuid import UUID

from django.urls import reverse
from rest_framework import serializers

from jobs import offer, queue
from jobs.catalog import ModelEntry
from jobs.lifecycle import State
from jobs.models import Artifact, Job, JobEvent
from jobs.spec import EXACT, RenderSpec

APPROXIMATE = ", approximate: differs slightly from exact"


class SizeField(serializers.Field[tuple[int, int], str, str, Any]):
    """ "64x64" to (64, 64): width and height in pixels."""

    default_error_messages: ClassVar = {"invalid": "Write the size as WIDTHxHEIGHT, like 64x64."}

    def to_internal_value(self, data: Any) -> tuple[int, int]:
        width, _, height = str(data).lower().replace("×", "x").partition("x")
        if not (width.isdecimal() and height.isdecimal() and len(width) < 6 and len(height) < 6):
            self.fail("invalid")
        return int(width), int(height)

    def to_representation(self, value: tuple[int, int]) -> str:
        return f"{value[0]}x{value[1]}"


class RenderRequest(serializers.Serializer[RenderSpec]):
    """What a program posts to make a job; what it leaves out comes from the model."""

    model = serializers.CharField(required=False, max_length=100)
    prompt = serializers.CharField(max_length=10_000, trim_whitespace=True)
    size = SizeField(required=False)
    frames = serializers.IntegerField(required=False)
    steps = serializers.IntegerField(required=False)
    guidance = serializers.FloatField(required=False)
    seed = serializers.IntegerField(required=False, allow_null=True)
    quality = serializers.CharField(required=False, max_length=100)
    start_within_seconds = serializers.IntegerField(
        required=False, allow_null=True, min_value=1, max_value=30 * 86_400
    )

    @property
    def start_within(self) -> timedelta | None:
        seconds = self.validated_data.get("start_within_seconds")
        return None if seconds is None else timedelta(seconds=seconds)

    def to_spec(self) -> RenderSpec:
        """Raises BadSpec. Call after is_valid."""
        given = self.validated_data
        return offer.make_spec(
            model=given.get("model"),
            prompt=given["prompt"],
            size=given.get("size"),
            frames=given.get("frames"),
            steps=given.get("steps"),
            guidance=given.get("guidance"),
            seed=given.get("seed"),
            quality=given.get("quality"),
        )


def model_to_dict(entry: ModelEntry) -> dict[str, Any]:
    """What a form or a program needs to know of a model."""
    limits, usual = entry.limits, entry.defaults
    return {
        "name": entry.name,
        "title": entry.title,
        "understands": entry.understands,
        "examples": list(entry.examples),
        "words": [{"part": part, "words": list(words)} for part, words in entry.words],
        "qualities": [{"name": each.name, "title": each.title} for each in entry.qualities],
        "licence": entry.licence,
        "fps": entry.fps,
        "limits": {
            "sizes": [f"{width}x{height}" for width, height in limits.sizes],
            "frames": list(limits.frames),
            "min_steps": limits.min_steps,
            "max_steps": limits.max_steps,
            "min_guidance": limits.min_guidance,
            "max_guidance": limits.max_guidance,
            "max_prompt_chars": limits.max_prompt_chars,
        },
        "defaults": {
            "size": f"{usual.width}x{usual.height}",
            "frames": usual.frames,
            "steps": usual.steps,
            "guidance": usual.guidance,
        },
    }


def file_url(artifact: Artifact) -> str:
    return reverse("job_file", args=[artifact.job_id, artifact.attempt, artifact.name])


def jobs_to_dicts(jobs: list[Job]) -> list[dict[str, Any]]:
    """Snapshots, the same for page, API and socket: two queries however many jobs.

    The jobs must come with their requests (JobQuerySet.with_request).
    """
    places = queue.places(job.pk for job in jobs if job.state == State.QUEUED)
    files: dict[UUID, dict[str, str]] = {}
    finished = [job.pk for job in jobs if job.state == State.SUCCEEDED]
    for artifact in Artifact.objects.filter(job__in=finished):
        files.setdefault(artifact.job_id, {})[artifact.name] = file_url(artifact)
    return [_job_to_dict(job, places.get(job.pk), files.get(job.pk, {})) for job in jobs]


def _job_to_dict(job: Job, place: int | None, files: dict[str, str]) -> dict[str, Any]:
    spec = job.request.render_spec()
    return {
        "id": str(job.pk),
        "state": job.state,
        "version": job.version,
        "attempt": job.attempt,
        "prompt": job.request.prompt,
        "spec": spec.as_dict(),
        "quality_label": quality_label(spec),
        "created_at": job.created_at.isoformat(),
        "started_at": job.started_at.isoformat() if job.started_at else None,
        "finished_at": job.finished_at.isoformat() if job.finished_at else None,
        "cancel_requested": job.cancel_requested_at is not None,
        "place": place,
        "step": job.step if job.state != State.SUCCEEDED else spec.steps,
        "steps": spec.steps,
        "phase": None,
        "seconds_left": None,
        "video_url": files.get("video.mp4"),
        "poster_url": files.get("poster.png"),
        "sprite_url": files.get("sprite.jpg"),
        "strip_url": files.get("strip.jpg"),
        "error_code": job.error_code,
        "error_message": job.error_message,
    }


def quality_label(spec: RenderSpec) -> str | None:
    """What stands beside a video that is not exact; None for one that is."""
    return None if spec.quality == EXACT else offer.quality_title(spec.model, spec.quality)


def event_to_dict(event: JobEvent) -> dict[str, Any]:
    return {
        "seq": event.seq,
        "kind": event.kind,
        "state": event.state,
        "attempt": event.attempt,
        "at": event.at,
        "data": event.data,
    }


def recipe(job: Job) -> list[tuple[str, str]]:
    """What made the clip, as (label, value): enough to make it again."""
    spec = job.request.render_spec()
    rows = [
        ("Prompt", spec.prompt),
        ("Model", spec.model),
        ("Model digest", job.request.model_digest),
        ("Size", f"{spec.width}×{spec.height} pixels"),
        ("Length", f"{spec.frames} frames at {spec.fps} a second ({spec.frames / spec.fps:.2f} s)"),
        ("Steps", str(spec.steps)),
        ("Guidance", f"{spec.guidance:g}"),
        ("Seed", str(spec.seed)),
        ("Quality", spec.quality if spec.quality == EXACT else f"{spec.quality}{APPROXIMATE}"),
        ("Recipe digest", job.request.digest),
    ]
    return [(label, value) for label, value in rows if value]
