"""Shapes in and out of the API and the live socket."""

from collections.abc import Mapping
from datetime import timedelta
from itertools import islice
from typing import Any, ClassVar
from uuid import UUID

from django.urls import reverse
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from jobs import actions, offer, queue
from jobs import places as run_places
from jobs.actions import Wanted
from jobs.catalog import ModelEntry
from jobs.errors import BadSpec
from jobs.lifecycle import State
from jobs.models import Artifact, Job, JobEvent
from jobs.problems import sentences
from jobs.spec import EXACT, RenderSpec
from jobs.tag_name import TagName

STRIP_FACTS = ("columns", "rows", "tile_width", "tile_height", "steps")  # rendering-files.md
MOST_NAMED = 50  # bad fields of one batch
APPROXIMATE = ", approximate: differs slightly from exact"


@extend_schema_field({"type": "string", "pattern": "^[0-9]{1,5}[xX×][0-9]{1,5}$"})
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
        return start_within(self.validated_data)

    def to_spec(self) -> RenderSpec:
        """Raises BadSpec. Call after is_valid."""
        return spec_from(self.validated_data)


def start_within(given: Mapping[str, Any]) -> timedelta | None:
    seconds = given.get("start_within_seconds")
    return None if seconds is None else timedelta(seconds=seconds)


def spec_from(given: Mapping[str, Any]) -> RenderSpec:
    """Of what a RenderRequest read. Raises BadSpec."""
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


class InWorkspace(serializers.Serializer[Any]):
    workspace = serializers.SlugField(
        required=False,
        allow_null=True,
        max_length=50,
        help_text="Where the job belongs; left out: the token's, else the one you work in.",
    )

    @property
    def workspace_slug(self) -> str | None:
        slug: str | None = self.validated_data.get("workspace")
        return slug


class PicturedRequest(InWorkspace, RenderRequest):
    """The same with a picture to begin with, as a form, where the model takes one."""

    image = serializers.FileField(required=False, allow_null=True)


class RemixRequest(InWorkspace, RenderRequest):
    """What is to be another way than in an earlier job."""

    prompt = serializers.CharField(required=False, max_length=10_000, trim_whitespace=True)

    def to_remix(self, old: RenderSpec) -> RenderSpec:
        """What is left out stays as it was, the seed too; a seed of null has one drawn.

        Of another model all but prompt and seed are the usual ones of that. Raises BadSpec.
        """
        given = self.validated_data
        same = given.get("model", old.model) == old.model
        usual = old.as_dict() | {"size": (old.width, old.height)} if same else {}

        def wanted(name: str) -> Any:
            return given.get(name, usual.get(name))

        return offer.make_spec(
            model=given.get("model", old.model),
            prompt=given.get("prompt", old.prompt),
            size=wanted("size"),
            frames=wanted("frames"),
            steps=wanted("steps"),
            guidance=wanted("guidance"),
            seed=given.get("seed", old.seed),
            quality=wanted("quality"),
        )


class MarksRequest(serializers.Serializer[Any]):
    """What is to be otherwise; what is left out stays."""

    favourite = serializers.BooleanField(required=False, help_text="Of your own.")
    tags = serializers.ListField(
        child=serializers.CharField(max_length=200, allow_blank=True),
        required=False,
        max_length=actions.MOST_TAGS,
        help_text="All that it is to have; each 1 to 40 characters, without a comma.",
    )

    @property
    def tag_names(self) -> list[TagName] | None:
        """Raises BadTag. Call after is_valid."""
        given = self.validated_data.get("tags")
        return None if given is None else [TagName.read(name, "tags") for name in given]


class BatchRequest(InWorkspace):
    """Jobs to make together, or none of them."""

    jobs = RenderRequest(many=True, allow_empty=False, max_length=actions.MOST_AT_ONCE)  # type: ignore[call-arg]  # of the list

    @classmethod
    def read(cls, data: Any) -> tuple[list[Wanted], str | None]:
        """The jobs, and the slug of their workspace.

        Raises BadSpec, whose fields are named as in jobs[17].steps.
        """
        asked = cls(data=data)
        if not asked.is_valid():
            raise BadSpec(_numbered(asked.errors))
        wanted: list[Wanted] = []
        bad: dict[str, str] = {}
        for place, given in enumerate(asked.validated_data["jobs"]):
            try:
                spec = spec_from(given)
                digest = offer.find(spec.model).digest
                start = start_within(given)
                wanted.append(Wanted(spec=spec, model_digest=digest, start_within=start))
            except BadSpec as error:
                bad |= {f"jobs[{place}].{name}": words for name, words in error.fields.items()}
        if bad:
            raise BadSpec(dict(islice(bad.items(), MOST_NAMED)))
        return wanted, asked.workspace_slug


def _numbered(errors: Any) -> dict[str, str]:
    """DRF's errors of a list of objects, a sentence for each field of each that is at fault."""
    of_jobs = errors.get("jobs")
    if not isinstance(of_jobs, dict):
        return sentences(errors)
    if "non_field_errors" in of_jobs:
        return sentences({"jobs": of_jobs["non_field_errors"]})
    bad = {
        f"jobs[{place}].{name}".removesuffix(".non_field_errors"): sentence
        for place, each in of_jobs.items()
        for name, sentence in sentences(each).items()
    }
    return dict(islice(bad.items(), MOST_NAMED))


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

    The jobs must come with what they are shown with (JobQuerySet.to_show).
    """
    places = queue.places(job.pk for job in jobs if job.state == State.QUEUED)
    held = run_places.words(jobs)
    files: dict[UUID, dict[str, Artifact]] = {}
    finished = [job.pk for job in jobs if job.state == State.SUCCEEDED]
    for artifact in Artifact.objects.filter(job__in=finished):
        files.setdefault(artifact.job_id, {})[artifact.name] = artifact
    return [
        _job_to_dict(job, places.get(job.pk), files.get(job.pk, {})) | {"held": held.get(job.pk)}
        for job in jobs
    ]


def _job_to_dict(job: Job, place: int | None, files: dict[str, Artifact]) -> dict[str, Any]:
    spec = job.request.render_spec()
    urls = {name: file_url(artifact) for name, artifact in files.items()}
    return {
        "id": str(job.pk),
        "state": job.state,
        "version": job.version,
        "attempt": job.attempt,
        "workspace": job.workspace.slug,
        "owner": job.owner.email,
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
        "video_url": urls.get("video.mp4"),
        "poster_url": urls.get("poster.png"),
        "sprite_url": urls.get("sprite.jpg"),
        "strip_url": urls.get("strip.jpg"),
        "strip": _layout(files.get("strip.jpg")),
        "error_code": job.error_code,
        "error_message": job.error_message,
    }


def _layout(strip: Artifact | None) -> dict[str, Any] | None:
    """How the strip is laid out; None where there is none, or one from before this was kept."""
    if strip is None or not strip.facts:
        return None
    return {key: strip.facts[key] for key in STRIP_FACTS}


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
